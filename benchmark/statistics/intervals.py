"""Error bars for a score, a gap and a difference, over everything that was drawn.

The variance of a mean is a sum of parts, one for everything that chance had a hand in: training
runs, values, cells and matched blocks (`design`). The t quantile has Satterthwaite's degrees of
freedom (1946, Biometrics Bull. 2(6), eq. 17).

A share near 0 or 1 has skewed errors, so its interval is Wilson's for the effective number of
answers ``p (1 - p) / V``, which is the t interval again in the middle of the scale (Wilson 1927,
J. Am. Stat. Assoc. 22(158), eq. 7; Dean and Pagano 2015, J. Surv. Stat. Methodol. 3(4)). Where
fewer than `FEW` of these are errors (or right answers), how much runs and values differ is hardly
known, and the degrees of freedom are `FEW_DF` at most; after the "n p >= 5" of the normal
approximation, for effective sizes (Korn and Graubard 1998, Survey Methodol. 24(2)).

A test between two shares is declined where it is known not to hold: near an end of the scale,
when the seeds of one method hold fewer than `FEW_TO_TEST` effective errors.
``benchmarks/coverage.py`` measures all of this on the rendered designs.

Where the design allows no interval (one run, one cell, or no spread at all), the answer is
None and never a made-up number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from recombine.benchmark.statistics.design import (
    Crossed,
    Term,
    gap_terms,
    paired_terms,
    terms,
)
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from recombine.renderer.core.types import Array

CI_METHOD = "runs + values + cells + blocks variance, Satterthwaite t, Wilson form (2.0)"
ONE_NETWORK_METHOD = "one network: values + cells + blocks variance, Satterthwaite t, Wilson (2.0)"
GAP_METHOD = "runs + values + cells of both splits + paired blocks variance, Satterthwaite t (2.0)"
ONE_NETWORK_GAP_METHOD = (
    "one network: values + cells of both splits + paired blocks variance, Satterthwaite t (2.0)"
)
BLOCK_METHOD = "runs + blocks variance, Satterthwaite t, these cells (2.0)"
ONE_NETWORK_BLOCK_METHOD = "one network: blocks variance, t, these cells (2.0)"


def without_blocks(method: str) -> str:
    """Return how a method is called where no blocks match: every image has its own nuisances."""
    return re.sub(r" \+ (paired )?blocks variance", " variance, no matched blocks", method)


LEVEL = 0.05
FEW = 8.0
"""Effective errors below which an interval has at most `FEW_DF` degrees of freedom."""
FEW_DF = 4.0
FEW_TO_TEST = 16.0
"""Effective errors of a method's runs below which a test near an end is declined."""
NEAR_END = 0.15
NO_SPREAD = 1e-24
"""Variance below which there is nothing to compute a t statistic from."""
DECLINED = (
    f"not tested: within {NEAR_END:g} of an end of the scale, and the training runs of one method "
    "differ so much that a test would not hold its level; more seeds would tell"
)


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
    declined : bool
        A test was possible by the formula, but is known not to hold here, so there is neither
        interval nor p-value.
    """

    value: float
    standard_error: float | None = None
    df: float | None = None
    ci95: tuple[float, float] | None = None
    p_value: float | None = None
    declined: bool = False


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
    if not terms or variance <= NO_SPREAD:
        return Estimate(value)
    df = variance**2 / sum(term.variance**2 / term.df for term in terms)
    error = math.sqrt(variance)
    half = _quantile(1 - LEVEL / 2, df) * error
    low, high = value - half, value + half
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    p_value = 2 * float(special.stdtr(df, -abs(value) / error))
    return Estimate(value, error, df, (low, high), p_value)


def crossed_mean(
    scores: Crossed | Float[Array, "seeds cells"], bounds: tuple[float, float] | None = (0.0, 1.0)
) -> Estimate:
    """Return the mean score with its interval over runs, values, cells and blocks.

    Parameters
    ----------
    scores : Crossed or array
        Score of every seed on every cell, for example accuracies; a bare ``(S, C)`` array stands
        for cells that share nothing.
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
    table = _table(scores)
    found = estimate(_mean(table.cells), terms(table), bounds)
    return found if bounds is None else replace(found, ci95=_wilson(found, bounds))


