"""How right a set of objects without an order is: R2 after the pairing of least error.

That pairing alone earns a lot, so set R2 is only ever shown with the R2 of the best constant
set, which never looks at an image, and corrected by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import Metric
from recombine.benchmark.metrics.matching import assign
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from recombine.renderer.core.types import Array

SET_R2 = Metric(
    "set_r2_over_constant_set", "1.0", "higher", -np.inf, 1.0, 0.0,
    "(R2 - R2_set) / (1 - R2_set), R2 = 1 - MSE / reference variance after the pairing of least "
    "error in each image, R2_set that of the best constant set on the same images",
)  # fmt: skip


@dataclass(frozen=True)
class SetScore:
    """Set R2 with what it takes to read it.

    Attributes
    ----------
    r2 : float
        After pairing; not comparable across splits, numbers of objects or factors.
    floor : float
        R2 of the best constant set on the same images.
    corrected : float
        (r2 - floor) / (1 - floor): 1 perfect, 0 no better than constants.
    """

    r2: float
    floor: float
    corrected: float


def set_contributions(
    predicted: Float[Array, "images slots factors"],
    true: Float[Array, "images objects factors"],
    variance: Float[Array, " factors"],
    present: Bool[Array, "images objects"] | None = None,
) -> tuple[Float[Array, "images 1"], Float[Array, "images 1"]]:
    """Return each image's part of set R2, after the pairing of least error.

    Parameters
    ----------
    predicted, true : array
        ``(N, S, F)`` with S >= K, and ``(N, K, F)``.
    variance : array
        ``(F,)`` fixed reference variances, the same for every split.
    present : array, optional
        ``(N, K)``; absent objects cost nothing.

    Returns
    -------
    tuple of array
        Sums and weights, ``(N, 1)``, as those of `metrics.contributions`; R2 is their ratio.
    """
    if predicted.shape[1] < true.shape[1]:
        raise InvalidInputError(
            f"set R2: {predicted.shape[1]} predicted objects cannot stand for {true.shape[1]}; "
            "predict at least as many as there can be"
        )
    scale = np.sqrt(variance)
    gap = (true / scale)[:, :, None] - (predicted / scale)[:, None]
    cost = np.mean(gap**2, axis=3)
    index = assign(cost, present)
    paired = np.take_along_axis(cost, np.maximum(index, 0)[:, :, None], axis=2)[:, :, 0]
    there = index >= 0
    error = np.sum(paired * there, axis=1, keepdims=True)
    count = np.sum(there, axis=1, keepdims=True).astype(float)
    return count - error, count


def set_r2(
    predicted: Float[Array, "images slots factors"],
    true: Float[Array, "images objects factors"],
    variance: Float[Array, " factors"],
    present: Bool[Array, "images objects"] | None = None,
) -> SetScore:
    """Return set R2, its constant-set floor on the same images, and the corrected score.

    Parameters
    ----------
    predicted, true, variance, present
        As for `set_contributions`.

    Returns
    -------
    SetScore
        For unordered sets of continuous factors. Where masks or positions can decide the
        pairing, `matching` and the plain factor scores are the better choice.
    """
    sums, weights = set_contributions(predicted, true, variance, present)
    r2 = float(sums.sum() / weights.sum())
    floor = constant_set_floor(true, variance, present=present, size=predicted.shape[1])
    return SetScore(r2, floor, chance_corrected(r2, floor))


def constant_set_floor(
    true: Float[Array, "images objects factors"],
    variance: Float[Array, " factors"],
    *,
    present: Bool[Array, "images objects"] | None = None,
    size: int | None = None,
    seed: int = 0,
) -> float:
    """Return the set R2 of the best set that is the same for every image.

    Parameters
    ----------
    true, variance, present
        As for `set_contributions`.
    size : int, optional
        Number of predicted objects; K without it.
    seed : int
        For the starting sets.

    Returns
    -------
    float
        (K - 1) / (K + 1) for K values of one uniform factor; falls with the number of factors.
    """
    guess = constant_set(true, variance, present=present, size=size, seed=seed)
    repeated = np.broadcast_to(guess, (len(true), *guess.shape))
    sums, weights = set_contributions(repeated, true, variance, present)
    return float(sums.sum() / weights.sum())


def constant_set(
    true: Float[Array, "images objects factors"],
    variance: Float[Array, " factors"],
    *,
    present: Bool[Array, "images objects"] | None = None,
    size: int | None = None,
    seed: int = 0,
    starts: int = 2,
    steps: int = 30,
) -> Float[Array, "slots factors"]:
    """Return the set of constants with (nearly) the least error after pairing.

    Parameters
    ----------
    true, variance, present, size, seed
        As for `constant_set_floor`.
    starts, steps : int
        Tries from random objects, and most rounds of each.

    Returns
    -------
    array
        ``(S, F)``; a local optimum of alternating pairing and averaging (Lloyd 1982, IEEE Trans.
        Inf. Theory 28(2)), so the floor may be a little too low, never too high.
    """
    there = np.ones(true.shape[:2], dtype=bool) if present is None else present
    scaled = true / np.sqrt(variance)
    pool = scaled[there]
    best, best_error = pool[:1], np.inf
    for start in range(starts):
        rng = np.random.default_rng([seed, start])
        count = true.shape[1] if size is None else size
        guess = pool[rng.choice(len(pool), count, replace=count > len(pool))]
        guess, error = _settle(guess, scaled, there, steps)
        if error < best_error:
            best, best_error = guess, error
    constants: Array = best * np.sqrt(variance)
    return constants


def _settle(guess: Array, true: Array, there: Array, steps: int) -> tuple[Array, float]:
    """Alternate pairing and averaging until the error falls by less than 0.01 %."""
    error = np.inf
    for _ in range(steps):
        index = assign(np.sum((true[:, :, None] - guess) ** 2, axis=3), there)
        paired = index >= 0
        slot, values = index[paired], true[paired]
        now = float(np.mean((values - guess[slot]) ** 2))
        if now > error * (1 - 1e-4):
            break
        error = now
        count = np.bincount(slot, minlength=len(guess))
        total = np.stack([np.bincount(slot, v, len(guess)) for v in values.T], axis=1)
        guess = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], guess)
    return guess, error


def chance_corrected(score: float, floor: float) -> float:
    """Return (score - floor) / (1 - floor).

    Parameters
    ----------
    score : float
        At most 1.
    floor : float
        Score of a prediction without information, below 1.

    Returns
    -------
    float
        1 perfect, 0 at the floor, negative below it.

    Examples
    --------
    >>> chance_corrected(0.75, 0.5)
    0.5
    """
    if floor >= 1:
        raise InvalidInputError(
            f"chance_corrected: the floor must be below 1, got {floor}; measure elsewhere"
        )
    return (score - floor) / (1 - floor)
