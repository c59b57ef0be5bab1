"""HDF5 files opened through a whitelist.

An HDF5 file can point elsewhere: external links, virtual datasets and external storage make a
reader return bytes of another file without a warning, and sparse or compressed datasets can
claim far more memory than they occupy. None of these is ever read here.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import h5py
import numpy as np

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.system import system_error
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Int64

MAX_BYTES = 16 * 2**30


@dataclass(frozen=True)
class Column:
    """What a dataset inside a file must look like."""

    dtype: str  # numPy dtype string
    tail: tuple[int | None, ...] = ()  # shape after the first axis; None stands for any size


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn what h5py raises into a typed error: the system refused a file, or it is damaged."""
    try:
        yield
    # Damage shows as any of these, depending on the bytes that it hit.
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        NotImplementedError,
        MemoryError,
        OverflowError,
        zlib.error,
    ) as error:
        if refused := system_error(path, error):
            raise refused from error
        raise IntegrityError(
            f"{path}: expected a complete HDF5 file; it is truncated or damaged ({error}). "
            "Delete it and run the same render command again."
        ) from error


def open_checked(path: Path) -> h5py.File:
    """Open a file read-only after checking every object in it."""
    with reading(path):
        if not path.is_file():
            raise InvalidInputError(f"{path}: expected an HDF5 file; found none. Check the path.")
        handle = open_unchecked(path)
        try:
            _walk(handle, path)
        except BaseException:
            handle.close()
            raise
    return handle


def open_unchecked(path: Path) -> h5py.File:
    """Open a file read-only; for one that `open_checked` has passed."""
    # A finished file never changes, and some disks have no locks. Where this process has it open in
    # another way already, HDF5 takes that way only.
    for locking in (False, None):
        try:
            return h5py.File(path, "r", locking=locking)
        except OSError as error:
            if "flag values don't match" not in str(error):
                raise
    return h5py.File(path, "r", locking=True)


def new_file(path: Path) -> h5py.File:
    """Make a file that nobody else knows yet, so that it needs no lock."""
    return h5py.File(path, "w", libver="latest", locking=False)


