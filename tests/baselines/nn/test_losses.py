from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.baselines.nn.losses import (
    mask_loss,
    match,
    matched_masks,
    matched_targets,
    object_weights,
    pair_costs,
    recombine,
    recombine_factors,
    slot_loss,
)
from recombine.baselines.nn.slots import slot_vectors
from tests.baselines.drawn_fixture import FACTORS
from tests.baselines.networks import (
    draws,
)
from tests.baselines.nn.test_slots import LAYOUT, TWO_OBJECTS


def _scene(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    outputs = torch.randn(n, 3, TWO_OBJECTS.dim, generator=g)
    targets = torch.zeros(n, 3, TWO_OBJECTS.dim)
    for i in range(n):
        for k, classes in enumerate((3, 3, 5)):
            targets[i, k, int(torch.randint(classes, (1,), generator=g))] = 1
    targets[:, :2, 3:5] = torch.randn(n, 2, 2, generator=g)
    return outputs, targets


def _slow_cost(output: torch.Tensor, target: torch.Tensor, classes: int, weight: float) -> float:
    """One guess against one truth, number by number."""
    exps = [math.exp(float(output[c])) for c in range(classes)]
    right = int(target[:classes].argmax())
    cost = -math.log(exps[right] / sum(exps))
    if classes == 3:  # an object: two continuous columns ema_update
        cost += weight * sum((float(output[c]) - float(target[c])) ** 2 for c in (3, 4))
    return cost


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 4), seed=st.integers(0, 10_000), weight=st.floats(0, 5))
def test_slot_loss_equals_the_loss_over_the_best_permutation(
    n: int, seed: int, weight: float
) -> None:
    outputs, targets = _scene(n, seed)
    total = 0.0
    for i in range(n):
        total += min(
            sum(_slow_cost(outputs[i, a], targets[i, b], 3, weight) for a, b in enumerate(order))
            for order in permutations(range(2))
        )
        total += _slow_cost(outputs[i, 2], targets[i, 2], 5, weight)
    assert float(slot_loss(TWO_OBJECTS, outputs, targets, weight)) == pytest.approx(
        total / n, rel=1e-4
    )


@settings(max_examples=40, deadline=None)
@given(k=st.integers(1, 5), n=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_match_is_the_cheapest_assignment(k: int, n: int, seed: int) -> None:
    costs = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, k, k)))
    found = match(costs)
    for i in range(n):
        assert sorted(found[i].tolist()) == list(range(k))
        mine = sum(float(costs[i, a, b]) for a, b in enumerate(found[i].tolist()))
        best = min(
            sum(float(costs[i, a, b]) for a, b in enumerate(order))
            for order in permutations(range(k))
        )
        assert mine == pytest.approx(best)


def test_loss_ignores_the_order_of_exchangeable_slots_only() -> None:
    outputs, targets = _scene(6, seed=1)
    swapped = targets[:, [1, 0, 2]]
    assert torch.allclose(
        slot_loss(TWO_OBJECTS, outputs, targets), slot_loss(TWO_OBJECTS, outputs, swapped)
    )
    single = torch.randn(6, 2, 11)
    truth = torch.zeros(6, 2, 11)
    truth[:, :, 0] = 1
    changed = truth.clone()
    changed[:, 1] = truth[:, 1].roll(1, dims=1)
    assert not torch.allclose(slot_loss(LAYOUT, single, truth), slot_loss(LAYOUT, single, changed))


def test_perfect_outputs_cost_nothing() -> None:
    _, targets = _scene(4, seed=2)
    outputs = targets.clone()
    outputs[:, :2, :3] = targets[:, :2, :3] * 100
    outputs[:, 2, :5] = targets[:, 2, :5] * 100
    assert float(slot_loss(TWO_OBJECTS, outputs, targets)) == pytest.approx(0, abs=1e-5)


def test_angles_are_compared_as_vectors() -> None:
    yaw = next(c for c in LAYOUT.slots[0] if c.key == "object.yaw")
    outputs, targets = torch.zeros(1, 1, 11), torch.zeros(1, 1, 11)
    outputs[0, 0, yaw.span] = torch.tensor([1.0, 0.0])
    targets[0, 0, yaw.span] = torch.tensor([0.0, 1.0])
    assert float(pair_costs((yaw,), outputs, targets, 3.0)) == pytest.approx(6.0)


def test_mask_loss_by_explicit_loop() -> None:
    g = torch.Generator().manual_seed(0)
    opacity = torch.randn(2, 2, 3, 4, generator=g)
    masks = torch.randint(0, 3, (2, 3, 4), generator=g)
    total = 0.0
    for i in range(2):
        for r in range(3):
            for c in range(4):
                logits = [0.0, float(opacity[i, 0, r, c]), float(opacity[i, 1, r, c])]
                exps = [math.exp(v) for v in logits]
                total -= math.log(exps[int(masks[i, r, c])] / sum(exps))
    assert float(mask_loss(opacity, masks)) == pytest.approx(total / 24, rel=1e-5)


