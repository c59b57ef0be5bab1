"""Which slot of a method stands for which object, where a method's slots have no fixed roles.

Slots are matched to objects image by image, on masks and never on a factor that is
scored: whoever may choose the best of K! pairings per image after seeing the answers gets
an R2 of (K - 1) / (K + 1) per factor without looking at the image (K = 2: 0.33, K = 10: 0.82).
Even an honest matching gives something away when a factor depends on where objects are: the
score of constants under the same matching, `alignment.blind_answers`, belongs beside every score.

Methods whose slots keep their roles need none of this: `readout.match_slots` fits one assignment
on in-combination images and freezes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped

    from recombine.renderer.core.types import Array


@dataclass(frozen=True)
class Matching:
    """Slots that stand for the objects of some images.

    Attributes
    ----------
    index : array
        ``(N, K)`` slot of every object; -1 where the object is absent or left over.
    present : array
        ``(N, K)`` which objects there are; an absent object has no score.
    """

    index: Int[Array, "images objects"]
    present: Bool[Array, "images objects"]


def assign(
    cost: Float[Array, "images objects slots"], present: Bool[Array, "images objects"] | None = None
) -> Int[Array, "images objects"]:
    """Pair objects with slots at the lowest total cost, image by image."""
    if cost.ndim != 3 or not np.all(np.isfinite(cost)):
        raise InvalidInputError(
            f"assign: the cost must be finite, images x objects x slots, got {cost.shape}; "
            "leave absent objects out through `present`"
        )
    index = np.full(cost.shape[:2], -1, dtype=np.int64)
    for number, table in enumerate(cost):
        there = np.arange(len(table)) if present is None else np.flatnonzero(present[number])
        rows, columns = linear_sum_assignment(table[there])
        index[number, there[rows]] = columns
    return index


def match_on_masks(
    overlap: Float[Array, "images objects slots"], present: Bool[Array, "images objects"]
) -> Matching:
    """Match slots to objects by the overlap of their masks.

    Parameters
    ----------
    overlap : array
        ``(N, K, S)`` intersection over union, in [0, 1] (`metrics_masks.overlaps`).
    present : array
        ``(N, K)`` visible objects.

    Returns
    -------
    Matching
        The pairing with the largest total overlap in every image.
    """
    return Matching(assign(-overlap, present), present)


def take(
    matching: Matching, values: Shaped[Array, "images slots *rest"]
) -> Shaped[Array, "images objects *rest"]:
    """Return the values of the slots that stand for the objects."""
    # Where an object has no slot, slot 0 fills the place and must not be scored (``index`` is -1).
    safe = np.maximum(matching.index, 0)
    taken: Array = values[np.arange(len(values))[:, None], safe]
    return taken
