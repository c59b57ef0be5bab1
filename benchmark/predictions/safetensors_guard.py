"""One safetensors file from an untrusted hand, read under limits.

The file is parsed here byte by byte, not by a library, because everything that a library
tolerates is a hole: repeated keys, bytes that belong to no tensor, numbers that are not finite.
Whatever is wrong has a name (`TensorFileError.reason`). Nothing is decompressed, nothing is
executed, and no array is made before its size is known to be in the file.

Layout: 8 bytes with the header's length (little-endian), a JSON header, the tensors' bytes.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from jaxtyping import Int

    from recombine.renderer.core.types import Array

Reason = Literal[
    "no-file",
    "not-a-file",
    "too-small",
    "too-large",
    "huge-header",
    "truncated-header",
    "not-json",
    "duplicate-key",
    "bad-entry",
    "wrong-names",
    "wrong-dtype",
    "wrong-shape",
    "gap-or-overlap",
    "truncated-data",
    "trailing-bytes",
    "not-finite",
    "too-big-values",
    "missing-image",
    "duplicate-image",
    "unknown-image",
    "wrong-metadata",
]
DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
}
ITEM_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL"), 1),
}
MAX_HEADER = 2**20
MAX_DIMENSIONS = 8
CHUNK = 2**20


class TensorFileError(InvalidInputError):
    """A tensor file is refused."""

    def __init__(self, reason: Reason, who: object, expected: object, got: object) -> None:
        super().__init__(
            f"{who}: refused [{reason}]: expected {expected}, got {got}; run the submission again"
        )
        self.reason = reason


@dataclass(frozen=True)
class Rule:
    """What one tensor must be."""

    dtype: str  # key of `DTYPES`
    shape: tuple[tuple[int, int], ...]  # least and greatest size of every axis
    # greatest magnitude; also refuses NaN and infinity. None for integers
    max_abs: float | None = None


@dataclass(frozen=True)
class _Entry:
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile:
    """A tensor file whose layout is known to be sound; no tensor has been read yet."""

    def __init__(
        self, path: Path, who: object, metadata: dict[str, str], entries: list[_Entry], body: int
    ) -> None:
        self.metadata: Mapping[str, str] = metadata
        self.names = frozenset(entry.name for entry in entries)
        self._path, self._who, self._body = path, who, body
        self._entries = {entry.name: entry for entry in entries}

    def take(self, rules: Mapping[str, Rule]) -> dict[str, Array]:
        """Read all tensors, which must be exactly those that have a rule."""
        if self.names != set(rules):
            got = [name[:80] for name in sorted(self.names)[:8]]
            raise TensorFileError("wrong-names", self._who, f"tensors {sorted(rules)}", got)
        for name, rule in rules.items():
            self._check_form(self._entries[name], rule)
        return {name: self._read(self._entries[name], rule) for name, rule in rules.items()}

    def _check_form(self, entry: _Entry, rule: Rule) -> None:
        if entry.dtype != rule.dtype:
            raise TensorFileError(
                "wrong-dtype", self._who, f"{entry.name} of type {rule.dtype}", entry.dtype
            )
        fits = len(entry.shape) == len(rule.shape) and all(
            low <= size <= high for size, (low, high) in zip(entry.shape, rule.shape, strict=True)
        )
        if not fits:
            wanted = "x".join(str(a) if a == b else f"{a}..{b}" for a, b in rule.shape)
            raise TensorFileError("wrong-shape", self._who, f"{entry.name} {wanted}", entry.shape)

    def _read(self, entry: _Entry, rule: Rule) -> Array:
        kind = DTYPES[entry.dtype]
        count = (entry.end - entry.begin) // kind.itemsize
        with self._path.open("rb") as stream:
            stream.seek(self._body + entry.begin)
            flat: Array = np.fromfile(stream, kind, count)
        if len(flat) != count:
            raise TensorFileError(
                "truncated-data", self._who, f"{count} numbers in {entry.name}", len(flat)
            )
        array = flat.reshape(entry.shape)
        if rule.max_abs is not None:
            _check_values(array, entry.name, rule.max_abs, self._who)
        return array


def open_tensor_file(path: Path, *, max_bytes: int, who: object | None = None) -> TensorFile:
    """Check the layout of a tensor file, without reading a tensor."""
    who = path if who is None else who
    size = _file_size(path, max_bytes, who)
    with path.open("rb") as stream:
        header, length = _read_header(stream, size, who)
    metadata = _metadata(header.pop("__metadata__", {}), who)
    entries = [_entry(name, raw, who) for name, raw in header.items()]
    _check_tiling(entries, size - length, who)
    return TensorFile(path, who, metadata, entries, length)


def check_index(
    got: Int[Array, " rows"], expected: Int[Array, " images"], who: object
) -> Int[Array, " images"]:
    """Return the order that brings answers into the order of the questions."""
    order: Array = np.argsort(got, kind="stable")
    ranked = got[order]
    if np.any(repeated := ranked[1:] == ranked[:-1]):
        image = int(ranked[1:][repeated][0])
        raise TensorFileError("duplicate-image", who, "every image once", f"image {image} twice")
    if len(unknown := np.setdiff1d(ranked, expected)):
        raise TensorFileError("unknown-image", who, "only images asked about", int(unknown[0]))
    if len(missing := np.setdiff1d(expected, ranked)):
        got_text = f"{len(missing)} images without an answer, the first is {int(missing[0])}"
        raise TensorFileError("missing-image", who, "every image once", got_text)
    return order


def write_tensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write a tensor file in place, without a second copy in memory."""
    names = {kind: name for name, kind in DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    begin = 0
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    for name, array in arrays.items():
        offsets = [begin, begin + array.nbytes]
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": offsets,
        }
        begin = offsets[1]
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            stream.write(array.data)


