from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import h5py
import pytest

from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    ResourceError,
    UsageError,
)
from recombine.renderer.core.hdf5 import column, stored
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering.merge import merge, seal_folder
from recombine.renderer.rendering.render import Part, render_dataset, render_part
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.shards import content_digest, shard_path
from tests.renderer.drawn_fixture import DRAWN

pytestmark = pytest.mark.long

PRESET = load_preset("smoke", scale=0.07, resolution=16)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Two halves drawn apart, and the root of one uninterrupted run."""
    base = tmp_path_factory.mktemp("halves")
    for k in (1, 2):
        render_part(PRESET, base / f"{k}", Part(k, 2), shard_size=20, engine=DRAWN)
    certificate = render_dataset(PRESET, base / "whole", shard_size=20, engine=DRAWN)
    return base / "1", base / "2", certificate.root


def test_halves_join_to_the_root_of_one_run(halves: tuple[Path, Path, str], tmp_path: Path) -> None:
    first, second, root = halves
    seen: list[tuple[int, int]] = []
    out = tmp_path / "joined"
    merged = merge([second, first], out, progress=lambda *a: seen.append(a))
    assert merged.certificate.root == root == Dataset(out).root
    assert merged.twice == 0
    assert seen[-1] == (merged.shards, merged.shards)
    assert shard_path(out, 0).stat().st_ino == shard_path(first, 0).stat().st_ino
    assert merge([out, first], tmp_path / "again").twice > 0
    assert merge([first, second], out).certificate.root == root  # runs again, keeps what is there


def test_files_are_copied_where_links_are_not_possible(
    halves: tuple[Path, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assert merge(halves[:2], tmp_path / "joined").certificate.root == halves[2]


def test_missing_and_damaged_shards_are_named(
    halves: tuple[Path, Path, str], tmp_path: Path
) -> None:
    first = Path(shutil.copytree(halves[0], tmp_path / "first"))
    shard_path(first, 0).unlink()
    path = shard_path(first, 1)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InvalidInputError, match=r"0\.\.19, 20\.\.39 are missing or damaged"):
        merge([first, halves[1]], tmp_path / "joined")
    with pytest.raises(InvalidInputError, match="missing or damaged"):
        seal_folder(first)
    assert not (tmp_path / "joined").exists()


def test_shards_that_differ_are_refused(halves: tuple[Path, Path, str], tmp_path: Path) -> None:
    whole = Path(shutil.copytree(halves[0].parent / "whole", tmp_path / "whole"))
    with h5py.File(shard_path(whole, 0), "r+") as handle:
        images = stored(handle, "image")
        images[0, 0, 0, 0] = 255 - images[0, 0, 0, 0]
        names: list[str] = []
        handle.visititems(lambda n, o: names.append(n) if isinstance(o, h5py.Dataset) else None)
        handle.attrs["content_sha256"] = content_digest({n: column(handle, n) for n in names})
    with pytest.raises(IntegrityError, match=r"0\.\.19 must be equal"):
        merge([halves[0], whole], tmp_path / "joined")


def test_other_plans_and_shard_sizes_are_refused(
    halves: tuple[Path, Path, str], tmp_path: Path
) -> None:
    other = load_preset("smoke", scale=0.1, resolution=16)
    render_part(other, tmp_path / "other", Part(2, 2), shard_size=20, engine=DRAWN)
    with pytest.raises(IntegrityError, match="of one plan"):
        merge([halves[0], tmp_path / "other"], tmp_path / "joined")
    render_part(PRESET, tmp_path / "size", Part(2, 2), shard_size=10, engine=DRAWN)
    with pytest.raises(IntegrityError, match="--shard-size"):
        merge([halves[0], tmp_path / "size"], tmp_path / "joined")
    with pytest.raises(InvalidInputError, match=r"no plan\.h5"):
        merge([tmp_path], tmp_path / "joined")
    with pytest.raises(UsageError, match="one of the sources"):
        merge(halves[:2], halves[0])
    assert not (tmp_path / "joined").exists()


def test_a_full_disk_leaves_no_half_file(
    halves: tuple[Path, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "joined"
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(ResourceError, match="the disk is full"):
            merge(halves[:2], out)
    assert not list((out / "shards").iterdir())
    assert not (out / "manifest.json").exists()
    assert merge(halves[:2], out).certificate.root == halves[2]


def test_a_single_folder_is_sealed_in_place(halves: tuple[Path, Path, str], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(halves[0].parent / "whole", tmp_path / "whole"))
    for name in ("manifest.json", "certificate.json"):
        (folder / name).unlink()
    assert seal_folder(folder).root == halves[2]
    Dataset(folder).check()
