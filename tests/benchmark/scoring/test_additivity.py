"""Planted encoders on the edits of the preset counterfactual, from its plan alone."""

from __future__ import annotations

import numpy as np
import pytest

from recombine.benchmark.scoring.additivity import additivity_of_edits, mean_over_runs
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import load_preset

KINDS = {"background", "light", "object0", "object1", "without-object0", "without-object1"}


@pytest.fixture(scope="module")
def plan():
    return make_plan(load_preset("counterfactual", values=8, scale=0.04))


def table(size, dim=24, seed=0):
    return np.random.default_rng(seed).normal(size=(size, dim))


def additive(plan):
    """Every slot writes its own vector, an absent object none."""

    def represent(indices):
        values = {key: one[indices] for key, one in plan.latents.items()}
        slots = [
            table(8, seed=k)[values[f"object{k}.shape"]] * values[f"object{k}.present"][:, None]
            for k in (0, 1)
        ]
        slots.append(table(16, seed=2)[values["background.environment"]])
        slots.append(table(16, seed=3)[values["light.rig"]])
        return np.stack(slots, axis=1)

    return represent


def combined(plan):
    """A vector per combination of everything that can be edited."""
    keys = ("object0.shape", "object0.present", "object1.shape", "object1.present",
            "background.environment", "light.rig")  # fmt: skip
    rows = np.stack([plan.latents[key] for key in keys], axis=1)
    number = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    codes = table(number.max() + 1, dim=60, seed=4)
    return lambda indices: codes[number[indices]]


@pytest.fixture(scope="module")
def runs(plan):
    return [additivity_of_edits(make(plan), plan) for make in (additive, combined)]


def test_slots_that_add_up_make_every_edit_one_vector(runs):
    found = runs[0]
    assert set(found) == KINDS
    for kind, one in found.items():
        assert one.contexts > 8, kind
        assert one.inside == pytest.approx(1), kind
        for value in (one.outside, one.across):
            assert value is None or value == pytest.approx(1), kind
    assert found["background"].across == pytest.approx(1)
    assert found["without-object0"].across_chance < 0.7


def test_a_code_of_combinations_stays_at_chance(runs):
    for kind, one in runs[1].items():
        assert one.inside == pytest.approx(one.inside_chance, abs=0.15), kind
        assert one.across is None or abs(one.across) < 0.35, kind


def test_seeds_are_averaged_and_infinity_is_refused(plan, runs):
    mean = mean_over_runs(runs)["light"]
    assert mean["inside"] == pytest.approx(np.mean([one["light"].inside for one in runs]))
    assert mean["contexts"] == runs[0]["light"].contexts
    with pytest.raises(InvalidInputError, match="finite"):
        additivity_of_edits(lambda indices: np.full((len(indices), 2), np.nan), plan)
