from __future__ import annotations

import json

import numpy as np
import pytest

from recombine.renderer.measure.interaction import group, summary

EVERY = np.ones(4, bool)


def rows(second: list[float], *, error: float = 0.0, objects: int = 2) -> dict[str, np.ndarray]:
    n = len(second)
    zeros = np.zeros(n)
    energy = np.stack([np.full(n, 2.0), np.array(second), zeros], axis=1)
    noise = np.stack([zeros, np.full(n, error), zeros], axis=1)
    shares = {k: np.full(n, 0.25) for k in ("share", "share_floor", "zero", "outside")}
    return {"index": np.arange(n), "energy": energy, "energy_se": noise, "floor": 2 * noise,
            "objects": np.full(n, objects), **shares}  # fmt: skip


def test_ratio_of_means_and_error_of_the_mean() -> None:
    found = group(rows([0.1, 0.2, 0.3, 0.4], error=0.02), EVERY)
    assert found["energy"] == pytest.approx([2, 0.25, 0])
    assert found["relative"] == pytest.approx([0.125, 0])
    assert found["relative_se"] == pytest.approx([0.02 / 2 / 2, 0])  # four scenes halve it
    assert found["relative_floor"] == pytest.approx([0.02, 0])
    assert found["share"] == 0.25


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    second = [0.1, 0.2, 0.3, 0.4]
    spread = group(rows(second), EVERY)["relative_spread"][0]
    assert spread == pytest.approx(np.std(second, ddof=1) / 2 / 2)


@pytest.mark.parametrize(
    ("second", "error", "objects", "verdict"),
    [
        ([0.0] * 4, 0.0, 2, "zero"),
        ([0.0] * 4, 0.0, 1, "no such order"),
        ([0.01] * 4, 0.02, 2, "at the floor"),
        ([-0.01] * 4, 0.001, 2, "at the floor"),
        ([0.01] * 4, 0.001, 2, "measured"),
    ],
)
def test_verdict_on_the_second_order(
    second: list[float], error: float, objects: int, verdict: str
) -> None:
    assert group(rows(second, error=error, objects=objects), EVERY)["verdict"][0] == verdict


def test_groups_are_taken_apart_and_the_summary_is_plain_data() -> None:
    first = np.array([True, True, False, False])
    groups = {"id_test": first, "ooc_test": ~first, "level none": np.zeros(4, bool)}
    found = summary(rows([0.2, 0.2, 0.6, 0.6]), groups)
    assert found["scenes"] == 4
    assert set(found["groups"]) == {"id_test", "ooc_test"}
    assert found["groups"]["ooc_test"]["relative"][0] == pytest.approx(0.3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_contrasts_compare_id_with_ooc_and_each_level_with_the_one_before() -> None:
    places = np.arange(6)
    groups = {"id_test": places < 3, "ooc_test": places >= 3}
    groups |= {f"level {k}": places // 2 == k for k in range(3)}
    found = summary(rows([0.0, 0.0, 0.2, 0.2, 0.8, 0.8], error=0.03), groups)["contrasts"]
    assert list(found) == ["ooc_test - id_test", "level 1 - level 0", "level 2 - level 1"]
    assert found["level 2 - level 1"]["difference"] == pytest.approx(0.3)
    assert found["level 2 - level 1"]["se"] == pytest.approx(0.03 / 2)  # both have it, n = 2
    assert found["level 1 - level 0"]["spread"] == 0
    assert found["ooc_test - id_test"]["spread"] > 0


def test_scenes_without_any_visible_object_give_no_division_by_zero() -> None:
    empty = rows([0.0, 0.0])
    empty["energy"][:] = 0
    assert group(empty, np.ones(2, bool))["relative"] == [0, 0]