def gap(
    id_scores: Crossed | Float[Array, "seeds id_cells"],
    ooc_scores: Crossed | Float[Array, "seeds ooc_cells"],
) -> Estimate:
    """Return the ID mean minus the OOC mean of the same training runs.

    Parameters
    ----------
    id_scores : Crossed or array
        In-combination scores.
    ooc_scores : Crossed or array
        Out-of-combination scores; row s is the same run as row s of ``id_scores``.

    Returns
    -------
    Estimate
        Positive when new combinations are harder. A run or a block that is good for both counts
        once: these parts come from the gap of each run and of each block; the values' and cells'
        parts come from each side.

    Raises
    ------
    InvalidInputError
        When the two have different numbers of seeds.
    """
    inside, outside = _table(id_scores), _table(ooc_scores)
    if len(inside.cells) != len(outside.cells):
        raise InvalidInputError(
            f"gap: ID and OOC need the same seeds, got {len(inside.cells)} and {len(outside.cells)}"
        )
    value = _mean(inside.cells) - _mean(outside.cells)
    return estimate(value, gap_terms(inside, outside), (-1.0, 1.0))


def gap_here(differences: Crossed) -> Estimate:
    """Return the gap on exactly these cells, from ID minus OOC within blocks (the columns)."""
    # Blocks are columns that share no value: their part is that of cells in `terms`.
    return estimate(_mean(differences.cells), terms(differences), (-1.0, 1.0))


