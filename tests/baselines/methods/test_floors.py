"""Floors answer what they say."""

from __future__ import annotations

import torch

from recombine.baselines.registry import load_baseline
from recombine.benchmark.protocol.contract import TrainBudget
from tests.baselines.drawn_fixture import DrawnData, ListLog

Data = tuple[DrawnData, DrawnData]


def test_floors_answer_what_they_say(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    images = val.images[:3]
    found = {}
    for name in ("pixels", "constant", "constant-set", "random-network"):
        floor = load_baseline(name, "tiny").fit(
            train, val, seed=0, budget=TrainBudget(), log=ListLog()
        )
        floor.setup(train.spec, torch.device("cpu"))
        found[name] = floor.encode(images).slots
        assert found[name].shape == (3, 2, floor.slot_dim)
    grey = images.unflatten(2, (4, 8)).unflatten(4, (4, 8)).mean((3, 5))
    coarse = found["pixels"][:, 0].view(3, 3, 12, 12)
    assert torch.allclose(coarse.mean((2, 3)), grey.mean((2, 3)), atol=0.01)
    assert not found["constant"].any()
    assert torch.equal(found["constant-set"], torch.eye(2).expand(3, -1, -1))
    assert found["random-network"].std(0).mean() > 0
