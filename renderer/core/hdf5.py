"""HDF5 files opened through a whitelist.

An HDF5 file can point elsewhere: external links, virtual datasets and external storage make a
reader return bytes of another file without a warning, and sparse or compressed datasets can
claim far more memory than they occupy. None of these is ever read here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
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


def open_checked(path: Path) -> h5py.File:
    """Open a file read-only after checking every object in it."""
    if not path.is_file():
        raise InvalidInputError(f"{path}: expected an HDF5 file; found none. Check the path.")
    try:
        handle = h5py.File(path, "r")
    except OSError as error:
        raise IntegrityError(
            f"{path}: expected a complete HDF5 file; it is truncated or damaged ({error}). "
            "Delete it and run the same render command again."
        ) from error
    try:
        _walk(handle, path)
    except Exception:
        handle.close()
        raise
    return handle


def stored(handle: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset of a file."""
    found = handle.get(name)
    if not isinstance(found, h5py.Dataset):
        raise IntegrityError(f"{handle.filename}: expected a dataset {name!r}; found none.")
    return found


def column(handle: h5py.File, name: str) -> Array:
    """Return a whole dataset of a file as an array."""
    values: Array = np.asarray(stored(handle, name)[:])
    return values


def mapped(dataset: h5py.Dataset) -> h5py.Dataset | Array:
    """Return a read-only memory-map of a dataset that lies in its file as one plain block."""
    offset = dataset.id.get_offset()
    path = Path(dataset.file.filename)
    # Beyond the end of the file a map would kill the process instead of raising.
    if offset is None or not dataset.size or offset + dataset.nbytes > path.stat().st_size:
        return dataset
    block = np.memmap(path, dataset.dtype, "r", offset, dataset.shape)
    return block.view(np.ndarray)


def attribute(handle: h5py.File, name: str) -> str:
    """Return an attribute of a file as text; empty when it has none."""
    return str(handle.attrs.get(name, ""))


def read_columns(handle: h5py.File, path: Path, columns: Mapping[str, Column], n: int) -> None:
    """Check that a file holds datasets of the promised type and length."""
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
