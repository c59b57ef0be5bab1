from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.blender import tonemap
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.hdf5 import column, open_checked
from recombine.renderer.measure.tangents import STEP, nudges, render_tangents
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import load_preset
from recombine.renderer.scenes.scene import RenderSettings, Scene, scene_of
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.shards import pixel_hash
from tests.renderer.drawn_fixture import drawn_dataset
from tests.renderer.two_objects import two_objects

ONE = partial(ThreadPoolExecutor, 1)


def radiance(scene: Scene, settings: RenderSettings) -> np.ndarray:
    """One grey that depends on every number of the scene, dark enough to be encoded smoothly."""
    assert (settings.denoise, settings.samples) == (False, 3)
    thing = scene.objects[0]
    assert thing is not None
    grey = 0.2 + 0.01 * (thing.x + 2 * thing.y + 3 * thing.scale) + 0.001 * len(scene.environment)
    return np.full((settings.resolution,) * 2 + (3,), grey + 0.001 * (thing.yaw + thing.hue))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    drawn_dataset(tmp_path)
    monkeypatch.setattr("recombine.renderer.blender.draw.render_radiance", radiance)
    return tmp_path


@pytest.mark.parametrize("preset", ["smoke", "object-object", "object-light", "count", "relation"])
def test_one_latent_per_slot_is_changed_and_stays_in_range_and_in_combination(preset: str) -> None:
    plan = make_plan(load_preset(preset, scale=0.01, resolution=16))
    trained = np.flatnonzero(plan.split == SPLITS.index("id_train"))
    cells = {tuple(plan.latents[k][i] for k in plan.schema.recombined) for i in trained}
    for index in trained[:40].tolist():
        found = nudges(plan, index)
        assert len(found) >= 1
        for number, (moved, step) in found.items():
            slot = plan.schema.slots[number].name
            (key,) = [k for k, column in plan.latents.items() if moved[k] != column[index]]
            factor, change = plan.schema.factor(key), moved[key] - plan.latents[key][index]
            assert key.partition(".")[0] == slot
            assert tuple(moved[k] for k in plan.schema.recombined) in cells
            if factor.kind == "continuous":
                assert factor.low <= moved[key] <= factor.high
                spread = (factor.high - factor.low) / math.sqrt(12)
                assert change == pytest.approx(step * spread)
            elif factor.kind == "periodic":
                assert change % (2 * math.pi) == pytest.approx(step)
            else:
                assert step == pytest.approx(math.sqrt(2))  # from one column of 1 to another
            assert plan.scene(index) != scene_of(
                plan.schema, plan.config["constants"], moved, int(plan.cycles_seed[index])
            )


def test_tangents_are_differences_of_renders_per_unit(folder: Path) -> None:
    path = render_tangents(folder, images=12, samples=3, make_executor=ONE)
    data, plan = Dataset(folder), make_plan(load_preset("smoke", scale=0.07, resolution=16))
    with open_checked(path) as handle:
        hashes, slots, found = (column(handle, n) for n in ("pixel_hash", "slot", "tangent"))
    assert found.shape == (12, 2, 16, 16, 3)
    assert found.dtype == np.float16
    trained = data.indices("id_train")
    stored = {pixel_hash(image): int(i) for i, image in zip(trained, data.images(trained))}  # noqa: B905
    assert slots.tolist() == [[0, 1]] * 12
    for digest, pair in zip(hashes, found, strict=True):
        index = stored[digest.tobytes()]
        settings = RenderSettings(16, 3, denoise=False)
        base = tonemap.display(radiance(plan.scene(index), settings)) / 255
        for (moved, step), tangent in zip(nudges(plan, index).values(), pair, strict=True):
            scene = scene_of(plan.schema, plan.config["constants"], moved, 0)
            there = tonemap.display(radiance(scene, settings)) / 255
            np.testing.assert_allclose(tangent, (there - base) / step, atol=1e-5, rtol=1e-3)
    assert 0 < abs(found).max() < 1 / STEP


def test_a_finished_file_is_kept_and_more_images_make_another(folder: Path) -> None:
    path = render_tangents(folder, images=8, samples=3, make_executor=ONE)
    before = path.stat().st_mtime_ns
    assert render_tangents(folder, images=8, samples=3) == path  # no Blender is asked for
    assert path.stat().st_mtime_ns == before
    render_tangents(folder, images=9, samples=3, make_executor=ONE)
    assert path.stat().st_mtime_ns != before


def test_scenes_with_one_slot_that_can_change_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = drawn_dataset(tmp_path, preset=two_objects(16))
    assert {tuple(nudges(plan, i)) for i in range(4)} == {(0, 1)}  # one environment only
    monkeypatch.setattr("recombine.renderer.measure.tangents.nudges", lambda *_: {0: ({}, 1.0)})
    monkeypatch.setattr("recombine.renderer.blender.draw.render_radiance", radiance)
    with pytest.raises(InvalidInputError, match="two slots that can change"):
        render_tangents(tmp_path, images=2, samples=3, make_executor=ONE)
