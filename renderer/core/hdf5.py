"""HDF5 files opened through a whitelist.

An HDF5 file can point elsewhere: external links, virtual datasets and external storage make a
reader return bytes of another file without a warning, and sparse or compressed datasets can
claim far more memory than they occupy. None of these is ever read here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.types import Array

MAX_BYTES = 16 * 2**30


@dataclass(frozen=True)
class Column:
    """What a dataset inside a file must look like."""

    dtype: str  # numPy dtype string
    tail: tuple[int | None, ...] = ()  # shape after the first axis; None stands for any size


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn what h5py raises where a file is damaged into a typed error."""
    try:
        yield
    except PermissionError as error:
        raise InvalidInputError(
            f"{path}: expected a file that can be read; got {error.strerror}. Check its mode."
        ) from error
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
    ) as error:
        raise IntegrityError(
            f"{path}: expected a complete HDF5 file; it is truncated or damaged ({error}). "
            "Delete it and run the same render command again."
        ) from error


def open_checked(path: Path) -> h5py.File:
    """Open a file read-only after checking every object in it."""
    if not path.is_file():
        raise InvalidInputError(f"{path}: expected an HDF5 file; found none. Check the path.")
    with reading(path):
        handle = h5py.File(path, "r")
        try:
            _walk(handle, path)
        except BaseException:
            handle.close()
            raise
    return handle


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


def mapped(dataset: h5py.Dataset) -> h5py.Dataset | Array:
    """Return a read-only memory-map of a dataset that lies in its file as one plain block."""
    path = Path(dataset.file.filename)
    with reading(path):
        offset = dataset.id.get_offset()
        # Beyond the end of the file a map would kill the process instead of raising.
        if offset is None or not dataset.size or offset + dataset.nbytes > path.stat().st_size:
            return dataset
        block = np.memmap(path, dataset.dtype, "r", offset, dataset.shape)
        return block.view(np.ndarray)


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
