"""An append-only log: every line holds the hash of the one before and perhaps a signature.

Editing, deleting, inserting and reordering lines is found by anyone who reads the file. Two things
are not visible from the file alone: lines cut off its end, and a log written anew as a whole, whose
hashes are right. A signature does not help against the second where the public key lies beside
the log. Publish the head (``head_of``) where the log's keeper cannot change it later, such as in a
signed tag, and give that to ``read_chain``.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recombine.leaderboard.ledger.signing import verify_signature
from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.files import locked, write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recombine.leaderboard.ledger.signing import Signer

START = "0" * 64
FIELDS = {"index", "previous", "time", "event", "body", "hash", "signature"}
MAX_BYTES = 64 * 2**20
SIGNATURE = re.compile(r"([0-9a-f]{128})?")


@dataclass(frozen=True)
class Line:
    """One line of a log."""

    index: int  # position, from 0
    previous: str  # hash of the line before; zeros at the start
    time: str  # UTC
    event: str  # what happened
    body: Mapping[str, Any]  # plain JSON values
    hash: str  # SHA-256 of all of the above
    signature: str  # of the hash, hexadecimal; empty in a log that nobody signs


def append(
    path: Path, event: str, body: Mapping[str, Any], time: str, signer: Signer | None
) -> Line:
    """Add one line; a crash leaves the log with it or without it."""
    with locked(path):
        for left in path.parent.glob(f".{path.name}.*.tmp"):  # of a writer that was killed
            left.unlink(missing_ok=True)
        key = signer.public_key if signer else None
        lines = read_chain(path, key) if path.exists() else []
        content: dict[str, Any] = {
            "index": len(lines),
            "previous": lines[-1].hash if lines else START,
            "time": time,
            "event": event,
            "body": dict(body),
        }
        digest = hashlib.sha256(_canonical(content)).hexdigest()
        signature = signer.sign(bytes.fromhex(digest)).hex() if signer else ""
        line = Line(**content, hash=digest, signature=signature)
        before = path.read_bytes() if path.exists() else b""
        write_bytes(path, before + _canonical(line.__dict__) + b"\n")
    return line


def read_chain(path: Path, public_key: bytes | None, head: str = "") -> list[Line]:
    """Read a log and check every line of it."""
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise InvalidInputError(
            f"{path}: expected a log of at most {MAX_BYTES} bytes, found none or a bigger one; "
            "check the path"
        )
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        raise _broken(path, content.count(b"\n"), "a whole line", "a part of one")
    lines: list[Line] = []
    for index, raw in enumerate(content.split(b"\n")[:-1]):
        line = _line(path, index, raw, lines[-1].hash if lines else START)
        lines.append(line)
        if bool(line.signature) != bool(public_key):
            expected = "a signature" if public_key else "no signature without a key to check it"
            raise _broken(path, index, expected, "one" if line.signature else "none")
        if public_key:
            verify_signature(public_key, bytes.fromhex(line.signature), bytes.fromhex(line.hash))
    if head and head not in {head_of([*lines[: i + 1]]) for i in range(len(lines))}:
        raise _broken(path, len(lines), f"the published head {head[:20]}", "a log without it")
    return lines


def head_of(lines: list[Line]) -> str:
    """Return what stands for a whole log: its length and the hash of its last line."""
    return f"{len(lines)}:{lines[-1].hash if lines else START}"


def _line(path: Path, index: int, raw: bytes, previous: str) -> Line:
    try:
        plain = json.loads(raw)
    except ValueError:
        raise _broken(path, index, "JSON", repr(raw[:40])) from None
    if not isinstance(plain, dict) or set(plain) != FIELDS or _canonical(plain) != raw:
        raise _broken(path, index, f"the fields {sorted(FIELDS)} in their form", repr(raw[:40]))
    content = {k: v for k, v in plain.items() if k not in ("hash", "signature")}
    if hashlib.sha256(_canonical(content)).hexdigest() != plain["hash"]:
        raise _broken(path, index, "content that matches its hash", "changed content")
    if plain["index"] != index or plain["previous"] != previous:
        raise _broken(path, index, f"the line after {previous[:12]}", "another one")
    signature = plain["signature"]
    if not isinstance(signature, str) or not SIGNATURE.fullmatch(signature):
        raise _broken(path, index, "a signature", "none")
    return Line(**plain)


def _broken(path: Path, index: int, expected: str, got: str) -> IntegrityError:
    return IntegrityError(
        f"{path}: expected {expected} at line {index}, got {got}; the log was changed or cut off, "
        "compare it with a published copy"
    )


def _canonical(plain: Any) -> bytes:
    return json.dumps(
        plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
