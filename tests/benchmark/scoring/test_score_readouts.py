"""Further readouts keep what they must: the slot match, nested budgets, halves apart."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeDataset, Noisy

from recombine.benchmark.metrics.readout import MLP_SIZES, Representation, fit_readout
from recombine.benchmark.running.harness import BUDGETS, RunOptions, readout_indices, scored_indices
from recombine.benchmark.scoring.extra import _every_fourth


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
