"""Questions about whole scenes have the answers of the plan, and planted slots answer them."""

from __future__ import annotations

import functools
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FakeDataset, Pixels

from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring import questions
from recombine.benchmark.scoring.questions import ask_runs, questions_of
from recombine.benchmark.scoring.rescore import PredictionStore, runs_of
from recombine.benchmark.scoring.score import score_submission
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import load_preset
from recombine.renderer.splits.geometry import SPLITS


class PlanData:
    """The labels of a dataset that was never drawn."""

    identity = "1dea" * 16

    def __init__(self, name, **size):
        self.preset, self.plan = name, make_plan(load_preset(name, **size))
        self.schema, self.latents = self.plan.schema, self.plan.latents

    def __len__(self):
        return len(self.plan)

    def indices(self, split, *, rung=0):
        return np.flatnonzero(self.plan.split == SPLITS.index(split))


@pytest.fixture(scope="module")
def dataset():
    return PlanData("counterfactual", values=8, scale=0.002)


def aligned(dataset, slots):
    facts = SimpleNamespace(seed=0, options=asdict(RunOptions(readout_labels=300)))
    run = SimpleNamespace(slots={0: slots.astype(np.float32)}, facts=facts, rows=lambda rows: rows)
    return SimpleNamespace(run=run, dataset=dataset, step=0)


def test_answers_are_those_of_the_latents(dataset):
    found = {one.name: one for one in questions_of(dataset)}
    assert list(found) == ["count", "sum of sizes", "exists SHAPE", "exists red SHAPE"]
    rng = np.random.default_rng(0)
    for i in rng.integers(len(dataset), size=40):
        at = {key: values[i] for key, values in dataset.latents.items()}
        shown = [k for k in (0, 1) if at[f"object{k}.present"]]
        red = [k for k in shown if np.cos(at[f"object{k}.hue"]) > 0.5]
        assert found["count"].values[i] == len(shown)
        size = sum(at[f"object{k}.scale"] for k in shown)
        assert found["sum of sizes"].values[i] == pytest.approx([size])
        for name, some in (("exists SHAPE", shown), ("exists red SHAPE", red)):
            shapes = {at[f"object{k}.shape"] for k in some}
            assert set(np.flatnonzero(found[name].values[i])) == shapes
    assert {0.0, 1.0} == set(np.unique(found["exists red SHAPE"].values))


def test_slots_that_hold_the_objects_answer_and_noise_does_not(dataset, monkeypatch):
    short = functools.partial(questions.fit_set_readout, steps=120)
    monkeypatch.setattr(questions, "fit_set_readout", short)
    latents, slots = dataset.latents, []
    for k in (0, 1):
        there = (latents[f"object{k}.present"] == 1)[:, None]
        shape = np.eye(8)[latents[f"object{k}.shape"]]
        size = latents[f"object{k}.scale"][:, None] - 0.5
        slots.append(np.concatenate([shape * there, size * there, there], axis=1))
    slots.append(np.zeros_like(slots[0]))
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(len(dataset), 3, 10))
    good, bad = (ask_runs([aligned(dataset, x)]) for x in (np.stack(slots, axis=1), noise))
    assert good["exists SHAPE"]["set"]["id_test"] > 0.95
    assert good["exists SHAPE"]["set"]["ooc_test"] > 0.5  # the outer network may learn pairs
    for split in ("id_test", "ooc_test"):
        assert good["count"]["set"][split] > 0.9
        assert good["sum of sizes"]["set"][split] > 0.9
        assert bad["exists SHAPE"]["set"][split] < 0.3
        assert bad["count"]["set"][split] < 0.3
    kept, lost = (
        good["count"][name]["id_test"] for name in ("concatenated", "concatenated, shuffled")
    )
    assert kept > lost + 0.05


def test_scenes_of_one_object_are_refused():
    with pytest.raises(InvalidInputError, match="at least two objects, got 1"):
        questions_of(PlanData("smoke", scale=0.02))


def test_stored_predictions_are_found_and_aligned_for_a_result(tmp_path):
    toy = FakeDataset(train=6, val=2, test=2)
    options = RunOptions(readout_labels=30)
    (result,) = score_submission(Pixels(), toy, seeds=[0], out_dir=tmp_path, options=options)
    (run,) = runs_of(result, PredictionStore([tmp_path]), [toy])
    tested = toy.indices("ooc_test")
    assert run.at(tested).shape == (len(tested), 2, 96)
    assert run.step == result.compute.steps
    with pytest.raises(InvalidInputError, match="at least two objects"):
        ask_runs([run])
