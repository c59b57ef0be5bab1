"""Fetching a board's data: interrupted, moved, changed, and archives that reach for other files."""

import hashlib
import io
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from recombine.cli.main import main
from recombine.leaderboard.board.registry import Archive, register
from recombine.leaderboard.submissions.datasets import fetch_dataset
from recombine.leaderboard.submissions.fetching import FetchRules
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, ResourceError
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset

RULES = FetchRules(local_http=True)


class Files(BaseHTTPRequestHandler):
    """Sends the archive as the path says: whole, in ranges, cut, or another one."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        content, name = self.server.content, self.path[1:]
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.asked.append((name, begin))
        if name == "other":
            content = content[::-1]
        if name == "short" and begin:
            self.send_error(416)
            return
        ranged = begin and name != "deaf"
        begin = begin if ranged else 0
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        stop = begin + len(content) // 3 if name == "cut" else len(content)
        self.wfile.write(content[begin:stop])


@contextmanager
def serving(content):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.asked, server.content = [], content
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "smoke"
    drawn_dataset(folder)
    verify(folder)
    return folder


@pytest.fixture(scope="module")
def board(data):
    return register(data, minutes=6)


@pytest.fixture(scope="module")
def content(data):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(data, arcname=".")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server(content):
    with serving(content) as running:
        yield running


def hosted(board, server, *names, content=None):
    """Return the board with an archive at some addresses of the server."""
    content = server.content if content is None else content
    archive = Archive.model_construct(  # a registry holds https addresses alone
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        urls=[f"http://127.0.0.1:{server.server_port}/{name}" for name in names],
    )
    return board.model_copy(update={"archive": archive})


def test_data_arrive_whole_and_are_not_fetched_twice(board, server, data, tmp_path):
    server.asked.clear()
    out = tmp_path / "deep" / "smoke"
    for _ in range(2):
        assert fetch_dataset(hosted(board, server, "whole"), out, RULES) == out
    assert server.asked == [("whole", 0)]
    assert Dataset(out).root == Dataset(data).root
    assert [path.name for path in out.parent.iterdir()] == ["smoke"]


@pytest.mark.parametrize("later", ["whole", "deaf"])
def test_an_interrupted_download_goes_on(board, server, tmp_path, later):
    server.asked.clear()
    out, third = tmp_path / "smoke", len(server.content) // 3
    for _ in range(2):
        with pytest.raises(ResourceError, match="it goes on"):
            fetch_dataset(hosted(board, server, "cut"), out, RULES)
        assert not out.exists()
    fetch_dataset(hosted(board, server, later), out, RULES)
    assert [begin // third for _, begin in server.asked] == [0, 1, 2]
    assert Dataset(out).identity == board.identity


def test_a_server_whose_file_is_shorter_starts_over(board, server, tmp_path):
    out = tmp_path / "smoke"
    with pytest.raises(ResourceError, match="it goes on"):
        fetch_dataset(hosted(board, server, "cut"), out, RULES)
    with pytest.raises(ResourceError):
        fetch_dataset(hosted(board, server, "short"), out, RULES)
    server.asked.clear()
    fetch_dataset(hosted(board, server, "whole"), out, RULES)
    assert server.asked == [("whole", 0)]


def test_the_next_address_is_tried(board, server, tmp_path):
    server.asked.clear()
    fetch_dataset(hosted(board, server, "other", "whole"), tmp_path / "smoke", RULES)
    assert [name for name, _ in server.asked] == ["other", "whole"]


def test_other_content_leaves_nothing(board, server, tmp_path):
    with pytest.raises(IntegrityError, match="SHA-256"):
        fetch_dataset(hosted(board, server, "other"), tmp_path / "smoke", RULES)
    assert not (tmp_path / "smoke").exists()
    server.asked.clear()
    fetch_dataset(hosted(board, server, "whole"), tmp_path / "smoke", RULES)
    assert server.asked == [("whole", 0)], "what was of another file is not gone on with"


def member(name, content=b"x", **more):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (member("../outside"), "outside"),
        (member("/etc/outside"), "sealed dataset"),
        (member("link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "regular files"),
        (member("hard", b"", type=tarfile.LNKTYPE, linkname="plan.h5"), "regular files"),
        (member("pipe", b"", type=tarfile.FIFOTYPE), "regular files"),
        (member("big", bytes(3 * 2**20)), "at most"),
        (None, "tar file"),
    ],
)
def test_an_archive_of_something_else_is_not_unpacked(board, tmp_path, info, said):
    buffer = io.BytesIO(b"no tar" * 1000)
    if info is not None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(info[0], io.BytesIO(info[1]))
    inner = tmp_path / "inner"
    refused = pytest.raises((InvalidInputError, IntegrityError), match=said)
    with serving(buffer.getvalue()) as server, refused:
        fetch_dataset(hosted(board, server, "whole"), inner / "smoke", RULES)
    assert not (inner / "smoke").exists()
    assert not (tmp_path / "outside").exists()
    assert {path.name for path in inner.iterdir()} <= {"smoke.tar"}


def test_other_data_in_a_sound_archive_are_refused(board, server, data, tmp_path):
    other = hosted(board, server, "whole").model_copy(update={"identity": "0" * 64})
    with pytest.raises(IntegrityError, match="identity"):
        fetch_dataset(other, tmp_path / "smoke", RULES)
    assert not (tmp_path / "smoke").exists()


def test_without_an_address_the_command_and_its_time_are_said(board, tmp_path, capsys):
    registry = board.saved(tmp_path / "registry").parent
    out = tmp_path / "smoke"
    assert main(["dataset", "fetch", "smoke", "--registry", str(registry), "--out", str(out)]) == 4
    said = capsys.readouterr().err
    assert f"recombine render smoke --scale 0.07 --resolution 16 --out {out}" in said
    assert "about 6 min with two workers" in said
