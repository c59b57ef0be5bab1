"""Labels of every detail are what they are said to be, and a trunk learns from each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recombine.baselines.studies import granularity as study
from recombine.baselines.studies.granularity import LEVELS, TINY, Factors, Labelled, balanced
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.benchmark.serving.toy_data import ToyDataset
from tests.baselines.drawn_fixture import ListLog, drawn

RECOMBINED = ("object.shape", "background.environment")


@pytest.fixture(scope="module")
def data():
    return drawn(96, px=16, seed=0)


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_trains_and_answers_one_vector_per_slot(data, level):
    learner = Labelled(level, RECOMBINED, TINY)
    log = ListLog()
    served = "supervised" if level in LEVELS[2:] else "unsupervised"
    assert learner.card.supervision == served
    one = replace(data, factors=data.factors if served == "supervised" else {})
    encoder = learner.fit(one, one, seed=0, budget=TrainBudget(), log=log)
    encoder.setup(data.spec, torch.device("cpu"))
    slots = encoder.encode(data.images[:4]).slots
    assert slots.shape == (4, 2, TINY.dim)
    assert slots.std(dim=0).max() > 1e-3
    assert np.isfinite([value for _, value, _ in log.scalars]).all()


def test_labels_of_factors_and_of_their_combination(data):
    batch = data.arrays()
    apart = Factors(data.spec, RECOMBINED, batch.factors, 4, joint=False)
    joint = Factors(data.spec, RECOMBINED, batch.factors, 4, joint=True)
    assert (apart.classes, joint.classes) == ([4, 4], [16])
    shape, ground = (batch.factors[key] for key in RECOMBINED)
    assert torch.equal(apart(batch), torch.stack([shape, ground], dim=1))
    assert torch.equal(joint(batch)[:, 0], 4 * shape + ground)
    every = Factors(data.spec, tuple(data.spec.factors), batch.factors, 4, joint=False)
    labels = every(batch)
    assert every.classes == [4] * 7
    x = list(data.spec.factors).index("object.x")
    assert torch.bincount(labels[:, x]).tolist() == [24] * 4  # bins are equally often used
    order = batch.factors["object.x"].argsort()
    assert (labels[order, x].diff() >= 0).all()


def test_clusters_are_balanced_and_find_planted_ones():
    generator = torch.Generator().manual_seed(0)
    own = torch.arange(120) % 6
    logits = 0.3 * torch.nn.functional.one_hot(own, 6) + 2.0 * (torch.arange(6) == 2)
    logits = logits + 0.02 * torch.randn(120, 6, generator=generator)
    table = balanced(logits)
    torch.testing.assert_close(table.sum(dim=1), torch.ones(120))
    torch.testing.assert_close(table.sum(dim=0), torch.full((6,), 20.0), atol=0.5, rtol=0)
    # By themselves all images are of class 2; balanced, each is of its own.
    assert (logits.argmax(dim=1) == 2).all()
    assert (table.argmax(dim=1) == own).float().mean() > 0.95


def test_clusters_are_made_anew_while_training(data):
    clusters = study.Clusters(96, 8, steps=16)
    for _ in range(3):
        clusters.keep_up(lambda images: images.flatten(1)[:, :8], data)
    first = clusters(data.arrays())
    assert len(first.unique()) == 8
    clusters.keep_up(lambda images: -images.flatten(1)[:, :8], data)
    assert torch.equal(clusters(data.arrays()), first)  # every second step only
    clusters.keep_up(lambda images: -images.flatten(1)[:, :8], data)
    assert not torch.equal(clusters(data.arrays()), first)


def test_a_unit_is_scored_like_an_entry(monkeypatch):
    toy = ToyDataset(resolution=16, train=6, val=2, test=2)
    monkeypatch.setattr(study, "Dataset", lambda _folder: toy)
    row = study.compute(study.Unit("recombined factors", 0, replace(TINY, data="anywhere")))
    assert 0 <= row["ooc"] <= 1
    assert row["id_r2"] <= 1
    assert set(row) == {"id", "ooc", "id_r2", "ooc_r2"}


def rows(**ooc):
    found = [
        {"level": level, "seed": seed, "id": 0.9, "ooc": 0.1 * k + 0.01 * seed,
         "id_r2": 0.1 * k, "ooc_r2": None}
        for k, level in enumerate(LEVELS) for seed in (0, 1)
    ]  # fmt: skip
    return [one | {"ooc": ooc.get(one["level"].replace(" ", "_"), one["ooc"])} for one in found]


def test_claims_follow_the_numbers():
    held = [claim.holds for claim in study.claims(rows(), TINY)]
    assert held == [True, True, True, True]
    assert not study.claims(rows(combination=0.9), TINY)[1].holds
    assert not study.claims(rows(every_factor=0.85), TINY)[3].holds
    head, lines = study.table(rows())
    assert lines[1] == ("clusters", "90.0", "10.5", "0.10", "nan")
    assert len(head) == len(lines[0])
