from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering.estimate import Trial, _pairs, predict, stored_size
from tests.renderer.drawn_fixture import drawn_dataset, drawn_fixture

PLAN = make_plan(load_preset("smoke", scale=0.5, resolution=64))


@given(st.lists(st.floats(0.05, 5), min_size=2, max_size=8), st.integers(1, 64))
def test_ranges_hold_their_means_and_grow_with_the_work(seconds: list[float], workers: int) -> None:
    trials = [Trial(s + 1, s, 20_000) for s in seconds]
    found = predict(PLAN, trials, workers, loading=2.0)
    for value in (found.cpu_seconds, found.hours, found.gigabytes):
        assert 0 < value.low <= value.mean + 1e-12
        assert value.mean <= value.high + 1e-12
    assert found.start_seconds == pytest.approx(2 + 4 * 1)  # 4 environments, 1 s each
    least = len(PLAN) * min(seconds) / workers / 3600
    assert found.hours.mean > least
    assert found.gigabytes.mean == pytest.approx(len(PLAN) * 20_000 / 1e9)
    assert found.to_dict()["images"] == len(PLAN)


def test_twice_the_workers_take_half_the_time_but_for_their_start() -> None:
    trials = [Trial(1.0, 1.0, 1), Trial(1.0, 1.0, 1)]
    one, four = (predict(PLAN, trials, w, loading=0.0).hours.mean for w in (1, 4))
    assert one == pytest.approx(4 * four)
    assert one == pytest.approx(len(PLAN) / 3600)


def test_pairs_share_their_categories_and_are_drawn_by_seed() -> None:
    pairs = _pairs(PLAN, 8)
    assert pairs == _pairs(PLAN, 8)
    assert len(pairs) == 8
    for first, second in pairs:
        assert PLAN.latents["object.shape"][first] == PLAN.latents["object.shape"][second]
    assert any(first != second for first, second in pairs)


def test_predicted_size_is_that_of_a_stored_shard(tmp_path) -> None:  # type: ignore[no-untyped-def]
    preset = load_preset("smoke", scale=0.07, resolution=64)
    plan = drawn_dataset(tmp_path, preset=preset, shard_size=64)
    files = sum(p.stat().st_size for p in (tmp_path / "shards").iterdir())
    sizes = [stored_size(drawn_fixture(plan.scene(i), plan.settings)) for i in range(len(plan))]
    assert sum(sizes) == pytest.approx(files, rel=0.05)
