from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.hdf5 import column, open_checked
from recombine.renderer.measure.interaction import choose, measure_dataset
from recombine.renderer.planning.plan import Plan
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.scenes.factors import Factor, Schema, Slot
from recombine.renderer.scenes.scene import RenderSettings, Scene
from recombine.renderer.splits.geometry import SPLITS
from tests.renderer.drawn_fixture import drawn_dataset
from tests.renderer.two_objects import two_objects

threads = partial(ThreadPoolExecutor, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    drawn_dataset(tmp_path / "two", preset=two_objects())
    return tmp_path / "two"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Scene]:
    """Replace Cycles by grey pictures: 1/8 per object, another 1/16 for two."""
    scenes: list[Scene] = []

    def draw(scene: Scene, settings: RenderSettings) -> np.ndarray:
        assert not settings.denoise
        scenes.append(scene)
        there = sum(o is not None for o in scene.objects)
        size = settings.resolution
        return np.full((size, size, 3), 0.25 + there / 8 + (there == 2) / 16, np.float32)

    monkeypatch.setattr("recombine.renderer.blender.draw.render_radiance", draw)
    return scenes


def sides(plan: Plan, chosen: np.ndarray) -> dict[str, np.ndarray]:
    return {p: chosen[plan.split[chosen] == SPLITS.index(p)] for p in ("id_test", "ooc_test")}


@pytest.mark.parametrize("scenes", [2, 4, 6, 10, 32, 99])
def test_as_many_id_as_ooc_from_the_same_blocks(scenes: int) -> None:
    plan = make_plan(two_objects())
    chosen = choose(plan, scenes)
    parts = sides(plan, chosen)
    assert len(set(chosen.tolist())) == len(chosen) == min(scenes - scenes % 2, 32)
    blocks = [sorted(plan.block[rows].tolist()) for rows in parts.values()]
    assert blocks[0] == blocks[1]
    assert len(parts["id_test"]) + len(parts["ooc_test"]) == len(chosen)


def test_few_scenes_spread_over_the_blocks_and_the_choice_is_stable() -> None:
    plan = make_plan(two_objects())
    chosen = choose(plan, 4)
    assert len(set(plan.block[chosen].tolist())) == 2
    assert np.array_equal(chosen, choose(plan, 4))
    assert set(chosen.tolist()) < set(choose(plan, 8).tolist())


def test_levels_of_the_dial_get_the_same_number_of_scenes() -> None:
    preset = two_objects()
    dial = Slot("scene", (Factor("interaction", "categorical", ("isolated", "shadows", "full")),))
    schema = Schema((*preset.schema.slots, dial), preset.schema.recombined)
    plan = make_plan(preset)
    level = np.arange(len(plan)) % 3
    varied = replace(plan, schema=schema, latents={**plan.latents, "scene.interaction": level})
    chosen = choose(varied, 12)
    assert np.bincount(level[chosen]).tolist() == [4, 4, 4]


def test_scenes_of_too_many_objects_are_refused() -> None:
    plan = make_plan(two_objects())

    class Crowded(Plan):
        def scene(self, index: int) -> Scene:
            scene = plan.scene(index)
            return replace(scene, objects=scene.objects * 2)

    with pytest.raises(InvalidInputError, match="1 to 3"):
        choose(Crowded(**vars(plan)), 4)


def test_a_known_interaction_is_measured_and_written(folder: Path, drawn: list[Scene]) -> None:
    told: list[tuple[int, int]] = []
    report = measure_dataset(
        folder, scenes=6, samples=4, progress=lambda *x: told.append(x), make_executor=threads
    )
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)
    assert len(drawn) == 6 * 8
    with open_checked(report.data) as handle:
        assert column(handle, "energy").shape == column(handle, "floor").shape == (6, 3)
        energy = column(handle, "energy")
        assert energy[:, 1] == pytest.approx(1 / 256)
        assert energy[:, 0] == pytest.approx(2 / 64)
        assert column(handle, "second").dtype == np.float16
        assert handle.attrs["samples"] == 4
        assert np.array_equal(column(handle, "index"), choose(make_plan(two_objects()), 6))
    stored = json.loads(report.table.read_text())
    assert stored == json.loads(json.dumps(report.summary))
    assert stored["groups"]["ooc_test"]["relative"][0] == pytest.approx(0.125)
    assert stored["groups"]["id_test"]["verdict"] == ["measured", "no such order"]
    assert report.picture.read_bytes()[:4] == b"\x89PNG"


def test_stopped_it_goes_on_and_finished_it_rests(
    folder: Path, drawn: list[Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(BaseException):
        pass

    def stop(done: int, _total: int) -> None:
        if done == 4:
            raise Stopped

    run = partial(measure_dataset, folder, scenes=6, samples=4, make_executor=threads)
    with pytest.raises(Stopped):
        run(progress=stop)
    before = len(drawn)
    assert not (folder / "interaction.h5").exists()
    whole = run()
    assert len(drawn) <= 6 * 8 + 2 * 8  # at most the piece in flight is drawn twice
    assert len(drawn) > before or before == 6 * 8
    content = whole.data.read_bytes()
    drawn.clear()
    assert run().data.read_bytes() == content
    assert drawn == []
    assert [p.name for p in folder.iterdir() if p.name.startswith(".interaction")] == []
    run(samples=5)  # another question is asked anew
    assert len(drawn) == 6 * 8
