from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.hdf5 import Column, mapped, open_checked, read_columns, stored


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


def test_only_a_plain_block_is_mapped(tmp_path: Path) -> None:
    values = np.arange(600, dtype=np.uint8).reshape(100, 6)
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as handle:
        handle.create_dataset("plain", data=values)
        handle.create_dataset("packed", data=values, chunks=(1, 6), compression=1)
        handle.create_dataset("empty", data=values[:0])
    with open_checked(tmp_path / "a.h5") as handle:
        block = mapped(stored(handle, "plain"))
        assert type(block) is np.ndarray
        assert not block.flags.writeable
        assert np.array_equal(block, values)
        for name in ("packed", "empty"):
            assert isinstance(mapped(stored(handle, name)), h5py.Dataset)
