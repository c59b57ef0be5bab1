"""Fetching from a server that lies, stalls, redirects and overflows, on this machine."""

import hashlib
import ipaddress
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from recombine.leaderboard.submissions import fetching as module
from recombine.leaderboard.submissions import review
from recombine.leaderboard.submissions.fetching import FetchRules, Wanted, fetch
from recombine.leaderboard.submissions.review import fetched
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, ResourceError

CONTENT = bytes(range(256)) * 2000
WANTED = {"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}


class Server(BaseHTTPRequestHandler):
    """Behaves as the path says."""

    asked: list[str]

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        name, _, rest = self.path[1:].partition("?")
        getattr(self, f"do_{name}", self.do_none)(rest)

    def send(self, content, length=None):
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def do_good(self, _):
        self.send(CONTENT, len(CONTENT))

    def do_other(self, _):
        self.send(CONTENT[::-1], len(CONTENT))

    def do_endless(self, _):
        self.send(CONTENT + b"x")

    def do_short(self, _):
        self.send(CONTENT[:1000], 1000)

    def do_cut(self, _):
        self.send(CONTENT[:1000], len(CONTENT))

    def do_stalls(self, _):
        self.send(CONTENT[:1000], len(CONTENT))
        self.server.go_on.wait()  # until nobody listens any more

    def do_none(self, _):
        self.send_error(404)

    def do_to(self, place):
        self.send_response(302)
        self.send_header("Location", place)
        self.end_headers()


@contextmanager
def serving():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.asked, server.go_on = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture
def get(server, tmp_path):
    def one(path, **over):
        stall = 0.2 if path == "stalls" else 600.0
        rules = FetchRules(**{"stall": stall, "local_http": True, **over})
        url = f"http://127.0.0.1:{server.server_port}/{path}"
        return fetch(Wanted(url, **WANTED), tmp_path / "got", rules)

    return one


def test_the_named_content_arrives_and_is_not_fetched_twice(get, server):
    server.asked.clear()
    assert get("good").read_bytes() == CONTENT
    assert get("good").read_bytes() == CONTENT
    assert server.asked == ["/good"]
    get("good").write_bytes(b"damaged")
    assert get("good").read_bytes() == CONTENT


def test_a_redirect_to_an_allowed_place_is_followed(get):
    assert get("to?/good").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("other", IntegrityError, "SHA-256"),
        ("short", IntegrityError, "got 1000 bytes"),
        ("endless", InvalidInputError, "got more"),
        ("cut", IntegrityError, "got 1000 bytes"),
        ("stalls", ResourceError, "expected an answer"),
        ("missing", ResourceError, "Not Found"),
        ("to?file:///etc/hostname", InvalidInputError, "https address"),
        ("to?ftp://example.org/x", InvalidInputError, "https address"),
        ("to?http://example.org/x", InvalidInputError, "https address"),
        ("to?https://10.0.0.1/x", InvalidInputError, "private network"),
        ("to?/to", ResourceError, "expected an answer"),
    ],
)
def test_whatever_else_comes_is_refused_and_leaves_nothing(get, tmp_path, path, error, message):
    with pytest.raises(error, match=message):
        get(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_so_many_seconds(get):
    with pytest.raises(ResourceError, match="within 0 s"):
        get("good", seconds=0.0)


@pytest.mark.parametrize(
    "url",
    ["http://example.org/x", "ftp://example.org/x", "data:,x", "https://", "https://u@example.org/",
     "https://[::1", "x", "http://127.0.0.1:1/x"],
)  # fmt: skip
def test_only_https_goes_out(url, tmp_path):
    with pytest.raises(InvalidInputError, match="https address"):
        fetch(Wanted(url, **WANTED), tmp_path / "got")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "0.0.0.0",
        "224.0.0.1",
        "[fec0::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::ffff:10.0.0.1]",
        "[ff02::1]",
    ],
)
def test_private_networks_are_out_of_reach(host, tmp_path, monkeypatch):
    monkeypatch.setattr(module.urllib.request, "getproxies", dict)
    with pytest.raises(InvalidInputError, match="private network"):
        fetch(Wanted(f"https://{host}/x", **WANTED), tmp_path / "got")


