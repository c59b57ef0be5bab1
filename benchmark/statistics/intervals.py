"""Error bars for a score measured with S training seeds on C cells (combinations).

Two things are random: the training run, and which combinations were held out. An interval that
resamples only one of them is too narrow (seeds only, 3 to 10 seeds and 40 cells: it covers the
truth 35-72 % of the time when cells differ, and gets *worse* with more seeds). Here a score is
an S x C matrix x, and the variance of its mean is that of the crossed ("pigeonhole") bootstrap,
in closed form and with the small-sample factors S/(S-1) and C/(C-1)::

    x[s, c] = m + a[s] + b[c] + e[s, c]                 (double centring)
    V = sum a^2 / (S (S-1)) + sum b^2 / (C (C-1)) + sum e^2 / (S C (S-1) (C-1))

with a t quantile whose degrees of freedom follow Satterthwaite. E[V] is the true variance plus
two residual terms, so it errs on the wide side. Sources: Owen (2007), The pigeonhole bootstrap,
Ann. Appl. Stat. 1(2), Theorem 3; Satterthwaite (1946), Biometrics Bull. 2(6), eq. 17.

A share near 0 or 1 has skewed errors: a symmetric interval around .97 of 8 cells holds the truth
only 88 % of the time. Means with known bounds therefore get Wilson's interval for the effective
number of answers ``p (1 - p) / V``, which is the t interval again in the middle of the scale.
Sources: Wilson (1927), J. Am. Stat. Assoc. 22(158), eq. 7; Dean and Pagano (2015), J. Surv. Stat.
Methodol. 3(4), on effective sizes. ``benchmarks/coverage.py`` measures all of this.

Where the design allows no interval (one seed, one cell, or no spread at all), the answer is
None and never a made-up number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from recombine.renderer.core.types import Array

CI_METHOD = "crossed seeds x cells bootstrap variance (closed form), Satterthwaite t, Wilson form"
GAP_METHOD = "shared seeds x (ID cells, OOC cells) bootstrap variance, Satterthwaite t"
BLOCK_METHOD = "crossed seeds x matched blocks bootstrap variance, Satterthwaite t, cells fixed"
LEVEL = 0.05


@dataclass(frozen=True)
class Term:
    """One part of a variance: its value and the degrees of freedom behind it."""

    variance: float
    df: float


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty.

    Attributes
    ----------
    value : float
        The estimate.
    standard_error : float, optional
        Square root of the estimated variance; None where the design gives none.
    df : float, optional
        Satterthwaite degrees of freedom.
    ci95 : tuple of float, optional
        95 % interval.
    p_value : float, optional
        Two-sided, against a true value of 0.
    """

    value: float
    standard_error: float | None = None
    df: float | None = None
    ci95: tuple[float, float] | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Components:
    """Variance components in squared score units; None where the design cannot tell.

    Attributes
    ----------
    seed : float, optional
        Between training runs.
    cell : float, optional
        Between cells, including how hard the cell's images happen to be.
    residual : float, optional
        Seed-by-cell interaction and the noise of a cell's mean.
    image : float, optional
        Between images of one cell for one run: p (1 - p), unbiased.
    """

    seed: float | None
    cell: float | None
    residual: float | None
    image: float | None


