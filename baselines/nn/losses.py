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
    """Return the loss of every guessed slot against every true slot of the same kind.

    Parameters
    ----------
    columns : tuple of Columns
        The factors of this kind of slot.
    outputs : Tensor
        ``(B, G, D)`` head outputs: logits, angle vectors, standardised values.
    targets : Tensor
        ``(B, T, D)`` slot vectors: one-hot, unit vectors, standardised values.
    pose_weight : float
        Weight of the squared error of angle and continuous columns against the cross-entropy
        of categorical ones.

    Returns
    -------
    Tensor
        ``(B, G, T)``: cross-entropy in nats plus weighted squared errors; 0 is best.
    """
    total = outputs.new_zeros(len(outputs), outputs.shape[1], targets.shape[1])
    for c in columns:
        guess, truth = outputs[:, :, None, c.span], targets[:, None, :, c.span]
        if c.kind == "categorical":
            total = total - (guess.log_softmax(-1) * truth).sum(-1)
        else:
            total = total + pose_weight * (guess - truth).square().sum(-1)
    return total


def match(costs: Float[Tensor, "images k k"]) -> Int[Tensor, "images k"]:
    """Return the cheapest one-to-one assignment of guesses to truths, by trying all K!.

    Parameters
    ----------
    costs : Tensor
        ``(B, K, K)``, guesses by truths; K up to 6 or so.

    Returns
    -------
    Tensor
        ``(B, K)`` int64: the truth that each guess is assigned to. Ties go to the assignment
        that comes first in lexicographic order.
    """
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
    """Return the supervised loss, summed over slots and averaged over images.

    Exchangeable slots (same factors) are matched per image before the loss is taken.

    Parameters
    ----------
    layout : SlotLayout
        Which columns are what.
    outputs : Tensor
        ``(B, K, D)`` head outputs.
    targets : Tensor
        ``(B, K, D)`` standardised slot vectors.
    pose_weight : float
        See `pair_costs`.

    Returns
    -------
    Tensor
        Scalar; 0 is perfect.
    """
    total = outputs.new_zeros(())
    for group in layout.groups:
        index = list(group)
        costs = pair_costs(
            layout.slots[group[0]], outputs[:, index], targets[:, index], pose_weight
        )
        if len(group) > 1:
            costs = costs.gather(2, match(costs.detach())[:, :, None])
        total = total + costs.sum(dim=(1, 2)).mean()
    return total


def object_weights(
    masks: Int[Tensor, "images height width"], weight: float
) -> Float[Tensor, "images 1 height width"]:
    """Return pixel weights that make up for how little of an image its objects cover.

    Parameters
    ----------
    masks : Tensor
        ``(B, H, W)``, 0 background, k + 1 object k.
    weight : float
        Weight of a pixel within two pixels of an object; all others weigh 1.

    Returns
    -------
    Tensor
        ``(B, 1, H, W)`` float32.
    """
    near = functional.max_pool2d((masks > 0).float()[:, None], 5, stride=1, padding=2)
    return 1.0 + (weight - 1.0) * near


def mask_loss(
    opacity: Float[Tensor, "images objects height width"],
    masks: Int[Tensor, "images height width"],
) -> Float[Tensor, ""]:
    """Return the cross-entropy between the compositing weights and the instance masks.

    Parameters
    ----------
    opacity : Tensor
        ``(B, objects, H, W)`` opacity logits against the background's 0.
    masks : Tensor
        ``(B, H, W)`` int64, 0 background, k + 1 object k.

    Returns
    -------
    Tensor
        Scalar in nats per pixel; 0 is perfect.
    """
    return functional.cross_entropy(functional.pad(opacity, (0, 0, 0, 0, 1, 0)), masks)


@torch.no_grad()
def matched_masks(
    opacity: Float[Tensor, "images objects height width"],
    masks: Int[Tensor, "images height width"],
) -> Int[Tensor, "images height width"]:
    """Rename the objects of instance masks so that they fit drawn layers best, image by image.

    Parameters
    ----------
    opacity : Tensor
        ``(B, objects, H, W)`` opacity logits against the background's 0.
    masks : Tensor
        ``(B, H, W)``, 0 background, k + 1 object k, at most as many objects as layers.

    Returns
    -------
    Tensor
        ``(B, H, W)`` with objects renamed: the cheapest one-to-one assignment by cross-entropy.
    """
    count = opacity.shape[1]
    if count < 2:
        return masks
    shares = functional.pad(opacity, (0, 0, 0, 0, 1, 0)).log_softmax(1)[:, 1:]
    true = torch.stack([(masks == k + 1).float() for k in range(count)], dim=1)
    costs = -torch.einsum("bghw,bthw->bgt", shares, true)
    given = match(costs).argsort(1) + 1  # for every true object the layer that draws it
    names = functional.pad(given, (1, 0))
    return names.gather(1, masks.flatten(1)).view_as(masks)


def recombine(
    bank: Float[Tensor, "images slots dim"],
    n: int,
    generator: torch.Generator,
    groups: tuple[tuple[int, ...], ...] = (),
) -> Float[Tensor, "n slots dim"]:
    """Draw scenes whose slots come from different images, independently per slot.

    The draw follows the product of the slots' empirical marginals (arXiv 2512.08854, Eq. 4.4):
    every slot keeps its distribution, only the dependence between slots is gone.

    Parameters
    ----------
    bank : Tensor
        ``(N, K, D)`` slots of in-combination training images.
    n : int
        Number of scenes to draw.
    generator : torch.Generator
        Source of randomness, on the CPU.
    groups : tuple of tuple of int
        Exchangeable slots, see `SlotLayout.groups`: they draw from one pool, because which of
        them an object was stored in means nothing.

    Returns
    -------
    Tensor
        ``(n, K, D)``.
    """
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
    """Draw scenes whose factors come from different images, independently per factor.

    For splits that recombine factors *within* a slot, where `recombine` would only copy the
    in-combination pairs. Exchangeable slots share one pool per factor.

    Parameters
    ----------
    layout : SlotLayout
        Where each factor is.
    bank : Tensor
        ``(N, K, D)`` slots of in-combination training images.
    n : int
        Number of scenes to draw.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    Tensor
        ``(n, K, D)``; every factor keeps its distribution.
    """
    out = bank.new_zeros(n, *bank.shape[1:])
    for group in layout.groups:
        for k in group:
            for c in layout.slots[k]:
                rows = torch.randint(len(bank), (n,), generator=generator)
                slot = torch.tensor(group)[torch.randint(len(group), (n,), generator=generator)]
                out[:, k, c.span] = bank[rows.to(bank.device), slot.to(bank.device), c.span]
    return out
