"""What a readout of matched slots scores without looking at the image.

The best constant per slot, under the very matching that is scored, or under a matching of
predictions that saw another image. A factor score is only as good as its distance to this floor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import contributions
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Int, Shaped

    from recombine.benchmark.metrics.matching import Matching
    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Factor


def another_image(images: int, seed: int) -> Int[Array, " images"]:
    """Return for every image a different one, at random: predictions that saw something else.

    Parameters
    ----------
    images : int
        At least 2.
    seed : int
        Same seed, same answer.

    Returns
    -------
    array
        ``(N,)`` permutation of one cycle, so nothing stays in place.
    """
    if images < 2:
        raise InvalidInputError("another_image: at least two images are needed; score more")
    order = np.random.default_rng(seed).permutation(images)
    other = np.empty(images, dtype=np.int64)
    other[order] = np.roll(order, 1)
    return other


def matching_floor(
    matching: Matching, factor: Factor, true: Shaped[Array, "images objects"]
) -> float:
    """Return what a readout scores that knows only which slot was chosen.

    Parameters
    ----------
    matching : Matching
        The matching under test, or one of positions and masks that saw nothing.
    factor : Factor
        Decides the metric.
    true : array
        ``(N, K)`` codes, radians or units.

    Returns
    -------
    float
        Factor score of the best constant per slot, on these images: 0 when the choice of a slot
        says nothing about the factor, 1 when it says everything. At most about S / (N K) too high
        because the constants are fitted to the images they are scored on.
    """
    slot = matching.index[matching.present]
    values = true[matching.present]
    guess = np.empty_like(values)
    for number in np.unique(slot):
        chosen = slot == number
        guess[chosen] = _best_constant(factor, values[chosen], values)
    sums, weights = contributions(factor, guess, values)
    total = weights.sum(axis=0)
    return float(np.mean(sums.sum(axis=0)[total > 0] / total[total > 0]))


def _best_constant(factor: Factor, chosen: Array, everything: Array) -> float | int:
    if factor.kind == "periodic":
        return float(np.angle(np.exp(1j * chosen).mean()))
    if factor.kind == "continuous":
        return float(chosen.mean())
    # Balanced accuracy: an answer of a rare class weighs more.
    known, counts = np.unique(everything, return_counts=True)
    return int(
        known[np.argmax([np.sum(chosen == k) / n for k, n in zip(known, counts, strict=True)])]
    )