def estimate(
    value: float, terms: Sequence[Term] | None, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Combine a value with the parts of its variance.

    Parameters
    ----------
    value : float
        The estimate.
    terms : sequence of Term, optional
        Independent parts of the variance; None or all zero gives no interval.
    bounds : tuple of float, optional
        The interval is clipped to these.

    Returns
    -------
    Estimate
        Interval ``value +- t(df) sqrt(V)``.
    """
    variance = sum(term.variance for term in terms or ())
    if not terms or variance <= 1e-24:
        return Estimate(value)
    df = variance**2 / sum(term.variance**2 / term.df for term in terms)
    error = math.sqrt(variance)
    half = _quantile(1 - LEVEL / 2, df) * error
    low, high = value - half, value + half
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    p_value = 2 * float(special.stdtr(df, -abs(value) / error))
    return Estimate(value, error, df, (low, high), p_value)


def crossed_terms(scores: Float[Array, "seeds cells"]) -> list[Term] | None:
    """Return seed, cell and residual part of the variance of ``scores.mean()``."""
    _validate(scores)
    seeds, cells = scores.shape
    if seeds < 2 or cells < 2:
        return None
    a, b, e = _centred(scores)
    return [
        Term(float(np.sum(a**2)) / (seeds * (seeds - 1)), seeds - 1),
        Term(float(np.sum(b**2)) / (cells * (cells - 1)), cells - 1),
        Term(
            float(np.sum(e**2)) / (seeds * cells * (seeds - 1) * (cells - 1)),
            (seeds - 1) * (cells - 1),
        ),
    ]


def crossed_mean(
    scores: Float[Array, "seeds cells"], bounds: tuple[float, float] | None = (0.0, 1.0)
) -> Estimate:
    """Return the mean score with its crossed interval.

    Parameters
    ----------
    scores : array
        ``(S, C)`` score of every seed on every cell, for example accuracies.
    bounds : tuple of float, optional
        Range of the score; it makes the interval Wilson's. None for the plain t interval.

    Returns
    -------
    Estimate
        Every seed and every cell weighs the same. The interval stays within the bounds.

    Examples
    --------
    >>> crossed_mean(np.array([[0.5, 0.7, 0.6], [0.6, 0.9, 0.6]])).value
    0.65
    >>> crossed_mean(np.array([[0.5, 0.7, 0.6]])).ci95 is None
    True
    """
    terms = crossed_terms(scores)
    found = estimate(_mean(scores), terms, bounds)
    return found if bounds is None else replace(found, ci95=_wilson(found, bounds))


def gap(
    id_scores: Float[Array, "seeds id_cells"], ooc_scores: Float[Array, "seeds ooc_cells"]
) -> Estimate:
    """Return the ID mean minus the OOC mean of the same training runs.

    Parameters
    ----------
    id_scores : array
        ``(S, C)`` in-combination scores.
    ooc_scores : array
        ``(S, C')`` out-of-combination scores; row s is the same run as row s of ``id_scores``.

    Returns
    -------
    Estimate
        Positive when new combinations are harder. A run that is good at both counts once: the
        seed part comes from the gap of each run, the cell parts from each side.

    Raises
    ------
    InvalidInputError
        When the two have different numbers of seeds.
    """
    inside, outside = crossed_terms(id_scores), crossed_terms(ooc_scores)
    if len(id_scores) != len(ooc_scores):
        raise InvalidInputError(
            f"gap: ID and OOC need the same seeds, got {len(id_scores)} and {len(ooc_scores)}"
        )
    value = _mean(id_scores) - _mean(ooc_scores)
    if inside is None or outside is None:
        return estimate(value, None)
    per_seed = id_scores.mean(axis=1) - ooc_scores.mean(axis=1)
    seed = Term(float(np.var(per_seed, ddof=1)) / len(per_seed), len(per_seed) - 1)
    return estimate(value, [seed, *inside[1:], *outside[1:]], (-1.0, 1.0))


def paired_difference(
    first: Float[Array, "seeds cells"],
    second: Float[Array, "other_seeds cells"],
    bounds: tuple[float, float] | None = (-1.0, 1.0),
) -> Estimate:
    """Return the mean difference of two methods on the same cells.

    Cells are paired: a cell that is hard for both methods cancels. Seeds are not: the third run
    of one method has nothing to do with the third run of the other, so their numbers may differ.

    Parameters
    ----------
    first, second : array
        ``(S, C)`` and ``(S', C)`` scores; column c is the same cell in both.
    bounds : tuple of float, optional
        Range of a difference; the interval is clipped to it.

    Returns
    -------
    Estimate
        First minus second, with interval and two-sided p-value. With fewer than two seeds of
        either, or two cells, there is neither.

    Raises
    ------
    InvalidInputError
        When the two have different numbers of cells.
    """
    mine, theirs = crossed_terms(first), crossed_terms(second)
    if first.shape[1] != second.shape[1]:
        raise InvalidInputError(
            "paired_difference: both methods need the same cells, got "
            f"{first.shape[1]} and {second.shape[1]}; compare entries of one dataset"
        )
    value = _mean(first) - _mean(second)
    if mine is None or theirs is None:
        return estimate(value, None)
    per_cell = first.mean(axis=0) - second.mean(axis=0)
    cell = Term(float(np.var(per_cell, ddof=1)) / len(per_cell), len(per_cell) - 1)
    # Residuals are inside all three terms already; adding them again would only cost power.
    return estimate(value, [cell, mine[0], theirs[0]], bounds)


def variance_components(
    hits: Int[Array, "seeds cells"], counts: Int[Array, "seeds cells"]
) -> Components:
    """Split the variance of an accuracy into seed, cell, residual and image.

    Parameters
    ----------
    hits : array
        ``(S, C)`` right answers.
    counts : array
        ``(S, C)`` images, at least 1.

    Returns
    -------
    Components
        Method-of-moments estimates, negative ones set to 0. All runs see the same images, so the
        luck of a cell's images counts as cell variance.
    """
    share = hits / counts
    image = None
    if np.any(counts > 1):
        unbiased = share * (1 - share) * counts / np.maximum(counts - 1, 1)
        image = float(unbiased[counts > 1].mean())
    terms = crossed_terms(share)
    if terms is None:
        return Components(None, None, None, image)
    seeds, cells = share.shape
    seed, cell, residual = (term.variance for term in terms)
    return Components(
        seed=max(0.0, seeds * (seed - residual)),
        cell=max(0.0, cells * (cell - residual)),
        residual=seeds * cells * residual,
        image=image,
    )


def smallest_detectable_difference(
    scores: Float[Array, "seeds cells"], power: float = 0.8
) -> float | None:
    """Return the difference to another entry that this design would find.

    Parameters
    ----------
    scores : array
        ``(S, C)`` scores.
    power : float
        Wanted probability of finding it, in (0, 1).

    Returns
    -------
    float, optional
        For another entry of the same design and spread whose cell effects are unrelated, which
        is the worst case: sqrt(2) SE (t(0.975) + t(power)). None where there is no interval.
    """
    own = detectable(crossed_mean(scores, None), power)
    return None if own is None else math.sqrt(2.0) * own


def detectable(found: Estimate, power: float = 0.8) -> float | None:
    """Return how far from 0 the true value must be for a test like this one to notice.

    Parameters
    ----------
    found : Estimate
        For example a paired difference.
    power : float
        Wanted probability of noticing, in (0, 1).

    Returns
    -------
    float, optional
        SE (t(0.975) + t(power)); None without a standard error.
    """
    if found.standard_error is None or found.df is None:
        return None
    return found.standard_error * (_quantile(1 - LEVEL / 2, found.df) + _quantile(power, found.df))


def linearise(
    sums: Float[Array, "seeds cells groups"], weights: Float[Array, "seeds cells groups"]
) -> Float[Array, "seeds cells"]:
    """Turn a mean of ratios of sums into an S x C matrix with the same mean and variance."""
    # The score of a seed is ``mean_g( sum_c sums / sum_c weights )``: one group and counts as
    # weights give a pooled mean, one group per class gives balanced accuracy. Each cell gets its
    # first-order contribution (the infinitesimal jackknife; Efron 1981, Biometrika 68(3), sec. 5).
    total = weights.sum(axis=1, keepdims=True)
    present = total > 0
    safe = np.where(present, total, 1.0)
    ratio = sums.sum(axis=1, keepdims=True) / safe
    share = present / np.maximum(present.sum(axis=2, keepdims=True), 1)
    effect = (sums - ratio * weights) / safe * share
    score = (ratio * share).sum(axis=2)
    out: Array = score + sums.shape[1] * effect.sum(axis=2)
    return out


def holm(p_values: Sequence[float | None], level: float = LEVEL) -> list[bool]:
    """Return which hypotheses are rejected with family-wise error at most ``level``.

    Parameters
    ----------
    p_values : sequence of float or None
        None stands for a test that could not be made; it is never rejected but it is counted.
    level : float
        Probability of any false rejection.

    Returns
    -------
    list of bool
        In the order of ``p_values``. Source: Holm (1979), Scand. J. Stat. 6(2), sec. 2.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, None])
    [True, False, False, False]
    """
    known = [1.0 if p is None else p for p in p_values]
    rejected = [False] * len(known)
    order = sorted(range(len(known)), key=known.__getitem__)
    for rank, index in enumerate(order):
        if p_values[index] is None or known[index] > level / (len(known) - rank):
            break
        rejected[index] = True
    return rejected


def _wilson(found: Estimate, bounds: tuple[float, float]) -> tuple[float, float] | None:
    """Return all means whose own variance, scaled by p (1 - p), lets the value pass the t test."""
    low, high = bounds
    share = (found.value - low) / (high - low)
    if found.standard_error is None or found.df is None or not 0 < share < 1:
        return found.ci95
    variance = (found.standard_error / (high - low)) ** 2
    weight = _quantile(1 - LEVEL / 2, found.df) ** 2 * variance / (share * (1 - share))  # t^2 / n
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    ends = (low + (high - low) * end for end in (centre - half, centre + half))
    first, last = (min(max(end, low), high) for end in ends)
    return first, last


def _centred(scores: Array) -> tuple[Array, Array, Array]:
    mean = scores.mean()
    a = scores.mean(axis=1) - mean
    b = scores.mean(axis=0) - mean
    return a, b, scores - mean - a[:, None] - b[None, :]


def _mean(scores: Array) -> float:
    return float(math.fsum(scores.ravel().tolist()) / scores.size)


def _quantile(probability: float, df: float) -> float:
    return float(special.stdtrit(df, probability))


def _validate(scores: Array) -> None:
    if scores.ndim != 2 or scores.size == 0 or not np.all(np.isfinite(scores)):
        raise InvalidInputError(
            "stats: scores must be a finite seeds x cells matrix, got shape "
            f"{scores.shape}; leave out cells without images"
        )