def _file_size(path: Path, max_bytes: int, who: object) -> int:
    try:
        status = path.lstat()
    except OSError as error:
        raise TensorFileError("no-file", who, "a file", error.strerror) from error
    if not stat.S_ISREG(status.st_mode):
        raise TensorFileError("not-a-file", who, "a regular file", "a link, folder or device")
    if status.st_size < 10:
        raise TensorFileError("too-small", who, "at least 10 bytes", status.st_size)
    if status.st_size > max_bytes:
        raise TensorFileError("too-large", who, f"at most {max_bytes} bytes", status.st_size)
    return status.st_size


def _read_header(stream: BinaryIO, size: int, who: object) -> tuple[dict[str, Any], int]:
    """Return the JSON header, and where the tensors' bytes begin."""
    length = int.from_bytes(stream.read(8), "little")
    if length > MAX_HEADER:
        raise TensorFileError("huge-header", who, f"at most {MAX_HEADER} bytes", length)
    if 8 + length > size:
        raise TensorFileError("truncated-header", who, f"a header of {length} bytes", size - 8)
    try:
        header = json.loads(
            stream.read(length).decode("utf-8", "strict"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
        )
    except _RepeatedKeyError as error:
        raise TensorFileError("duplicate-key", who, "every key once", error) from error
    except (ValueError, RecursionError) as error:
        raise TensorFileError("not-json", who, "a JSON header", type(error).__name__) from error
    if not isinstance(header, dict):
        raise TensorFileError("not-json", who, "a JSON object", type(header).__name__)
    return header, 8 + length


class _RepeatedKeyError(Exception):
    """Argument: the key."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise _RepeatedKeyError(repr(key[:80]))
        out[key] = value
    return out


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _metadata(raw: object, who: object) -> dict[str, str]:
    if not isinstance(raw, dict) or not all(isinstance(v, str) for v in raw.values()):
        raise TensorFileError("wrong-metadata", who, "metadata of texts", type(raw).__name__)
    return cast("dict[str, str]", raw)


def _entry(name: str, raw: object, who: object) -> _Entry:
    label = repr(name[:80])
    if not isinstance(raw, dict) or set(raw) != {"dtype", "shape", "data_offsets"}:
        raise TensorFileError(
            "bad-entry", who, f"dtype, shape and data_offsets of {label}", _short(raw)
        )
    shape, offsets = _sizes(raw["shape"]), _sizes(raw["data_offsets"])
    if shape is None or offsets is None or len(offsets) != 2 or len(shape) > MAX_DIMENSIONS:
        raise TensorFileError("bad-entry", who, f"whole numbers from 0 in {label}", _short(raw))
    if not isinstance(raw["dtype"], str) or raw["dtype"] not in ITEM_BYTES:
        raise TensorFileError("wrong-dtype", who, f"a number type of {label}", _short(raw["dtype"]))
    needed = ITEM_BYTES[raw["dtype"]]
    for axis in shape:  # Python's whole numbers do not overflow
        needed *= axis
    if offsets[1] - offsets[0] != needed:
        raise TensorFileError(
            "bad-entry", who, f"{needed} bytes for {label}", offsets[1] - offsets[0]
        )
    return _Entry(name, raw["dtype"], shape, offsets[0], offsets[1])


def _sizes(raw: object) -> tuple[int, ...] | None:
    if not isinstance(raw, list):
        return None
    good = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**48 for n in raw)
    return tuple(raw) if good else None


def _check_tiling(entries: list[_Entry], body: int, who: object) -> None:
    """Check that the tensors cover the bytes after the header without gap, overlap or rest."""
    end = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != end:
            raise TensorFileError(
                "gap-or-overlap", who, f"{entry.name[:80]!r} to begin at byte {end}", entry.begin
            )
        end = entry.end
    if end > body:
        raise TensorFileError("truncated-data", who, f"{end} bytes of tensors", body)
    if end < body:
        raise TensorFileError("trailing-bytes", who, f"{end} bytes of tensors", body)


def _check_values(array: Array, name: str, max_abs: float, who: object) -> None:
    flat = array.reshape(-1)
    for start in range(0, len(flat), CHUNK):  # no second array of the file's size
        part = np.abs(flat[start : start + CHUNK])
        if not np.isfinite(part).all():
            raise TensorFileError("not-finite", who, f"finite numbers in {name}", "NaN or infinity")
        if len(part) and part.max() > max_abs:
            raise TensorFileError(
                "too-big-values", who, f"{name} of at most {max_abs:g}", float(part.max())
            )


def _short(value: object) -> str:
    return repr(value)[:120]