def test_the_address_that_was_checked_is_the_one_that_is_reached(tmp_path, monkeypatch):
    answers = iter(["93.184.216.34", "127.0.0.1"])  # a name that moves between two lookups
    asked = []

    def moving(host, port, *args, **kwargs):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(module.urllib.request, "getproxies", dict)
    monkeypatch.setattr(module.socket, "getaddrinfo", moving)
    reached = []
    monkeypatch.setattr(module.socket, "create_connection", lambda *a: reached.append(a))
    with pytest.raises(InvalidInputError, match="private network"):
        fetch(Wanted("https://example.org/x", **WANTED), tmp_path / "got")
    assert (asked, reached) == (["example.org"] * 2, [])


@pytest.mark.parametrize(
    ("address", "public"),
    [("93.184.216.34", True), ("2606:4700::1111", True), ("64:ff9b::5db8:d822", True),
     ("2002:5db8:d822::", True), ("100.64.0.1", False), ("240.0.0.1", False), ("::", False)],
)  # fmt: skip
def test_only_one_host_of_the_whole_internet_is_public(address, public):
    assert module.is_public(ipaddress.ip_address(address)) is public


def test_an_unknown_host_is_no_fault_of_the_file(tmp_path, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(module.urllib.request, "getproxies", dict)
    monkeypatch.setattr(module.socket, "getaddrinfo", unknown)
    with pytest.raises(ResourceError, match="not known"):
        fetch(Wanted("https://example.org/x", **WANTED), tmp_path / "got")


def test_files_are_read_below_the_named_folder_only(tmp_path):
    (tmp_path / "root").mkdir()
    inside, outside = tmp_path / "root" / "a b", tmp_path / "outside"
    for path in (inside, outside):
        path.write_bytes(CONTENT)
    (tmp_path / "root" / "link").symlink_to(outside)
    rules = FetchRules(file_root=tmp_path / "root")
    got = fetch(Wanted(inside.as_uri(), **WANTED), tmp_path / "got", rules)
    assert got.read_bytes() == CONTENT
    for url in (outside.as_uri(), f"{(tmp_path / 'root').as_uri()}/../outside",
                f"{(tmp_path / 'root').as_uri()}/link", f"file://host{inside}"):  # fmt: skip
        with pytest.raises(InvalidInputError, match="--file-root"):
            fetch(Wanted(url, **WANTED), tmp_path / "new", rules)
    with pytest.raises(InvalidInputError, match="none given"):
        fetch(Wanted(inside.as_uri(), **WANTED), tmp_path / "new")
    with pytest.raises(ResourceError, match="found none"):
        fetch(Wanted((tmp_path / "root").as_uri(), **WANTED), tmp_path / "new", rules)


def test_a_bundle_is_completed_in_a_copy(tmp_path, monkeypatch):
    source = tmp_path / "files" / "p"
    bundle = tmp_path / "bundle"
    for path in (source, bundle / "predictions" / "here"):
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
    (bundle / "link").symlink_to(source)
    rules = FetchRules(file_root=tmp_path / "files")
    about = {"bytes": len(CONTENT), "sha256": WANTED["sha256"]}
    files = [SimpleNamespace(path="predictions/here", url="https://x", **about)]
    monkeypatch.setattr(review, "read_manifest", lambda folder: SimpleNamespace(files=files))
    assert fetched(bundle, tmp_path / "full", rules) == bundle
    files.append(SimpleNamespace(path="predictions/there", url=source.as_uri(), **about))
    for _ in range(2):
        full = fetched(bundle, tmp_path / "full", rules)
    assert full == tmp_path / "full" / "bundle"
    assert (full / "predictions" / "there").read_bytes() == CONTENT
    assert (full / "link").is_symlink()
    assert not (bundle / "predictions" / "there").exists()
