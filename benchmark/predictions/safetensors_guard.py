"""One safetensors file from an untrusted hand: its header is checked before the library reads it.

The library tolerates what would be a hole here: repeated keys (the last one wins), headers of
100 MB, types and sizes that nobody asked for, numbers that are not finite. Whatever is wrong has a
name (`TensorFileError.reason`). No array is made before its size is known to be in the file.

Layout: 8 bytes with the header's length (little-endian), a JSON header, the tensors' bytes.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.system import system_error

if TYPE_CHECKING:
    from pathlib import Path

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
ITEM_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL"), 1),
}
NAMES = {"float32": "F32", "int64": "I64", "uint8": "U8"}  # types of the files written here
TODO = "run the submission again"
MAX_HEADER = 2**20
MAX_DIMENSIONS = 8
CHUNK = 2**20


class TensorFileError(InvalidInputError):
    """A tensor file is refused."""

    def __init__(
        self, reason: Reason, who: object, expected: object, got: object, todo: str = TODO
    ) -> None:
        super().__init__(f"{who}: refused [{reason}]: expected {expected}, got {got}; {todo}")
        self.reason: Reason = reason
        self.found = str(who), str(expected), str(got)


@dataclass(frozen=True)
class Rule:
    """What one tensor must be."""

    dtype: str  # a value of `NAMES`
    shape: tuple[tuple[int, int], ...]  # least and greatest size of every axis
    # greatest magnitude; also refuses NaN and infinity. None for integers
    max_abs: float | None = None


class _Entry(NamedTuple):
    begin: int
    end: int
    dtype: str
    shape: tuple[int, ...]


class TensorFile:
    """A tensor file whose header is known to be sound; no tensor has been read yet."""

    def __init__(
        self, path: Path, who: object, metadata: Mapping[str, str], entries: dict[str, _Entry]
    ) -> None:
        self.metadata = metadata
        self.names = frozenset(entries)
        self._path, self._who, self._entries = path, who, entries

    def take(self, rules: Mapping[str, Rule]) -> dict[str, Array]:
        """Read all tensors, which must be exactly those that have a rule."""
        if self.names != set(rules):
            got = [name[:80] for name in sorted(self.names)[:8]]
            raise TensorFileError("wrong-names", self._who, f"tensors {sorted(rules)}", got)
        for name, rule in rules.items():
            self._check_form(name, rule)
        try:
            with safe_open(self._path, "np") as stream:
                arrays: dict[str, Array] = {name: stream.get_tensor(name) for name in rules}
        except (SafetensorError, OSError) as error:  # it is not the file that was checked
            raise system_error(self._path, error) or TensorFileError(
                "truncated-data", self._who, "the same file", error
            ) from error
        for name, rule in rules.items():
            if rule.max_abs is not None:
                _check_values(arrays[name], name, rule.max_abs, self._who)
        return arrays

    def _check_form(self, name: str, rule: Rule) -> None:
        entry = self._entries[name]
        if entry.dtype != rule.dtype:
            raise TensorFileError(
                "wrong-dtype", self._who, f"{name} of type {rule.dtype}", entry.dtype
            )
        fits = len(entry.shape) == len(rule.shape) and all(
            low <= size <= high for size, (low, high) in zip(entry.shape, rule.shape, strict=True)
        )
        if not fits:
            wanted = "x".join(str(a) if a == b else f"{a}..{b}" for a, b in rule.shape)
            raise TensorFileError("wrong-shape", self._who, f"{name} {wanted}", entry.shape)


def open_tensor_file(path: Path, *, max_bytes: int, who: object | None = None) -> TensorFile:
    """Check the header of a tensor file, without reading a tensor."""
    who = path if who is None else who
    try:
        status = path.lstat()
    except OSError as error:
        raise system_error(path, error) or TensorFileError(
            "no-file", who, "a file", error.strerror
        ) from error
    size = status.st_size
    if not stat.S_ISREG(status.st_mode):
        raise TensorFileError("not-a-file", who, "a regular file", "a link, folder or device")
    if size < 10:
        raise TensorFileError("too-small", who, "at least 10 bytes", size)
    if size > max_bytes:
        raise TensorFileError("too-large", who, f"at most {max_bytes} bytes", size)
    with _opened(path) as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > MAX_HEADER:
            raise TensorFileError("huge-header", who, f"at most {MAX_HEADER} bytes", length)
        if 8 + length > size:
            raise TensorFileError("truncated-header", who, f"a header of {length} bytes", size - 8)
        header = _json(stream.read(length), who)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise TensorFileError("wrong-metadata", who, "texts", type(metadata).__name__)
    entries = {name: _entry(name, raw, who) for name, raw in header.items()}
    _check_tiling(entries, size - 8 - length, who)
    return TensorFile(path, who, metadata, entries)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise system_error(path, error) or error from error


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
    # The library replaces the file, which isolated code cannot do: it sees one file, no folder.
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    begin = 0
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    for name, array in arrays.items():
        kind = {"dtype": NAMES[str(array.dtype)], "shape": list(array.shape)}
        header[name] = {**kind, "data_offsets": [begin, begin + array.nbytes]}
        begin += array.nbytes
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            stream.write(array.data)


def _json(text: bytes, who: object) -> dict[str, Any]:
    """Return a JSON object in which no key stands twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise TensorFileError("duplicate-key", who, "every key once", repr(key[:80]))
            seen.add(key)
        return dict(pairs)

    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        header = json.loads(
            text.decode("utf-8", "strict"), object_pairs_hook=unique, parse_constant=no_constant
        )
    except (ValueError, RecursionError) as error:
        raise TensorFileError("not-json", who, "a JSON header", type(error).__name__) from error
    if not isinstance(header, dict) or not text.startswith(b"{"):
        raise TensorFileError("not-json", who, "a JSON object", type(header).__name__)
    return header


def _entry(name: str, raw: object, who: object) -> _Entry:
    label, got = repr(name[:80]), repr(raw)[:120]
    if not isinstance(raw, dict) or set(raw) != {"dtype", "shape", "data_offsets"}:
        raise TensorFileError("bad-entry", who, f"dtype, shape and data_offsets of {label}", got)
    shape, offsets, dtype = raw["shape"], raw["data_offsets"], raw["dtype"]
    if not (_sizes(shape) and _sizes(offsets)) or len(offsets) != 2 or len(shape) > MAX_DIMENSIONS:
        raise TensorFileError("bad-entry", who, f"whole numbers from 0 in {label}", got)
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise TensorFileError("wrong-dtype", who, f"a number type of {label}", repr(dtype)[:120])
    needed = ITEM_BYTES[dtype] * prod(shape)  # Python's whole numbers do not overflow
    if offsets[1] - offsets[0] != needed:
        taken = offsets[1] - offsets[0]
        raise TensorFileError("bad-entry", who, f"{needed} bytes for {label}", taken)
    return _Entry(offsets[0], offsets[1], dtype, tuple(shape))


def _sizes(raw: object) -> bool:
    return isinstance(raw, list) and all(type(n) is int and 0 <= n < 2**48 for n in raw)


def _check_tiling(entries: Mapping[str, _Entry], body: int, who: object) -> None:
    """Check that the tensors cover the bytes after the header without gap, overlap or rest."""
    end = 0
    for entry in sorted(entries.values()):
        if entry.begin != end:
            raise TensorFileError("gap-or-overlap", who, f"a tensor at byte {end}", entry.begin)
        end = entry.end
    if end != body:
        reason: Reason = "truncated-data" if end > body else "trailing-bytes"
        raise TensorFileError(reason, who, f"{end} bytes of tensors", body)


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
