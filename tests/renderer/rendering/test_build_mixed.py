"""A dataset is drawn by one build from its first image to its last; anything else is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core import provenance
from recombine.renderer.core.errors import IntegrityError
from recombine.renderer.core.provenance import Build
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering.merge import merge
from recombine.renderer.rendering.pool import Unit
from recombine.renderer.rendering.render import (
    Engine,
    Part,
    render_dataset,
    render_part,
    require_build,
)
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.seal import identity_of
from recombine.renderer.store.shards import shard_path
from tests.renderer.drawn_fixture import DRAWN, draw_unit

PRESET = load_preset("smoke", scale=0.07, resolution=16)
LENS = "renderer/scenes/library.py changed"


@contextmanager
def another_lens(monkeypatch: pytest.MonkeyPatch, version: str = "") -> Iterator[None]:
    """Let every build that is read now have another camera than the one of the package."""
    there = _other(Build.here(), version)
    with monkeypatch.context() as patch:
        patch.setattr(Build, "here", classmethod(lambda _cls: there))
        yield


def _other(build: Build, version: str = "") -> Build:
    sources = {**build.sources, "renderer/scenes/library.py": "0" * 64}
    return replace(build, sources=sources, render_version=version or build.render_version)


def render(folder: Path, engine: Engine = DRAWN, **options: object) -> None:
    render_dataset(PRESET, folder, shard_size=20, engine=engine, **options)  # type: ignore[arg-type]


def test_another_lens_is_refused_on_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render(tmp_path)
    shard_path(tmp_path, 2).unlink()
    with another_lens(monkeypatch):
        with pytest.raises(IntegrityError, match=LENS):
            render(tmp_path)
        render(tmp_path, existing="overwrite")
    assert Dataset(tmp_path).manifest["build"]["sources"]["renderer/scenes/library.py"] == "0" * 64


def test_a_finished_dataset_is_left_to_the_build_that_drew_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(tmp_path)
    before = Dataset(tmp_path).manifest
    with another_lens(monkeypatch):
        render(tmp_path)
    assert Dataset(tmp_path).manifest == before


def test_a_folder_without_an_image_is_bound_to_no_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(folder: Path, unit: Unit) -> None:
        raise IntegrityError("a mistake in the new lens")

    with another_lens(monkeypatch), pytest.raises(IntegrityError, match="mistake"):
        render(tmp_path, Engine(lambda: ThreadPoolExecutor(1), failing))
    render(tmp_path)
    assert Dataset(tmp_path).manifest["build"] == Build.here().to_dict()


def test_sources_that_change_meanwhile_are_refused(tmp_path: Path) -> None:
    """What a worker asks, with the build that it finds after the change."""
    before = Build.here()

    def change(folder: Path, unit: Unit) -> None:
        require_build(folder, before if unit.number < 2 else _other(before))
        draw_unit(folder, unit)

    with pytest.raises(IntegrityError, match=f"one build from its first image.*{LENS}"):
        render(tmp_path, Engine(lambda: ThreadPoolExecutor(1), change))
    assert not (tmp_path / "manifest.json").exists()


def test_parts_of_two_builds_are_not_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def part(name: str) -> None:
        render_part(PRESET, tmp_path / name[0], Part.parse(name), shard_size=20, engine=DRAWN)

    part("1/2")
    with another_lens(monkeypatch):
        part("2/2")
    with pytest.raises(IntegrityError, match=LENS):
        merge([tmp_path / "1", tmp_path / "2"], tmp_path / "merged")
    shutil.rmtree(tmp_path / "2")
    part("2/2")
    merged = merge([tmp_path / "1", tmp_path / "2"], tmp_path / "merged")
    assert merged.certificate.passed
    assert Dataset(tmp_path / "merged").manifest["build"] == Build.here().to_dict()


def test_shards_put_together_by_hand_fail_the_check(tmp_path: Path) -> None:
    render(tmp_path)
    last = len(Dataset(tmp_path).manifest["shards"]) - 1
    with h5py.File(shard_path(tmp_path, last), "r+") as handle:
        handle.attrs["build"] = json.dumps(_other(Build.here()).to_dict())
    with pytest.raises(IntegrityError, match=LENS):
        render(tmp_path)
    check = {c.name: c for c in verify(tmp_path, seal=False).checks}["build"]
    assert check.status == "fail"
    assert LENS in check.found
    assert "ID-test" not in check.found  # blocks are neighbours: no shard parts ID from OOC


def test_a_docstring_changes_the_build_and_not_the_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(tmp_path / "here")
    with another_lens(monkeypatch):
        render(tmp_path / "edited")
    with another_lens(monkeypatch, version="3"):
        render(tmp_path / "raised")
    here, edited, raised = (Dataset(tmp_path / n) for n in ("here", "edited", "raised"))
    assert here.manifest["build"]["sha256"] != edited.manifest["build"]["sha256"]
    assert here.identity == edited.identity != raised.identity
    assert here.label_root == raised.label_root
    assert raised.render_version == "3"
    words = (here.manifest["plan_sha256"], here.label_root, provenance.RENDER_VERSION)
    assert here.identity == identity_of(*words)


def test_the_identity_rests_on_labels_and_not_on_pixels(tmp_path: Path) -> None:
    def other_pixels(folder: Path, unit: Unit) -> None:
        draw_unit(folder, unit, tint=1)

    def other_depth(folder: Path, unit: Unit) -> None:
        draw_unit(folder, unit, depth=1)

    render(tmp_path / "here")
    render(tmp_path / "pixels", Engine(lambda: ThreadPoolExecutor(1), other_pixels))
    render(tmp_path / "depth", Engine(lambda: ThreadPoolExecutor(1), other_depth))
    here, pixels, depth = (Dataset(tmp_path / n) for n in ("here", "pixels", "depth"))
    assert here.identity == pixels.identity != depth.identity
    assert here.root != pixels.root