def stored(handle: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset of a file."""
    with reading(handle.filename):
        found = handle.get(name)
    if not isinstance(found, h5py.Dataset):
        raise IntegrityError(f"{handle.filename}: expected a dataset {name!r}; found none.")
    return found


def column(handle: h5py.File, name: str) -> Array:
    """Return a whole dataset of a file as an array."""
    found = stored(handle, name)
    with reading(handle.filename):
        values: Array = np.asarray(found[...])
    return values


class Layout(Protocol):
    """Where a dataset lies in its file."""

    def rows(self, content: Array, rows: Int64[Array, " n"]) -> Array:
        """Return some rows out of the bytes of the file; a copy."""
        ...


@dataclass(frozen=True)
class _Block:
    """A dataset that is one plain block."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def rows(self, content: Array, rows: Array) -> Array:
        end = self.offset + self.dtype.itemsize * math.prod(self.shape)
        whole = content[self.offset : end].view(self.dtype).reshape(self.shape)
        return np.asarray(whole[rows])


@dataclass(frozen=True)
class _Chunks:
    """A dataset of one chunk per row, each shuffled and compressed or neither."""

    places: tuple[tuple[int, int, int], ...]  # offset, bytes, mask of the filters left out
    filters: tuple[int, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def rows(self, content: Array, rows: Array) -> Array:
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place, row in enumerate(rows.tolist()):
            offset, size, left_out = self.places[row]
            data: Array = content[offset : offset + size]
            for number, kind in reversed(list(enumerate(self.filters))):
                if left_out >> number & 1:
                    continue
                if kind == h5py.h5z.FILTER_DEFLATE:
                    most = self.dtype.itemsize * math.prod(self.shape[1:])
                    data = np.frombuffer(
                        zlib.decompressobj().decompress(data.tobytes(), most), np.uint8
                    )
                else:  # the first bytes of all numbers come first, then the second ones
                    data = data.reshape(self.dtype.itemsize, -1).T.reshape(-1)
            found[place] = data.view(self.dtype).reshape(self.shape[1:])
        return found


_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}


def layouts(handle: h5py.File) -> dict[str, Layout]:
    """Return where the datasets lie in their file that can be read without HDF5."""
    found: dict[str, Layout] = {}
    size = Path(handle.filename).stat().st_size

    def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and (layout := _layout(item, size)):
            found[name] = layout

    with reading(handle.filename):
        handle.visititems(look)
    return found


def _layout(dataset: h5py.Dataset, size: int) -> Layout | None:
    # Beyond the end of the file a map would kill the process instead of raising.
    if not dataset.size:
        return None
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        if offset is None or offset + dataset.nbytes > size:
            return None
        return _Block(offset, dataset.dtype, dataset.shape)
    listed = dataset.id.get_create_plist()
    filters = tuple(listed.get_filter(k)[0] for k in range(listed.get_nfilters()))
    if dataset.chunks != (1, *dataset.shape[1:]) or not _FILTERS.issuperset(filters):
        return None
    chunks = (dataset.id.get_chunk_info(k) for k in range(dataset.id.get_num_chunks()))
    where = {c.chunk_offset[0]: (c.byte_offset, c.size, c.filter_mask) for c in chunks}
    places = tuple(where.get(row, (size, 1, 0)) for row in range(len(dataset)))
    if any(offset + length > size for offset, length, _ in places):
        return None
    return _Chunks(places, filters, dataset.dtype, dataset.shape)


def attribute(handle: h5py.File, name: str) -> str:
    """Return an attribute of a file as text; empty when it has none."""
    with reading(handle.filename):
        return str(handle.attrs.get(name, ""))


def attributes(handle: h5py.File) -> dict[str, str | int]:
    """Return the attributes of a file, texts and whole numbers; others are refused."""
    found: dict[str, str | int] = {}
    with reading(handle.filename):
        for name, value in handle.attrs.items():
            if isinstance(value, str):
                found[name] = value
            elif isinstance(value, np.integer):
                found[name] = int(value)
            else:
                raise IntegrityError(
                    f"{handle.filename}: expected a text or a whole number as attribute {name!r}; "
                    f"got {type(value).__name__}. Do not use this file."
                )
    return found


def read_columns(handle: h5py.File, path: Path, columns: Mapping[str, Column], n: int) -> None:
    """Check that a file holds datasets of the promised type and length."""
    with reading(path):
        _read_columns(handle, path, columns, n)


def require_only(
    handle: h5py.File,
    path: Path,
    columns: Collection[str],
    conventions: Mapping[str, str] | None = None,
) -> None:
    """Check that a file holds no dataset that is not asked for: it could tell what is secret.

    The one attribute that a dataset may have is its ``convention``, in these very words.
    """
    known = {*columns, *(name.rpartition("/")[0] for name in columns)}
    extra: list[str] = []

    def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
        told = (conventions or {}).get(name)
        said = [(key, str(value)) for key, value in item.attrs.items()]
        if name not in known or any(pair != ("convention", told) for pair in said):
            extra.append(name)

    with reading(path):
        handle.visititems(look)
    if extra:
        raise IntegrityError(
            f"{path}: expected the datasets and attributes of the format only; got "
            f"{extra[0]!r}. Do not use this file."
        )


def _read_columns(handle: h5py.File, path: Path, columns: Mapping[str, Column], n: int) -> None:
    for name, wanted in columns.items():
        dataset = stored(handle, name)
        fits = len(dataset.shape) == 1 + len(wanted.tail) and all(
            want in (None, got) for want, got in zip(wanted.tail, dataset.shape[1:], strict=False)
        )
        if dataset.dtype != np.dtype(wanted.dtype) or not fits or dataset.shape[0] != n:
            raise IntegrityError(
                f"{path}: dataset {name!r} must be {wanted.dtype} of shape {(n, *wanted.tail)}; "
                f"got {dataset.dtype} of shape {dataset.shape}. Render it again."
            )


def _walk(group: h5py.Group, path: Path) -> None:
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise IntegrityError(
                f"{path}: expected data inside the file; {name!r} is a {type(link).__name__} "
                "that points elsewhere. Do not use this file."
            )
        item = group[name]
        if isinstance(item, h5py.Group):
            _walk(item, path)
        elif isinstance(item, h5py.Dataset):
            _check_dataset(item, path)
        else:
            raise IntegrityError(f"{path}: expected numeric datasets; {name!r} is a named type.")


def _check_dataset(dataset: h5py.Dataset, path: Path) -> None:
    reason = None
    if dataset.is_virtual or dataset.external:
        reason = "reads other files"
    elif dataset.dtype.kind not in "iufb":
        reason = f"has the type {dataset.dtype}, not a number"
    elif dataset.size * dataset.dtype.itemsize > MAX_BYTES:
        reason = f"claims {dataset.size * dataset.dtype.itemsize / 2**30:.0f} GiB"
    elif _is_sparse(dataset):
        reason = "claims more data than the file holds"
    if reason:
        raise IntegrityError(
            f"{path}: expected plain numeric datasets; {dataset.name!r} {reason}. "
            "Do not use this file."
        )


def _is_sparse(dataset: h5py.Dataset) -> bool:
    if dataset.chunks is None:
        return bool(dataset.id.get_storage_size() < dataset.nbytes)
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    return bool(dataset.id.get_num_chunks() < math.prod(-(-n // c) for n, c in sizes))