def test_object_weights_reach_two_pixels_beyond_the_mask() -> None:
    masks = torch.zeros(1, 9, 9, dtype=torch.int64)
    masks[0, 4, 4] = 2
    weights = object_weights(masks, 4.0)[0, 0]
    for r in range(9):
        for c in range(9):
            near = max(abs(r - 4), abs(c - 4)) <= 2
            assert float(weights[r, c]) == (4.0 if near else 1.0)


def test_recombination_keeps_marginals_and_breaks_dependence() -> None:
    """Slot k of the bank holds the image's own number, so every draw can be traced."""
    n, k, draws = 8, 3, 40_000
    bank = torch.arange(n, dtype=torch.float32)[:, None, None].repeat(1, k, 2)
    bank += torch.arange(k)[None, :, None] * 100
    drawn = recombine(bank, draws, torch.Generator().manual_seed(0))
    assert drawn.shape == (draws, k, 2)
    source = (drawn[:, :, 0] - torch.arange(k) * 100).long()
    assert torch.equal(drawn[:, :, 0], drawn[:, :, 1])  # a slot is never torn apart
    for slot in range(k):
        share = torch.bincount(source[:, slot], minlength=n) / draws
        assert (share - 1 / n).abs().max() < 5 * math.sqrt(1 / n / draws)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        joint = torch.bincount(source[:, a] * n + source[:, b], minlength=n * n) / draws
        assert (joint - 1 / n**2).abs().max() < 5 * math.sqrt(1 / n**2 / draws)


def test_recombination_depends_on_the_generator_only() -> None:
    bank = torch.randn(10, 2, 3)
    first = recombine(bank, 5, torch.Generator().manual_seed(4))
    torch.manual_seed(99)
    assert torch.equal(first, recombine(bank, 5, torch.Generator().manual_seed(4)))
    assert not torch.equal(first, recombine(bank, 5, torch.Generator().manual_seed(5)))


def test_exchangeable_slots_draw_from_one_pool() -> None:
    bank = torch.arange(12.0).view(4, 3, 1).expand(-1, -1, 5)
    drawn = recombine(bank, 6000, draws(), TWO_OBJECTS.groups)[:, :, 0]
    for slot, pool in ((0, {0, 1}), (1, {0, 1}), (2, {2})):
        values = [float(row * 3 + k) for row in range(4) for k in pool]
        share = torch.stack([(drawn[:, slot] == v).float().mean() for v in values])
        assert torch.allclose(share, torch.full_like(share, 1 / len(values)), atol=0.02)
    same_row = (drawn[:, 0] // 3 == drawn[:, 2] // 3).float().mean()
    assert float(same_row) == pytest.approx(1 / 4, abs=0.02)


def test_factor_level_replay_keeps_every_factor_and_breaks_every_pair() -> None:
    g = draws()
    shape = torch.randint(4, (64,), generator=g)
    factors = {
        k: shape if t.startswith("cat") else torch.rand(64, generator=g) for k, t in FACTORS.items()
    }
    bank = slot_vectors(LAYOUT, factors)  # shape and background always agree
    drawn = recombine_factors(LAYOUT, bank, 8000, g)
    shapes, grounds = drawn[:, 0, :4], drawn[:, 1, :4]
    assert torch.allclose(shapes.mean(0), bank[:, 0, :4].mean(0), atol=0.02)
    assert torch.equal(shapes.sum(1), torch.ones(8000))
    joint = shapes.T @ grounds / 8000
    assert torch.allclose(joint, shapes.mean(0)[:, None] * grounds.mean(0), atol=0.02)
    for c in LAYOUT.slots[0]:
        if c.kind == "angle":  # cosine and sine stay together
            assert torch.allclose(drawn[:, 0, c.span].norm(dim=1), torch.ones(8000), atol=1e-4)


def test_masks_are_renamed_to_the_layers_that_draw_them() -> None:
    g = draws()
    opacity = torch.randn(5, 3, 6, 6, generator=g) * 3
    masks = torch.randint(0, 4, (5, 6, 6), generator=g)
    found = matched_masks(opacity, masks)
    from itertools import permutations

    for b in range(5):
        losses = {}
        for order in permutations((1, 2, 3)):
            names = torch.tensor([0, *order])
            renamed = names[masks[b]][None]
            losses[order] = float(mask_loss(opacity[b : b + 1], renamed))
        assert float(mask_loss(opacity[b : b + 1], found[b : b + 1])) == pytest.approx(
            min(losses.values())
        )


def test_targets_are_put_into_the_order_of_the_loss() -> None:
    outputs, targets = _scene(40, 3)
    ordered = matched_targets(TWO_OBJECTS, outputs, targets, 0.7)
    assert torch.equal(ordered[:, 2], targets[:, 2])
    swapped = (ordered != targets).flatten(1).any(1)
    assert torch.equal(ordered[swapped], targets[swapped][:, [1, 0, 2]])
    assert 0 < swapped.sum() < 40
    direct = sum(
        _slow_cost(outputs[i, k], ordered[i, k], classes, 0.7)
        for i in range(40)
        for k, classes in enumerate((3, 3, 5))
    )
    assert slot_loss(TWO_OBJECTS, outputs, targets, 0.7).item() == pytest.approx(
        direct / 40, rel=1e-4
    )
