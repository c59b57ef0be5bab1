"""Losses on slots and pixels, and the recombination that replay trains on."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from recombine.baselines.nn.slots import Columns, SlotLayout


def pair_costs(
    columns: tuple[Columns, ...],
    outputs: Float[Tensor, "images guesses dim"],
    targets: Float[Tensor, "images truths dim"],
    pose_weight: float,
) -> Float[Tensor, "images guesses truths"]:
    """Return the loss of every guessed slot against every true slot of the same kind."""
    total = outputs.new_zeros(len(outputs), outputs.shape[1], targets.shape[1])
    for c in columns:
        guess, truth = outputs[:, :, None, c.span], targets[:, None, :, c.span]
        if c.kind == "categorical":
            total = total - (guess.log_softmax(-1) * truth).sum(-1)
        else:
            total = total + pose_weight * (guess - truth).square().sum(-1)
    return total


def match(costs: Float[Tensor, "images k k"]) -> Int[Tensor, "images k"]:
    """Return the cheapest one-to-one assignment of guesses to truths, by trying all K!."""
    k = costs.shape[1]
    tables = torch.tensor(list(permutations(range(k))), device=costs.device)
    totals = costs[:, torch.arange(k, device=costs.device), tables].sum(-1)
    return tables[totals.argmin(dim=1)]


def slot_loss(
    layout: SlotLayout,
    outputs: Float[Tensor, "images slots dim"],
    targets: Float[Tensor, "images slots dim"],
    pose_weight: float = 1.0,
) -> Float[Tensor, ""]:
    """Return the supervised loss, summed over slots and averaged over images."""
    return slot_losses(layout, outputs, targets, pose_weight).mean()


def slot_losses(
    layout: SlotLayout,
    outputs: Float[Tensor, "images slots dim"],
    targets: Float[Tensor, "images slots dim"],
    pose_weight: float = 1.0,
) -> Float[Tensor, " images"]:
    """Return the supervised loss of every image, summed over slots."""
    # Exchangeable slots (same factors) are matched per image before the loss is taken.
    total = outputs.new_zeros(len(outputs))
    for group in layout.groups:
        index = list(group)
        costs = pair_costs(
            layout.slots[group[0]], outputs[:, index], targets[:, index], pose_weight
        )
        if len(group) > 1:
            costs = costs.gather(2, match(costs.detach())[:, :, None])
        total = total + costs.sum(dim=(1, 2))
    return total


def matched_targets(
    layout: SlotLayout,
    outputs: Float[Tensor, "images slots dim"],
    targets: Float[Tensor, "images slots dim"],
    pose_weight: float = 1.0,
) -> Float[Tensor, "images slots dim"]:
    """Return the targets with exchangeable slots in the order that `slot_loss` matches them in."""
    out = targets.clone()
    for group in layout.groups:
        if len(group) > 1:
            index = list(group)
            costs = pair_costs(
                layout.slots[group[0]], outputs[:, index], targets[:, index], pose_weight
            )
            order = match(costs.detach())[:, :, None].expand(-1, -1, targets.shape[2])
            out[:, index] = targets[:, index].gather(1, order)
    return out


def object_weights(
    masks: Int[Tensor, "images height width"], weight: float
) -> Float[Tensor, "images 1 height width"]:
    """Return pixel weights that make up for how little of an image its objects cover."""
    near = functional.max_pool2d((masks > 0).float()[:, None], 5, stride=1, padding=2)
    return 1.0 + (weight - 1.0) * near


def mask_loss(
    opacity: Float[Tensor, "images objects height width"],
    masks: Int[Tensor, "images height width"],
) -> Float[Tensor, ""]:
    """Return the cross-entropy between the compositing weights and the instance masks."""
    return functional.cross_entropy(functional.pad(opacity, (0, 0, 0, 0, 1, 0)), masks)


@torch.no_grad()
def matched_masks(
    opacity: Float[Tensor, "images objects height width"],
    masks: Int[Tensor, "images height width"],
) -> Int[Tensor, "images height width"]:
    """Rename the objects of instance masks so that they fit drawn layers best, image by image."""
    count = opacity.shape[1]
    if count < 2:
        return masks
    shares = functional.pad(opacity, (0, 0, 0, 0, 1, 0)).log_softmax(1)[:, 1:]
    true = torch.stack([(masks == k + 1).float() for k in range(count)], dim=1)
    costs = -torch.einsum("bghw,bthw->bgt", shares, true)
    given = match(costs).argsort(1) + 1  # for every true object the layer that draws it
    names = functional.pad(given, (1, 0))
    return names.gather(1, masks.flatten(1)).view_as(masks)


FLOOR = 0.05


def spread_of(bank: Float[Tensor, "images slots dim"]) -> Float[Tensor, "slots dim"]:
    """Return the standard deviation of every column over a bank of slots, at least `FLOOR`."""
    # A column that a variational encoder does not use is nearly constant. Without a floor, noise in
    # it would weigh as much as what the slots hold.
    return bank.std(0, correction=0).clamp_min(FLOOR)


def standard_error(
    found: Float[Tensor, "images slots dim"],
    wanted: Float[Tensor, "images slots dim"],
    spread: Float[Tensor, "slots dim"],
) -> Float[Tensor, ""]:
    """Return the mean squared error between slots in units of their spread: replay's loss."""
    return ((found - wanted) / spread).square().mean()


def recombine(
    bank: Float[Tensor, "images slots dim"],
    n: int,
    generator: torch.Generator,
    groups: tuple[tuple[int, ...], ...] = (),
) -> Float[Tensor, "n slots dim"]:
    """Draw scenes whose slots come from different images, independently per slot."""
    # The draw follows the product of the slots' empirical marginals (arXiv 2512.08854, Eq. 4.4):
    # every slot keeps its distribution, only the dependence between slots is gone.
    slots = bank.shape[1]
    rows = torch.randint(len(bank), (n, slots), generator=generator)
    source = torch.arange(slots).repeat(n, 1)
    for group in groups:
        if len(group) > 1:
            members = torch.tensor(group)
            drawn = torch.randint(len(group), (n, len(group)), generator=generator)
            source[:, members] = members[drawn]
    return bank[rows.to(bank.device), source.to(bank.device)]


def recombine_factors(
    layout: SlotLayout,
    bank: Float[Tensor, "images slots dim"],
    n: int,
    generator: torch.Generator,
) -> Float[Tensor, "n slots dim"]:
    """Draw scenes whose factors come from different images, independently per factor."""
    # For splits that recombine factors *within* a slot, where `recombine` would only copy the in-
    # combination pairs. Exchangeable slots share one pool per factor.
    out = bank.new_zeros(n, *bank.shape[1:])
    for group in layout.groups:
        for k in group:
            for c in layout.slots[k]:
                rows = torch.randint(len(bank), (n,), generator=generator)
                slot = torch.tensor(group)[torch.randint(len(group), (n,), generator=generator)]
                out[:, k, c.span] = bank[rows.to(bank.device), slot.to(bank.device), c.span]
    return out
