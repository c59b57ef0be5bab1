"""Extra metrics: masks, sets, visibility, further readouts and their controls."""

from __future__ import annotations

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from fakes import Constant, FakeDataset, Noisy, Segmenter

from recombine.benchmark.metrics.base import JOINT
from recombine.benchmark.metrics.readout import MLP_SIZES, Representation, fit_readout
from recombine.benchmark.running.harness import BUDGETS, RunOptions, readout_indices, scored_indices
from recombine.benchmark.scoring.extra import (
    _every_fourth,
    extra_metric,
    interaction_bins,
    visibility_bins,
)
from recombine.benchmark.scoring.score import score_submission

OPTIONS = RunOptions(readout_labels=60)


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=10, val=3, test=4)


@pytest.fixture(scope="module")
def segmenter(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return score_submission(Segmenter(), dataset, seeds=[0, 1], out_dir=folder, options=OPTIONS)[0]


def test_masks_are_scored_where_offered(segmenter):
    for part in (segmenter.further.masks.id_test, segmenter.further.masks.ooc_test):
        assert part["mean_iou"].estimate == part["adjusted_rand_index"].estimate == 1.0
        assert part["mean_iou"].n_images == 32
        one_object = part["foreground_adjusted_rand_index"]
        assert (one_object.estimate, one_object.n_images) == (None, 0)


def test_sets_are_scored_where_presence_is_offered(segmenter, dataset, tmp_path):
    found = segmenter.further.sets.ooc_test
    assert found["average_precision_at_distance_inf"].estimate == 1.0
    assert found["average_precision_at_distance_0.125"].estimate > 0.9
    (other,) = score_submission(Noisy(), dataset, seeds=[0], out_dir=tmp_path, options=OPTIONS)
    assert other.further.sets is None
    assert other.further.masks is None
    assert [one.control for one in other.further.readouts] == ["oracle"]


def test_the_slower_parts_are_computed_on_demand(dataset, tmp_path):
    options = RunOptions(readout_labels=60, full=True)
    (result,) = score_submission(Noisy(), dataset, seeds=[0, 1], out_dir=tmp_path, options=options)
    further = result.further
    named = {(one.kind, one.control, one.labels): one for one in further.readouts}
    assert set(named) == {
        ("linear", "none", 80), ("mlp", "none", 60), ("linear", "permuted-labels", 60),
        ("linear", "oracle", 60),
    }  # fmt: skip
    chance = result.scores.id_test.chance
    assert named["linear", "permuted-labels", 60].id_test.estimate < chance + 0.15
    gap = further.gap_parts
    whole = gap.information_lost.estimate + gap.readout_not_transferring.estimate
    assert whole == pytest.approx(result.gap.estimate)
    expected = (
        result.scores.id_test.estimate - named["linear", "permuted-labels", 60].id_test.estimate
    )
    assert further.selectivity.estimate == pytest.approx(expected)
    assert {"linear_r2", "mean_correlation_coefficient"} <= further.identifiability.keys()
    assert further.decoder is None


def test_the_oracle_tells_lost_information_from_a_readout_that_does_not_transfer(dataset, tmp_path):
    from fakes import Memoriser

    options = RunOptions(readout_labels=60, full=True)
    (memory,) = score_submission(
        Memoriser(), dataset, seeds=[0], out_dir=tmp_path / "a", options=options
    )
    # Its code names the combination: nothing is lost, but no readout of seen ones helps.
    assert memory.gap.estimate > 0.8
    assert memory.further.gap_parts.information_lost.estimate < 0.1
    assert memory.further.gap_parts.readout_not_transferring.estimate > 0.8
    (nothing,) = score_submission(
        Constant(), dataset, seeds=[0], out_dir=tmp_path / "b", options=options
    )
    oracle = next(one for one in nothing.further.readouts if one.control == "oracle")
    assert oracle.ooc_test.estimate <= 0.25


def correct(dataset, share=1.0):
    return {
        name: np.full((2, len(dataset.indices(name))), share == 1.0)
        for name in ("id_test", "ooc_test")
    }


def test_accuracy_against_visibility(dataset):
    assert visibility_bins(dataset, correct(dataset)) is None
    seen = FakeDataset(train=10, val=3, test=4)
    seen.visible = np.linspace(0, 1, len(seen))[:, None]
    found = visibility_bins(seen, correct(seen))
    assert sum(found.id_counts) == sum(found.ooc_counts) == 32
    assert found.id_hits == (found.id_counts, found.id_counts)
    assert found.id_counts[0] == 0  # test images come last


def test_accuracy_against_measured_interaction(dataset, tmp_path):
    assert interaction_bins(dataset, correct(dataset)) is None
    measured = FakeDataset(train=10, val=3, test=4)
    measured.path = tmp_path
    assert interaction_bins(measured, correct(measured)) is None
    tests = measured.indices("ooc_test")[:9]
    energy = np.ones((9, 3))
    energy[:, 1] = np.linspace(0, 0.8, 9)
    with h5py.File(tmp_path / "interaction.h5", "w") as file:
        file["index"], file["energy"] = tests, energy
    found = interaction_bins(measured, correct(measured))
    assert found.ooc_counts == (3, 3, 3)
    assert found.id_counts == (0, 0, 0)
    assert found.edges[0] == 0
    assert found.edges[-1] == pytest.approx(0.8)


def test_undefined_values_stay_undefined():
    found = extra_metric(JOINT, [None, 0.5, float("nan")], 3, chance=float("inf"))
    assert found.per_seed == (None, 0.5, None)
    assert (found.estimate, found.chance) == (0.5, None)
    assert extra_metric(JOINT, [None], 0, chance=0.0).estimate is None
    assert SimpleNamespace(**found.model_dump()).direction == "higher"


def test_budgets_are_nested_and_all_asked_about():
    dataset = FakeDataset(train=20)
    options = RunOptions(readout_labels=50, full=True)
    small, large = (set(readout_indices(dataset, options, n)) for n in (20, 100))
    assert len(small) == 20
    assert small < set(readout_indices(dataset, options)) < large
    asked = set(scored_indices(dataset, options))
    assert large | set(readout_indices(dataset, options, max(BUDGETS))) <= asked
    plain = RunOptions(readout_labels=50)
    assert len(scored_indices(dataset, plain)) < len(asked)


@pytest.mark.parametrize("per_cell", [1, 3, 4, 9])
def test_no_cell_goes_missing_among_the_fitted(per_cell):
    cells = np.tile(np.array([[0, 1], [1, 0], [2, 2]]), (per_cell, 1))
    held = _every_fourth(cells)
    assert held.sum() == 3 * (per_cell // 4)
    assert len(np.unique(cells[~held], axis=0)) == 3


def known(n, seed):
    rng = np.random.default_rng(seed)
    dataset = FakeDataset(train=1)
    codes = rng.integers(0, 4, (n, 2))
    slots = rng.normal(size=(n, 2, 2)).astype(np.float32)
    # An exclusive-or of signs: no linear readout knows it.
    slots[:, 0] = np.where(rng.random((n, 2)) < 0.5, -1.0, 1.0) + 0.1 * slots[:, 0]
    codes[:, 0] = (slots[:, 0, 0] > 0) ^ (slots[:, 0, 1] > 0)
    factors = {
        "object.shape": codes[:, 0],
        "object.x": slots[:, 0].prod(axis=1) / 3,
        "object.hue": np.where(codes[:, 0] == 1, 1.0, 4.0),
        "background.environment": codes[:, 1],
    }
    return Representation(slots, factors), dataset.schema


def test_a_network_reads_what_no_line_can():
    (train, schema), (val, _), (test, _) = (known(400, seed) for seed in (0, 1, 2))
    right = {}
    for kind in ("linear", "mlp"):
        readout = fit_readout(train, val, schema, kind=kind, match=(0, 1))
        assert readout.slot_match == (0, 1)
        found = readout.predict(test.slots)
        right[kind] = np.mean(found["object.shape"] == test.factors["object.shape"])
        if kind == "mlp":
            assert np.corrcoef(found["object.x"], test.factors["object.x"])[0, 1] > 0.8
            assert np.cos(found["object.hue"] - test.factors["object.hue"]).mean() > 0.8
            assert readout.factors["object.shape"].model.hidden_layer_sizes == MLP_SIZES
    assert right["linear"] < 0.85
    assert right["mlp"] > 0.95


def test_settings_are_part_of_the_identity():
    assert RunOptions(full=True) != RunOptions()
    assert Noisy(0.1) != Noisy()
