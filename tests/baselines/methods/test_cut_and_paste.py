"""The cut-and-paste control against pixels placed one by one."""

from __future__ import annotations

import pytest
import torch

from recombine.baselines.methods.cut_and_paste import CutAndPaste, paste, rows_of
from recombine.baselines.registry import load_baseline
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import DrawnData, ListLog
from tests.baselines.networks import (
    draws,
)

Data = tuple[DrawnData, DrawnData]


def test_pasted_objects_come_from_their_sources() -> None:
    images = torch.rand(3, 3, 4, 4, generator=draws())
    masks = torch.zeros(3, 4, 4, dtype=torch.int64)
    masks[0, 0:2, 0:2], masks[1, 1:4, 1:3] = 1, 2
    grounds = torch.rand(1, 3, 4, 4, generator=draws(1))
    out = paste(images, masks, grounds, torch.tensor([[0, 1]]))[0]
    for r in range(4):
        for c in range(4):
            wanted = grounds[0, :, r, c]
            if r < 2 and c < 2:
                wanted = images[0, :, r, c]
            if r >= 1 and 1 <= c < 3:  # object 2 reaches further down: it is in front
                wanted = images[1, :, r, c]
            assert torch.equal(out[:, r, c], wanted)
    turned = paste(images, 3 * (masks > 0) - masks, grounds, torch.tensor([[1, 0]]))[0]
    assert torch.equal(turned, out)  # the order of the list does not matter
    slots, rows = rows_of(torch.arange(6.0).view(3, 2, 1), 50, draws())
    assert torch.equal(slots[:, :, 0], (2 * rows + torch.arange(2)).float())


def test_pasting_needs_masks(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    bare = DrawnData(train.images, train.factors, None, train.spec)
    learner = load_baseline("cut-and-paste", "tiny")
    assert isinstance(learner, CutAndPaste)
    with pytest.raises(InvalidInputError, match="masks"):
        learner.fit(bare, val, seed=0, budget=TrainBudget(), log=ListLog())
