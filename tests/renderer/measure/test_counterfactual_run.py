from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.hdf5 import attribute, column, open_checked
from recombine.renderer.measure.influence import choose_pairs, mask_dataset
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.scenes.scene import RenderSettings, Scene
from recombine.renderer.store.shards import save_plan
from tests.renderer.two_objects import two_objects

SIZE = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_plan(tmp_path, make_plan(two_objects(SIZE)))
    return tmp_path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Scene]:
    """Object k paints the k-th half of the picture in a grey of its shape."""
    scenes: list[Scene] = []

    def draw(scene: Scene, settings: RenderSettings) -> np.ndarray:
        assert (settings.denoise, settings.samples) == (False, 3)
        scenes.append(scene)
        out = np.zeros((SIZE, SIZE, 3), np.float32)
        for k, thing in enumerate(scene.objects):
            if thing is not None:
                out[:, k * SIZE // 2 : (k + 1) * SIZE // 2] = 0.1 + len(thing.shape) / 20
        return out

    monkeypatch.setattr("recombine.renderer.blender.draw.render_radiance", draw)
    return scenes


def test_kinds_of_edits_come_in_turn() -> None:
    plan = make_plan(two_objects())
    everything = choose_pairs(plan, 0)
    some = choose_pairs(plan, 4)
    assert set(some) < set(everything)
    assert some == sorted(some)
    kinds = {(edit, int(plan.split[b])) for _, b, edit in some}
    assert len(kinds) == 4  # two objects, ID and OOC


def test_masks_are_written_per_pair(folder: Path, drawn: list[Scene]) -> None:
    masks = mask_dataset(folder, pairs=6, samples=3, make_executor=partial(ThreadPoolExecutor, 1))
    plan = make_plan(two_objects(SIZE))
    with open_checked(masks.data) as handle:
        names = attribute(handle, "edits").split(",")
        rows = [column(handle, n) for n in ("index_a", "index_b", "edit", "mask", "visible")]
    assert names == ["object0", "object1"]
    assert [(a, b, names[e]) for a, b, e in zip(*rows[:3], strict=True)] == choose_pairs(plan, 6)
    for a, b, edit, mask, visible in zip(*rows, strict=True):
        shapes = [plan.scene(int(i)).objects[edit].shape for i in (a, b)]
        expected = np.zeros((SIZE, SIZE), bool)
        half = slice(edit * SIZE // 2, (edit + 1) * SIZE // 2)
        expected[:, half] = len(shapes[0]) != len(shapes[1])
        assert np.array_equal(mask, expected)
        assert np.array_equal(visible, expected)
    assert json.loads(masks.table.read_text()) == masks.summary
    assert sum(kind["pairs"] for kind in masks.summary["kinds"].values()) == 6
    assert masks.picture.read_bytes()[:4] == b"\x89PNG"
    assert len(drawn) <= 12


def test_a_base_scene_is_drawn_once_for_edits_in_a_row(folder: Path, drawn: list[Scene]) -> None:
    mask_dataset(folder, samples=3, make_executor=partial(ThreadPoolExecutor, 1))
    pairs = choose_pairs(make_plan(two_objects(SIZE)), 0)
    assert len(drawn) < 2 * len(pairs)


def test_no_pairs_is_an_error_that_names_the_preset() -> None:
    plan = make_plan(two_objects())
    apart = replace(plan, block=np.arange(len(plan)))
    with pytest.raises(InvalidInputError, match="preset counterfactual"):
        choose_pairs(apart, 4)
