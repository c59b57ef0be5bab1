from __future__ import annotations

from itertools import permutations

import torch

from recombine.baselines.nn.object_masks import Outlines, aligned
from tests.baselines.nn.test_slots import LAYOUT, TWO_OBJECTS

PX = 32


def _scenes(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two squares per image at the places that their slots name, one larger than the other."""
    g = torch.Generator().manual_seed(0)
    slots = torch.zeros(n, 3, TWO_OBJECTS.dim)
    masks = torch.zeros(n, PX, PX, dtype=torch.int64)
    edges = (torch.arange(PX) * 2 + 1) / PX - 1
    for i in range(n):
        for k in range(2):
            x, y = torch.rand(2, generator=g) * 0.5 - 0.25 + (0.5 if k else -0.5)
            slots[i, k, 3:5] = torch.stack([2 * x, -3 * y])
            inside = ((edges - x).abs() < 0.25)[None, :] & ((edges - y).abs() < 0.25)[:, None]
            masks[i][inside] = k + 1
    return slots, masks


def test_discs_lie_where_the_objects_are() -> None:
    slots, masks = _scenes(40)
    outlines = Outlines(TWO_OBJECTS, (PX, PX))
    assert outlines(slots) is None  # nothing was learned yet
    outlines.fit(slots[:30], masks[:30])
    drawn = outlines(slots[30:])
    assert drawn is not None
    assert drawn.shape == (10, 3, PX, PX)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    segments = drawn.argmax(1)
    true = torch.where(masks[30:] == 0, 2, masks[30:] - 1)  # the background is the last slot
    assert (segments == true).float().mean() > 0.95
    again = Outlines(TWO_OBJECTS, (PX, PX))
    again.load_state_dict(outlines.state_dict())
    assert torch.equal(again(slots[30:]), drawn)


def test_slots_with_roles_of_their_own_need_no_outlines() -> None:
    outlines = Outlines(LAYOUT, (PX, PX))
    outlines.fit(torch.zeros(4, 2, LAYOUT.dim), torch.ones(4, PX, PX, dtype=torch.int64))
    assert outlines(torch.zeros(4, 2, LAYOUT.dim)) is None


def test_alignment_is_the_cheapest_order() -> None:
    g = torch.Generator().manual_seed(1)
    guess, reference = (torch.randn(20, 3, TWO_OBJECTS.dim, generator=g) for _ in range(2))
    order = aligned(TWO_OBJECTS, guess, reference)
    for b in range(20):
        costs = {
            p: float((guess[b, list(p)] - reference[b, :2]).square().sum())
            for p in permutations((0, 1))
        }
        assert tuple(order[b, :2].tolist()) == min(costs, key=lambda p: costs[p])
        assert int(order[b, 2]) == 2
    assert torch.equal(
        aligned(LAYOUT, guess[:, :2], reference[:, :2]), torch.arange(2).expand(20, -1)
    )
