"""Fetch a file that a stranger names by URL: beyond its size and hash nothing is trusted."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import socket
import ssl
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from recombine.renderer.core.errors import IntegrityError, InvalidInputError, ResourceError
from recombine.renderer.core.files import locked, replacing, writing
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from email.message import Message

CHUNK = 2**18
REDIRECTS = 5
LOCAL = ("127.0.0.1", "localhost")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""Whose last 32 bits are an address of version 4 (RFC 6052)."""


@dataclass(frozen=True)
class FetchRules:
    """What a fetch may do."""

    seconds: float = 1800.0  # longest that one file may take
    stall: float = 60.0  # longest wait for the next bytes, in seconds
    file_root: Path | None = None  # folder below which file URLs may point; None refuses them
    local_http: bool = False  # allow plain http to this very machine, for tests


@dataclass(frozen=True)
class Wanted:
    """What is to be fetched."""

    url: str  # where; a stranger's text
    size: int  # bytes
    sha256: str  # of the content, hexadecimal


def fetch(wanted: Wanted, target: Path, rules: FetchRules | None = None) -> Path:
    """Fetch a file; it is there with the expected content, or not at all."""
    rules = rules or FetchRules()
    if target.is_file() and file_sha256(target) == wanted.sha256:
        return target
    with replacing(target) as temporary, temporary.open("wb") as out:
        if wanted.url.startswith("file:"):
            with _local_file(wanted, rules).open("rb") as source:
                found = _copy(wanted, source, out, rules)
        else:
            found = _download(wanted, out, rules)
        if found != (wanted.size, wanted.sha256):
            raise _other_content(wanted, found)
    return target


def fetch_large(wanted: Wanted, target: Path, rules: FetchRules | None = None) -> Path:
    """Fetch a file by https; an interrupted call goes on where it was.

    What has arrived lies in ``.NAME.part`` beside the target, and is kept unless it is of another
    file. A server that cannot send the rest alone sends all of it again.
    """
    rules = rules or FetchRules()
    if target.is_file() and file_sha256(target) == wanted.sha256:
        return target
    part = target.with_name(f".{target.name}.part")
    with locked(part, wait=False):
        with writing(part), part.open("ab+") as out:
            found = _resumed(wanted, out, rules)
            if found != (wanted.size, wanted.sha256):
                if found[0] == wanted.size:
                    _from_the_start(out)
                raise _other_content(wanted, found)
            os.fsync(out.fileno())
        part.replace(target)
    return target


def _resumed(wanted: Wanted, out: IO[bytes], rules: FetchRules) -> tuple[int, str]:
    """Append what is missing; return the number of all bytes and their SHA-256."""
    size, digest = 0, hashlib.sha256()
    out.seek(0)
    while chunk := out.read(CHUNK):
        size += len(chunk)
        digest.update(chunk)
    if (size, digest.hexdigest()) == (wanted.size, wanted.sha256):
        return wanted.size, wanted.sha256
    if size >= wanted.size:
        size, digest = _from_the_start(out)
    try:
        found = _download(wanted, out, rules, size, digest)
    except InvalidInputError:  # more than expected: what has arrived is of another file
        _from_the_start(out)
        raise
    if found[0] < wanted.size:
        raise ResourceError(
            f"{wanted.url}: expected {wanted.size} bytes, got {found[0]} before the connection "
            "ended; run the same command again, it goes on"
        )
    return found


def _from_the_start(out: IO[bytes]) -> tuple[int, Any]:
    out.seek(0)
    out.truncate()
    return 0, hashlib.sha256()


def _other_content(wanted: Wanted, found: tuple[int, str]) -> IntegrityError:
    return IntegrityError(
        f"{wanted.url}: expected {wanted.size} bytes with SHA-256 {wanted.sha256[:12]}, "
        f"got {found[0]} bytes with {found[1][:12]}; put the file there that the manifest "
        "names"
    )


def _local_file(wanted: Wanted, rules: FetchRules) -> Path:
    parts = urlsplit(wanted.url)
    path = Path(urllib.parse.unquote(parts.path)).resolve()
    root = rules.file_root.resolve() if rules.file_root else None
    if root is None or parts.netloc or not path.is_relative_to(root):
        raise InvalidInputError(
            f"{wanted.url}: expected an https address, or a file below the folder of --file-root "
            f"({root or 'none given'}); got another file"
        )
    if not path.is_file() or not stat.S_ISREG(path.stat().st_mode):
        raise ResourceError(f"{wanted.url}: expected a file, found none; check the address")
    return path


