from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from recombine.renderer.core.errors import IntegrityError, InvalidInputError, ResourceError
from recombine.renderer.core.hdf5 import (
    Column,
    layouts,
    new_file,
    open_checked,
    open_unchecked,
    read_columns,
    reading,
)


def secret(folder: Path) -> Path:
    path = folder / "labels.h5"
    with h5py.File(path, "w") as handle:
        handle["labels"] = np.arange(10)
    (folder / "raw.bin").write_bytes(np.arange(10).tobytes())
    return path


def external_link(handle: h5py.File, folder: Path) -> None:
    handle["stolen"] = h5py.ExternalLink(str(secret(folder)), "labels")


def soft_link(handle: h5py.File, folder: Path) -> None:
    handle["a"] = np.arange(3)
    handle["b"] = h5py.SoftLink("/a")


def virtual_dataset(handle: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout(shape=(10,), dtype="i8")
    layout[:] = h5py.VirtualSource(str(secret(folder)), "labels", shape=(10,))
    handle.create_virtual_dataset("stolen", layout)


def external_storage(handle: h5py.File, folder: Path) -> None:
    secret(folder)
    raw = [(str(folder / "raw.bin"), 0, 80)]
    handle.create_dataset("stolen", shape=(10,), dtype="i8", external=raw)


def huge_claim(handle: h5py.File, folder: Path) -> None:
    handle.create_dataset("big", shape=(2**35,), dtype="u1", chunks=(2**20,))


def sparse_chunks(handle: h5py.File, folder: Path) -> None:
    handle.create_dataset("sparse", shape=(2**20,), dtype="u1", chunks=(2**10,))


def unallocated(handle: h5py.File, folder: Path) -> None:
    handle.create_dataset("sparse", shape=(2**20,), dtype="u1")


def objects(handle: h5py.File, folder: Path) -> None:
    handle.create_dataset("text", data=["a", "b"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    "attack",
    [
        external_link,
        soft_link,
        virtual_dataset,
        external_storage,
        huge_claim,
        sparse_chunks,
        unallocated,
        objects,
    ],
)
def test_files_that_point_elsewhere_or_lie_about_size_are_refused(
    attack: object, tmp_path: Path
) -> None:
    path = tmp_path / "bad.h5"
    with h5py.File(path, "w") as handle:
        attack(handle.create_group("nested"), tmp_path)  # type: ignore[operator]
    with pytest.raises(IntegrityError, match=r"bad\.h5"):
        open_checked(path)


def test_plain_file_opens(tmp_path: Path) -> None:
    path = tmp_path / "good.h5"
    with h5py.File(path, "w") as handle:
        handle["x/y"] = np.zeros((3, 2), np.float32)
    with open_checked(path) as handle:
        read_columns(handle, path, {"x/y": Column("f4", (2,))}, 3)
        for column, n in ((Column("f8", (2,)), 3), (Column("f4", (3,)), 3), (Column("f4"), 3)):
            with pytest.raises(IntegrityError, match="must be"):
                read_columns(handle, path, {"x/y": column}, n)
        with pytest.raises(IntegrityError, match="found none"):
            read_columns(handle, path, {"z": Column("f4")}, 3)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="found none"):
        open_checked(tmp_path / "no.h5")
    (tmp_path / "text.h5").write_text("not hdf5")
    with pytest.raises(IntegrityError, match="truncated or damaged"):
        open_checked(tmp_path / "text.h5")


def test_rows_are_read_without_hdf5_where_the_layout_is_known(tmp_path: Path) -> None:
    path, rng = tmp_path / "a.h5", np.random.default_rng(0)
    values = rng.integers(0, 4, (100, 6), np.uint8)
    depth = rng.normal(size=(100, 3, 5)).astype(np.float16)
    noise = rng.integers(0, 256, (100, 2), np.uint8)  # too small to be compressed: filters left out
    with new_file(path) as handle:
        handle.create_dataset("plain", data=values)
        handle.create_dataset("small/numbers", data=np.arange(100.0))
        handle.create_dataset("packed", data=values, chunks=(1, 6), compression=1)
        handle.create_dataset("depth", data=depth, chunks=(1, 3, 5), compression=1, shuffle=True)
        handle.create_dataset("noise", data=noise, chunks=(1, 2), compression=1, shuffle=True)
        handle.create_dataset("empty", data=values[:0])
        handle.create_dataset("other", data=values, chunks=(2, 6), compression=1)
        handle.create_dataset("lzf", data=values, chunks=(1, 6), compression="lzf")
    content = np.frombuffer(path.read_bytes(), np.uint8)
    rows = np.array([99, 3, 3, 40])
    with open_checked(path) as handle:
        known = layouts(handle)
        assert set(known) == {"plain", "small/numbers", "packed", "depth", "noise"}
        for name, layout in known.items():
            assert np.array_equal(layout.rows(content, rows), handle[name][:][rows])
    damaged = content.copy()
    damaged[known["packed"].places[3][0]] ^= 0xFF  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError, match="damaged"), reading(path):
        known["packed"].rows(damaged, rows)


def test_sealed_files_are_read_whatever_locks_there_are(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with new_file(path) as handle:
        handle["x"] = np.arange(3)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # HDF5 itself refuses now, as on a disk without locks
        with pytest.raises(BlockingIOError):
            h5py.File(path, "r")
        with open_checked(path) as handle:
            assert handle["x"][:].tolist() == [0, 1, 2]
    for locking in (True, False, None, "best-effort"):  # as somebody in this process may have it
        with h5py.File(path, "r", locking=locking), open_unchecked(path) as handle:
            assert handle["x"][:].tolist() == [0, 1, 2]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOLCK, errno.ENOTSUP, errno.EIO])
@pytest.mark.parametrize("form", ["errno", "text"])
def test_what_the_system_refuses_is_no_damage(number: int, form: str) -> None:
    text = f"Unable to open file (unable to lock file, errno = {number}, error message = '...')"
    error = OSError(number, os.strerror(number)) if form == "errno" else OSError(text)
    with pytest.raises(ResourceError) as caught, reading("data/plan.h5"):
        raise error
    message = str(caught.value)
    assert message.startswith("data/plan.h5: expected a file that can be read; got ")
    assert os.strerror(number) in message
    assert "amage" not in message
    assert "elete" not in message