def paired_difference(
    first: Crossed | Float[Array, "seeds cells"],
    second: Crossed | Float[Array, "other_seeds cells"],
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Estimate:
    """Return the mean difference of two methods on the same cells.

    Cells and blocks are paired: one that is hard for both methods cancels. Seeds are not: the
    third run of one method has nothing to do with the third run of the other, so their numbers
    may differ.

    Parameters
    ----------
    first, second : Crossed or array
        Scores; column c is the same cell in both.
    bounds : tuple of float, optional
        Range of one score. The interval is clipped to the range of a difference, and a test is
        declined near the ends when training runs differ too much. None for scores without bounds.

    Returns
    -------
    Estimate
        First minus second, with interval and two-sided p-value. With fewer than two seeds of
        either, or two cells, there is neither; nor where the test is declined. Methods that
        differ by the same amount everywhere have a p-value, by `sign_test`, and no interval.

    Raises
    ------
    InvalidInputError
        When the two have different numbers of cells.
    """
    mine, theirs = _table(first), _table(second)
    if mine.cells.shape[1] != theirs.cells.shape[1]:
        raise InvalidInputError(
            "paired_difference: both methods need the same cells, got "
            f"{mine.cells.shape[1]} and {theirs.cells.shape[1]}; compare entries of one dataset"
        )
    means = _mean(mine.cells), _mean(theirs.cells)
    parts = paired_terms(mine, theirs)
    if parts is not None and sum(part.variance for part in parts) <= NO_SPREAD:
        value = means[0] - means[1]
        p_value = 1.0 if value == 0 else sign_test(mine.cells.shape[1])
        return Estimate(value, p_value=p_value)
    if parts is None or bounds is None:
        return estimate(means[0] - means[1], parts)
    low, high = bounds
    shares = [(mean - low) / (high - low) for mean in means]
    runs = [
        RunSpread.of(table.cells.mean(axis=1) / (high - low), share)
        for table, share in zip((mine, theirs), shares, strict=True)
    ]
    kind, parts = guarded(parts, runs)
    if kind == "declined":
        return Estimate(means[0] - means[1], declined=True)
    return estimate(means[0] - means[1], parts, (low - high, high - low))


def sign_test(cells: int) -> float:
    """Return the two-sided p-value of one method being better than another on every cell.

    Parameters
    ----------
    cells : int
        How many there are.

    Returns
    -------
    float
        ``2^(1 - cells)``, at most 1. It takes the runs as they are: runs that all agree tell
        nothing about how often one would not.
    """
    return 2.0 ** (1 - cells) if cells < 1000 else 0.0


class RunSpread(NamedTuple):
    """How much the training runs of one method differ: what a test near an end depends on."""

    share: float  # the mean, on a scale from 0 to 1
    variance: float  # of that mean, from the runs
    runs: int

    @classmethod
    def of(cls, means: Float[Array, " seeds"], share: float) -> RunSpread:
        """Return the spread of the means of some runs."""
        variance = float(np.var(means, ddof=1)) / len(means) if len(means) > 1 else 0.0
        return cls(share, variance, len(means))

    @property
    def errors(self) -> float:
        """Return the effective number of errors, or of right answers if these are fewer."""
        return effective_errors(self.share, self.variance)


def effective_errors(share: float, variance: float) -> float:
    """Return how many errors (or right answers) as many independent images would hold."""
    if not 0 < share < 1:
        return math.inf if variance <= 0 else 0.0
    return share * (1 - share) / max(variance, 1e-300) * min(share, 1 - share)


def guarded(parts: Sequence[Term], runs: Sequence[RunSpread]) -> tuple[str, list[Term]]:
    """Return whether two shares can be tested, and the parts of the variance to test them with."""
    # A method whose runs differ much looks better than it is near the upper end (its rare bad run
    # is mostly not seen) and worse near the lower one. Its variance is then taken at the common
    # mean, with the fewest degrees of freedom; where even that does not hold, there is no test.
    if min(one.errors for one in runs) >= FEW_TO_TEST:
        return "plain", list(parts)
    common = sum(one.share for one in runs) / len(runs)
    if min(common, 1 - common) < NEAR_END:
        return "declined", list(parts)
    drawn = [one for one in runs if one.runs > 1]
    spread = iter(drawn)
    df = min(one.runs for one in drawn) - 1
    out = []
    for term in parts:
        variance = term.variance
        if term.name == "run":
            share = next(spread).share
            variance *= max(1.0, common * (1 - common) / max(share * (1 - share), 1e-9))
        out.append(Term(term.name, variance, min(term.df, df)))
    return "guarded", out


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
    seeds, cells = share.shape
    if min(seeds, cells) < 2:
        return Components(None, None, None, image)
    mean, rows, columns = share.mean(), share.mean(axis=1), share.mean(axis=0)
    rest = share - rows[:, None] - columns[None, :] + mean
    residual = float(np.sum(rest**2)) / ((seeds - 1) * (cells - 1))
    return Components(
        seed=max(0.0, float(np.var(rows, ddof=1)) - residual / cells),
        cell=max(0.0, float(np.var(columns, ddof=1)) - residual / seeds),
        residual=residual,
        image=image,
    )


def smallest_detectable_difference(
    scores: Crossed | Float[Array, "seeds cells"], power: float = 0.8
) -> float | None:
    """Return the difference to another entry that this design would find.

    Parameters
    ----------
    scores : Crossed or array
        Scores.
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
    variance, df = (found.standard_error / (high - low)) ** 2, found.df
    if effective_errors(share, variance) < FEW:
        df = min(df, FEW_DF)
    weight = _quantile(1 - LEVEL / 2, df) ** 2 * variance / (share * (1 - share))  # t^2 / n
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    ends = (low + (high - low) * end for end in (centre - half, centre + half))
    first, last = (min(max(end, low), high) for end in ends)
    return first, last


def _table(scores: Crossed | Array) -> Crossed:
    return scores if isinstance(scores, Crossed) else Crossed(scores)


def _mean(scores: Array) -> float:
    return float(math.fsum(scores.ravel().tolist()) / scores.size)


def _quantile(probability: float, df: float) -> float:
    return float(special.stdtrit(df, probability))