def _download(
    wanted: Wanted, out: IO[bytes], rules: FetchRules, size: int = 0, digest: Any = None
) -> tuple[int, str]:
    """Append the bytes that are missing; ``size`` and ``digest`` are of those that are there."""
    _check_address(wanted.url, rules)
    headers = {"Accept-Encoding": "identity", "User-Agent": "recombine"}
    if size:
        headers["Range"] = f"bytes={size}-"
    request = urllib.request.Request(wanted.url, headers=headers)  # noqa: S310 - its scheme was checked
    try:
        with _opener(rules).open(request, timeout=rules.stall) as answer:
            if size and not _continues(answer, size):
                size, digest = _from_the_start(out)
            return _copy(wanted, answer, out, rules, size, digest)
    except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
        network = (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException)
        if not isinstance(error, (*network, socket.gaierror)):  # a full disk, for one
            raise
        if size and getattr(error, "code", 0) == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _from_the_start(out)
        raise ResourceError(
            f"{wanted.url}: expected an answer, got {getattr(error, 'reason', None) or error!r}; "
            "check the address, or try again later"
        ) from error


def _continues(answer: Any, size: int) -> bool:
    """Return whether a server sends the rest of a file, as asked, and not all of it again."""
    where = str(answer.headers.get("Content-Range", ""))
    return bool(answer.status == http.HTTPStatus.PARTIAL_CONTENT) and where.startswith(
        f"bytes {size}-"
    )


def _copy(
    wanted: Wanted,
    source: IO[bytes],
    out: IO[bytes],
    rules: FetchRules,
    size: int = 0,
    digest: Any = None,
) -> tuple[int, str]:
    """Append at most the expected bytes; return the number and SHA-256 of all."""
    began = time.monotonic()
    digest = digest or hashlib.sha256()
    while chunk := source.read(min(CHUNK, wanted.size + 1 - size)):
        size += len(chunk)
        if size > wanted.size:
            raise InvalidInputError(
                f"{wanted.url}: expected {wanted.size} bytes, got more; put the file there that "
                "the manifest names"
            )
        if time.monotonic() - began > rules.seconds:
            raise ResourceError(
                f"{wanted.url}: expected {wanted.size} bytes within {rules.seconds:g} s, got "
                f"{size}; try again, or fetch it by hand into the bundle"
            )
        digest.update(chunk)
        out.write(chunk)
    return size, digest.hexdigest()


def _opener(rules: FetchRules) -> urllib.request.OpenerDirector:
    """Return an opener without handlers for file, ftp and data."""
    opener = urllib.request.OpenerDirector()
    proxies: Any = {} if rules.local_http else None
    for handler in (
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler() if _proxied() else _Https(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(rules),
    ):
        opener.add_handler(handler)
    return opener


class _Https(urllib.request.HTTPSHandler):
    """Connect to the address that was checked: a second lookup of a name can give another one."""

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open a connection."""
        return self.do_open(_Checked, req)


class _Checked(http.client.HTTPSConnection):
    """A connection to a public address."""

    def connect(self) -> None:
        """Look the name up once, check what it is, and connect to that."""
        reasons: list[OSError] = []
        for one in _public_addresses(self.host, self.port, self.host):
            try:
                plain = socket.create_connection(one[4][:2], self.timeout)
            except OSError as error:
                reasons.append(error)
                continue
            with plain:  # closed unless it is taken over below
                self.sock = ssl.create_default_context().wrap_socket(
                    plain, server_hostname=self.host
                )
            return
        raise reasons[0]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirect only to an address that could have been given."""

    max_redirections = REDIRECTS

    def __init__(self, rules: FetchRules) -> None:
        self.rules = rules

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message
    ) -> Any:
        """Check the new address first."""
        _check_address(req.full_url, self.rules, headers.get("Location", ""))
        return super().http_error_302(req, fp, code, msg, headers)  # type: ignore[arg-type]

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _check_address(url: str, rules: FetchRules, relative: str = "") -> None:
    try:
        parts = urlsplit(urljoin(url, relative))
        here = rules.local_http and parts.scheme == "http" and parts.hostname in LOCAL
        allowed = here or (parts.scheme == "https" and bool(parts.hostname) and not parts.username)
        _ = parts.port
    except ValueError:  # no address at all
        here, allowed, parts = False, False, urlsplit("")
    url = (relative or url)[:200]
    if not allowed:
        raise InvalidInputError(
            f"{url}: expected an https address, got another kind; publish the file on https"
        )
    if not here and not _proxied():
        _public_addresses(parts.hostname or "", parts.port or 443, url)


def _proxied() -> bool:
    """Return whether a proxy looks names up and connects."""
    return bool(urllib.request.getproxies().get("https"))


def _public_addresses(host: str, port: int, url: str) -> list[Any]:
    """Look a name up; one of a private network is refused, or a review would knock there."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ResourceError(
            f"{url}: expected a known host, got {error.strerror or error}; check the address"
        ) from error
    if not all(is_public(ipaddress.ip_address(one[4][0])) for one in found):
        raise InvalidInputError(
            f"{url}: expected a public host, got an address of a private network; publish "
            "the file where everybody can read it"
        )
    return found


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an address is of one host that the whole internet can reach.

    An address of version 6 that holds one of version 4 is as public as that.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        inner = inner or (address.teredo[1] if address.teredo else None)
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
