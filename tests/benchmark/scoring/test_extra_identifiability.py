"""Identifiability of whole submissions, and where decoder figures come from."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from fakes import Constant, FakeDataset, Pixels

from recombine.benchmark.predictions.alignment import AlignedPredictions, align_predictions
from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.running.harness import RunOptions, run_seed
from recombine.benchmark.scoring.extra import decoder_part, identifiability_part

OPTIONS = RunOptions(readout_labels=200)


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=25, val=2, test=12)


def part(method, dataset, tmp_path):
    path = run_seed(method, dataset, seed=0, out_dir=tmp_path, options=OPTIONS).path
    return identifiability_part([align_predictions(read_predictions(path), dataset, 0)], OPTIONS)


def test_pixels_know_the_factors_linearly_and_constants_nothing(dataset, tmp_path):
    pixels = part(Pixels(), dataset, tmp_path / "a")
    assert pixels["linear_r2"].estimate > 0.9
    assert pixels["mean_correlation_coefficient"].estimate > 0.9
    assert pixels["mean_correlation_coefficient"].chance < 0.4
    assert pixels["slot_identifiability_score"].estimate > 0.3
    nothing = part(Constant(), dataset, tmp_path / "b")
    assert nothing["linear_r2"].estimate < 0.05
    assert nothing["mean_correlation_coefficient"].estimate == 0
    assert nothing["dci_disentanglement"].estimate is None
    assert nothing["slot_identifiability_score"].estimate == 0


def test_true_factors_as_slots_are_identified(dataset):
    rng = np.random.default_rng(0)
    every = np.arange(len(dataset))
    one_hot = np.eye(4)[dataset.cells[:, 1]]
    hue = dataset.latents["object.hue"]
    first = np.stack([dataset.latents["object.x"], np.cos(hue), np.sin(hue)], axis=1)
    shapes = np.eye(4)[dataset.cells[:, 0]]
    one, other = np.hstack([first, shapes]), np.hstack([one_hot, np.zeros((len(every), 3))])
    slots = np.stack([one, other], axis=1)
    slots = (slots + 0.001 * rng.normal(size=slots.shape)).astype(np.float32)
    facts = SimpleNamespace(seed=0, card={})
    run = SimpleNamespace(rows=lambda indices: indices, facts=facts)
    found = identifiability_part([AlignedPredictions(run, dataset, 0, slots)], OPTIONS)
    assert found["linear_r2"].estimate > 0.99
    assert found["slot_identifiability_score"].estimate > 0.8
    assert found["dci_disentanglement"].estimate > 0.9


def test_decoder_figures_carry_their_own_chance():
    facts = [
        SimpleNamespace(
            diagnostics={
                "x_cycle_id": value,
                "block_ima_contrast": 0.1,
                "block_ima_contrast_chance": 0.03,
                "decoder_fidelity_recombined": 0.9,
                "decoder_fidelity_twin": 0.7,
                "n_images": 64,
                "n_points": 16,
                "n_recombined": 50,
            }
        )
        for value in (0.2, 0.4)
    ]
    found = decoder_part(facts)
    assert found["x_cycle_id"].estimate == pytest.approx(0.3)
    assert found["x_cycle_id"].direction == "lower"
    assert found["block_ima_contrast"].chance == 0.03
    assert found["decoder_fidelity_recombined"].chance == 0.7
    assert found["decoder_fidelity_recombined"].n_images == 50
    assert "ima_contrast" not in found
    assert decoder_part([facts[0], SimpleNamespace(diagnostics={})]) is None
