"""Slots of in-combination images put together into combinations that were never shown.

In a matched block every cell is rendered with the same nuisances. An out-of-combination image
therefore has in-combination twins that share one of its slots each, and the recombination of
their slots has a true render: the image itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Int, Shaped

    from recombine.renderer.core.types import Array


@dataclass(frozen=True)
class Donors:
    """Out-of-combination images and the in-combination images that hold their slots."""

    targets: Int[Array, " targets"]  # ``(M,)`` image numbers
    # ``(M, F)`` image numbers: donor f shares the target's value of recombined factor f
    donors: Int[Array, "targets factors"]
    missing: int  # out-of-combination images left out because a donor is not there


def find_donors(
    cells: Int[Array, "images factors"],
    blocks: Int[Array, " images"],
    inside: Bool[Array, " images"],
) -> Donors:
    """Find in-combination twins of every out-of-combination image."""
    holders: dict[tuple[int, int, int], list[int]] = {}
    for image in np.flatnonzero(inside):
        for factor, value in enumerate(cells[image]):
            key = (int(blocks[image]), factor, int(value))
            holders.setdefault(key, []).append(int(image))
    targets, donors = [], []
    outside = np.flatnonzero(~inside)
    for turn, image in enumerate(outside):
        keys = [(int(blocks[image]), f, int(v)) for f, v in enumerate(cells[image])]
        if all(key in holders for key in keys):
            targets.append(int(image))
            donors.append([holders[key][turn % len(holders[key])] for key in keys])
    table = np.array(donors, dtype=np.int64).reshape(len(targets), cells.shape[1])
    return Donors(np.array(targets, dtype=np.int64), table, len(outside) - len(targets))


def recombine(
    slots: Shaped[Array, "images slots dim"],
    donors: Int[Array, "targets factors"],
    roles: Int[Array, " factors"],
) -> Shaped[Array, "targets slots dim"]:
    """Put slots of different images together."""
    if len(set(roles.tolist())) != len(roles) or len(roles) != donors.shape[1]:
        raise InvalidInputError(
            f"recombine: one slot of its own is needed for each of {donors.shape[1]} factors, got "
            f"{roles.tolist()}; factors of one slot cannot be recombined by swapping slots"
        )
    out: Array = slots[donors[:, 0]].copy()
    for factor, slot in enumerate(roles):
        out[:, slot] = slots[donors[:, factor], slot]
    return out


def shuffle_slots(
    slots: Shaped[Array, "images slots dim"], seed: int
) -> Shaped[Array, "images slots dim"]:
    """Recombine slots of random images: every slot of a row comes from another image."""
    images, count = slots.shape[:2]
    if images < count:
        raise InvalidInputError(
            f"shuffle_slots: at least as many images as slots are needed, got {images} and {count}"
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(images)
    shifts = rng.choice(images, count, replace=False)
    columns = [slots[np.roll(order, shift), slot] for slot, shift in enumerate(shifts)]
    return np.stack(columns, axis=1)
