"""Does a code know the true factors one for one: mean correlation coefficient (MCC), and floors.

MCC assumes independent factors. A split that removes combinations makes the factors of its
training set dependent, and then a code that copies one factor passes for several. So compute it on
factorial sets (all combinations), or show `dependence_floors` beside it. It also grows with the
number of codes to choose from (`mcc_chance`), and raw pixels may have a good deal of it: score
them as codes, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from recombine.benchmark.metrics.base import Metric
from recombine.benchmark.metrics.metrics_identifiability import (
    LINEAR_R2,
    Codes,
    linear_r2,
    standardiser,
)
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.renderer.core.types import Array

    Kind = Literal["pearson", "spearman"]

MCC = Metric(
    "mean_correlation_coefficient", "1.0", "higher", 0.0, 1.0, 0.0,
    "max over permutations of mean |corr(factor, code)|; Hyvarinen and Morioka 2016 "
    "(arXiv 1605.06336); its chance level depends on the sizes, see mcc_chance",
)  # fmt: skip


@dataclass(frozen=True)
class Correlation:
    """Mean correlation coefficient and the pairing behind it.

    Attributes
    ----------
    value : float
        Mean over factors of the absolute correlation with their code.
    assignment : array
        ``(F,)`` code of every factor, -1 where codes ran out (counted as 0).
    """

    value: float
    assignment: Int[Array, " factors"]


@dataclass(frozen=True)
class MccScore:
    """An MCC with what it takes to read it.

    Attributes
    ----------
    value : float
        Of the codes.
    chance : float
        Of the same codes handed to other images.
    raw : float, optional
        Of the observations (pixels) themselves, taken as codes; None where none were given.
    """

    value: float
    chance: float
    raw: float | None


def mcc_with_floors(
    data: Codes, observations: Float[Array, "images pixels"] | None = None, kind: Kind = "pearson"
) -> MccScore:
    """Return the MCC beside its chance level and that of the observations.

    Parameters
    ----------
    data : Codes
        Images of a factorial set.
    observations : array, optional
        ``(N, P)`` pixels of the same images.
    kind : {"pearson", "spearman"}
        As for `correlations`.

    Returns
    -------
    MccScore
        A code is only worth something where it is above both floors.
    """
    raw = None
    if observations is not None:
        raw = mcc(Codes(observations, data.factors), kind).value
    return MccScore(mcc(data, kind).value, mcc_chance(data, kind), raw)


def correlations(data: Codes, kind: Kind = "pearson") -> Float[Array, "factors dim"]:
    """Return the absolute correlation of every factor with every code.

    Parameters
    ----------
    data : Codes
        At least 2 images.
    kind : {"pearson", "spearman"}
        Spearman looks at ranks: any increasing or decreasing map of a factor counts in full.

    Returns
    -------
    array
        ``(F, D)`` in [0, 1]; 0 for a constant.
    """
    codes, factors = data.codes, data.factors
    if kind == "spearman":
        codes, factors = rankdata(codes, axis=0), rankdata(factors, axis=0)
    codes, factors = standardiser(codes)(codes), standardiser(factors)(factors)
    return np.clip(np.abs(factors.T @ codes) / len(codes), 0.0, 1.0)


def mcc(
    data: Codes, kind: Kind = "pearson", assignment: Int[Array, " factors"] | None = None
) -> Correlation:
    """Return the mean correlation coefficient.

    Parameters
    ----------
    data : Codes
        Images of a factorial set.
    kind : {"pearson", "spearman"}
        As for `correlations`.
    assignment : array, optional
        ``(F,)`` frozen pairing, for example that of in-combination images; the best one without.

    Returns
    -------
    Correlation
        Value 1: every factor has a code that is a linear (monotone) function of it. Its chance
        level is not 0; it says nothing of how codes and factors relate elsewhere, so never show
        it without a cycle error.
    """
    table = correlations(data, kind)
    if assignment is None:
        rows, columns = linear_sum_assignment(table, maximize=True)
        assignment = np.full(len(table), -1, dtype=np.int64)
        assignment[rows] = columns
    paired = table[np.arange(len(table)), assignment] * (assignment >= 0)
    return Correlation(float(paired.mean()), assignment)


def mcc_chance(data: Codes, kind: Kind = "pearson", *, draws: int = 5, seed: int = 0) -> float:
    """Return the MCC of the same codes handed to other images.

    Parameters
    ----------
    data : Codes
        The images that are scored.
    kind : {"pearson", "spearman"}
        As for `mcc`.
    draws, seed : int
        Shuffles to average over, and their seed.

    Returns
    -------
    float
        About sqrt(2 log D / N): 0.11 for 5 codes and 200 images, 0.23 for 512 codes.
    """
    rng = np.random.default_rng(seed)
    values = [
        mcc(Codes(data.codes[rng.permutation(len(data.codes))], data.factors), kind).value
        for _ in range(draws)
    ]
    return float(np.mean(values))


def dependence_floors(
    factors: Float[Array, "images factors"], variance: Float[Array, " factors"]
) -> dict[str, float]:
    """Return what dependence among the factors alone can earn.

    Parameters
    ----------
    factors : array
        ``(N, F)`` with F at least 2, of the scored images.
    variance : array
        ``(F,)`` reference variances.

    Returns
    -------
    dict
        ``"linear_r2"``: mean R2 of each factor predicted from the others; ``"mcc"``: largest mean
        correlation of any one factor with all of them. 0 and 1 / F on a factorial set.
    """
    count = factors.shape[1]
    if count < 2:
        raise InvalidInputError(f"dependence_floors: at least 2 factors are needed, got {count}")
    scores = []
    for number in range(count):
        split = Codes(np.delete(factors, number, axis=1), factors[:, [number]])
        scores.append(linear_r2(split, split, variance[[number]])[0])
    single = correlations(Codes(factors, factors)).mean(axis=0).max()
    return {LINEAR_R2.name: float(np.mean(scores)), MCC.name: float(single)}
