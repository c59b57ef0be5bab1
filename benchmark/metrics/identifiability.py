"""Does a code know the true factors: linear readouts with frozen statistics.

Every statistic is fitted on one set, in-combination, and applied frozen to another. A scaler
that is fitted anew on the scored set would hide any drift of the representation, and a variance
taken from it would invent a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from recombine.benchmark.metrics.base import Metric
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.renderer.core.types import Array


LINEAR_R2 = Metric(
    "linear_r2", "1.0", "higher", -np.inf, 1.0, 0.0,
    "1 - MSE / reference variance of ridge regression on standardised codes, all frozen from the "
    "fitting set; informativeness of Eastwood and Williams 2018 with a fixed variance",
)  # fmt: skip


@dataclass(frozen=True)
class Codes:
    """Codes and true factors of the same images.

    Attributes
    ----------
    codes : array
        ``(N, D)``.
    factors : array
        ``(N, F)`` continuous; give a periodic factor as its cosine and sine.
    """

    codes: Float[Array, "images dim"]
    factors: Float[Array, "images factors"]

    def __post_init__(self) -> None:
        """Check that both are matrices over the same images."""
        shapes = self.codes.shape, self.factors.shape
        if self.codes.ndim != 2 or self.factors.ndim != 2 or shapes[0][0] != shapes[1][0]:
            raise InvalidInputError(
                f"Codes: two matrices over the same images are needed, got {shapes}"
            )


@dataclass(frozen=True)
class Standardiser:
    """Mean and spread of a fitting set, frozen; constant dimensions have scale 1."""

    mean: Float[Array, " dim"]
    scale: Float[Array, " dim"]

    def __call__(self, values: Float[Array, "images dim"]) -> Float[Array, "images dim"]:
        """Return values in units of the fitting set."""
        return (values - self.mean) / self.scale


def standardiser(values: Float[Array, "images dim"]) -> Standardiser:
    """Fit mean and standard deviation of every dimension."""
    scale = values.std(axis=0)
    # A constant of large size has a spread of rounding errors, not of zero.
    flat = scale <= 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-30)
    return Standardiser(values.mean(axis=0), np.where(flat, 1.0, scale))


def linear_r2(
    fit: Codes, scored: Codes, variance: Float[Array, " factors"], *, alpha: float = 1.0
) -> Float[Array, " factors"]:
    """Return how well a linear readout of the codes predicts every factor.

    Parameters
    ----------
    fit : Codes
        In-combination images: scaler and readout are fitted here.
    scored : Codes
        Other images, in- or out-of-combination.
    variance : array
        ``(F,)`` reference variance of every factor, the same for every split.
    alpha : float
        Ridge penalty on standardised codes.

    Returns
    -------
    array
        ``(F,)``: 1 perfect, 0 the constant mean, no lower bound.
    """
    scale = standardiser(fit.codes)
    model = Ridge(alpha=alpha).fit(scale(fit.codes), fit.factors)
    predicted = model.predict(scale(scored.codes)).reshape(scored.factors.shape)
    error: Array = np.mean((predicted - scored.factors) ** 2, axis=0)
    return 1 - error / variance


# Does a code know the true factors one for one: mean correlation coefficient (MCC), and floors.

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
    """Mean correlation coefficient and the pairing behind it."""

    value: float  # mean over factors of the absolute correlation with their code
    # ``(F,)`` code of every factor, -1 where codes ran out (counted as 0)
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
    """Return the absolute correlation of every factor with every code, 0 for a constant one."""
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
    """Return the MCC of the same codes handed to other images."""
    # About sqrt(2 log D / N): 0.11 for 5 codes and 200 images, 0.23 for 512 codes.
    rng = np.random.default_rng(seed)
    values = [
        mcc(Codes(data.codes[rng.permutation(len(data.codes))], data.factors), kind).value
        for _ in range(draws)
    ]
    return float(np.mean(values))


def dependence_floors(
    factors: Float[Array, "images factors"], variance: Float[Array, " factors"]
) -> dict[str, float]:
    """Return what dependence among the factors alone can earn."""
    count = factors.shape[1]
    if count < 2:
        raise InvalidInputError(f"dependence_floors: at least 2 factors are needed, got {count}")
    scores = []
    for number in range(count):
        split = Codes(np.delete(factors, number, axis=1), factors[:, [number]])
        scores.append(linear_r2(split, split, variance[[number]])[0])
    single = correlations(Codes(factors, factors)).mean(axis=0).max()
    return {LINEAR_R2.name: float(np.mean(scores)), MCC.name: float(single)}


# Disentanglement, completeness and informativeness, the first two only where there is the third.

_PAPER = "Eastwood and Williams 2018 (ICLR, openreview By-7dz-AZ)"
DISENTANGLEMENT = Metric(
    "dci_disentanglement", "1.0", "higher", 0.0, 1.0, 0.0,
    f"each code serves one factor: weighted mean of 1 - entropy over factors; {_PAPER}; "
    "over factors with informativeness of at least the gate only",
)  # fmt: skip
COMPLETENESS = Metric(
    "dci_completeness", "1.0", "higher", 0.0, 1.0, 0.0,
    f"each factor is served by one code: mean of 1 - entropy over codes; {_PAPER}; "
    "over factors with informativeness of at least the gate only",
)  # fmt: skip
GATE = 0.2
SMALLEST_LEAF = 10


@dataclass(frozen=True)
class Dci:
    """The three scores.

    Attributes
    ----------
    disentanglement, completeness : float, optional
        In [0, 1]; None where fewer than two factors can be predicted, or there is one code only.
    informativeness : float
        Mean R2 over all factors, those left out above included.
    factors : tuple of int
        Which factors D and C are about.
    """

    disentanglement: float | None
    completeness: float | None
    informativeness: float
    factors: tuple[int, ...]


def forest_importance(
    fit: Codes, scored: Codes, variance: Float[Array, " factors"], *, trees: int = 50, seed: int = 0
) -> tuple[Float[Array, "dim factors"], Float[Array, " factors"]]:
    """Return how much a random forest leans on each code, and how well it predicts."""
    scale = standardiser(fit.codes)
    columns, scores = [], []
    for number, reference in enumerate(variance):
        # Trees grown to single images fit noise: R2 -0.11 where nothing can be predicted.
        forest = RandomForestRegressor(
            n_estimators=trees, min_samples_leaf=SMALLEST_LEAF, random_state=seed
        )
        forest.fit(scale(fit.codes), fit.factors[:, number])
        error = forest.predict(scale(scored.codes)) - scored.factors[:, number]
        columns.append(forest.feature_importances_)
        scores.append(1 - np.mean(error**2) / reference)
    return np.stack(columns, axis=1), np.array(scores)


def dci(
    importance: Float[Array, "dim factors"],
    informativeness: Float[Array, " factors"],
    gate: float = GATE,
) -> Dci:
    """Return D, C and I from importances.

    Parameters
    ----------
    importance : array
        ``(D, F)``, not negative, of any readout.
    informativeness : array
        ``(F,)`` R2 of the same readout.
    gate : float
        Factors with less R2 are left out of D and C.

    Returns
    -------
    Dci
        D = 1: every code serves one factor. C = 1: every factor is served by one code.

    Examples
    --------
    >>> dci(np.eye(3), np.array([0.9, 0.9, 0.0])).disentanglement
    1.0
    >>> dci(np.eye(3), np.zeros(3)).completeness is None
    True
    """
    if (
        importance.ndim != 2
        or len(informativeness) != importance.shape[1]
        or np.any(importance < 0)
    ):
        raise InvalidInputError(
            f"dci: expected importances of codes x factors, not negative, and one R2 per factor, "
            f"got {importance.shape} and {informativeness.shape}"
        )
    kept = np.flatnonzero(informativeness >= gate)
    mean = float(informativeness.mean())
    part = importance[:, kept]
    if len(kept) < 2 or len(part) < 2 or part.sum() <= 0:
        return Dci(None, None, mean, tuple(kept.tolist()))
    weight = part.sum(axis=1) / part.sum()
    disentanglement = float(np.sum(weight * _one_minus_entropy(part)))
    completeness = float(np.mean(_one_minus_entropy(part.T)))
    return Dci(disentanglement, completeness, mean, tuple(kept.tolist()))


def _one_minus_entropy(rows: Array) -> Array:
    """Return 1 - entropy of every row over that of a uniform one; 0 for an empty row."""
    total = rows.sum(axis=1, keepdims=True)
    share = np.where(total > 0, rows / np.where(total > 0, total, 1.0), 1 / rows.shape[1])
    terms = share * np.log(np.where(share > 0, share, 1.0))
    concentrated: Array = 1 + terms.sum(axis=1) / np.log(rows.shape[1])
    return np.clip(concentrated, 0.0, 1.0)


# Does every true slot live in one inferred slot and in no other: slot identifiability.

SLOT_IDENTIFIABILITY = Metric(
    "slot_identifiability_score", "1.0", "higher", -1.0, 1.0, 0.0,
    "mean over slots of S[k, pi(k)] - max_{l != pi(k)} S[k, l], S the R2 of kernel ridge "
    "regression clipped to [0, 1]; Brady et al. 2023 (arXiv 2305.14229)",
)  # fmt: skip
MOST_IMAGES = 2000  # Kernel ridge needs memory with the square and time with the cube of these.


@dataclass(frozen=True)
class SlotCodes:
    """Inferred slots and true factors of the same images."""

    # ``(N, S, D)``; slots must keep their roles, see `matching` for those that do not
    slots: Float[Array, "images slots dim"]
    # for every true slot its continuous factors, ``(N, F_k)``
    factors: tuple[Float[Array, "images factors"], ...]


@dataclass(frozen=True)
class SlotIdentifiability:
    """Score and what it is made of.

    Attributes
    ----------
    value : float
        1: every true slot is fully in its own inferred slot, and nothing of it in any other. 0:
        nothing is known, or everything is everywhere.
    information : float
        Mean S[k, pi(k)]: tells the two zeros apart.
    assignment : array
        ``(K,)`` inferred slot of every true slot.
    """

    value: float
    information: float
    assignment: Int[Array, " true"]


def slot_r2(
    fit: SlotCodes,
    scored: SlotCodes,
    variance: tuple[Float[Array, " factors"], ...],
    *,
    alpha: float = 1.0,
) -> Float[Array, "true slots"]:
    """Return how well each inferred slot alone predicts each true slot.

    Parameters
    ----------
    fit : SlotCodes
        In-combination images; at most 2000 are used. Scaler and readout are frozen from them.
    scored : SlotCodes
        Other images.
    variance : tuple of array
        Reference variances of every true slot's factors.
    alpha : float
        Ridge penalty; kernel exp(-|a - b|^2 / D) on standardised codes.

    Returns
    -------
    array
        ``(K, S)`` R2, mean over the factors of the true slot; not clipped.
    """
    out = np.zeros((len(fit.factors), fit.slots.shape[1]))
    for slot in range(out.shape[1]):
        codes = fit.slots[:MOST_IMAGES, slot]
        scale = standardiser(codes)
        for true in range(out.shape[0]):
            target = fit.factors[true][:MOST_IMAGES]
            unit = standardiser(target)
            ridge = KernelRidge(alpha=alpha, kernel="rbf")  # pyright: ignore[reportArgumentType]
            model = ridge.fit(scale(codes), unit(target))
            answer = model.predict(scale(scored.slots[:, slot])).reshape(len(scored.slots), -1)
            error = np.mean((answer * unit.scale + unit.mean - scored.factors[true]) ** 2, axis=0)
            out[true, slot] = np.mean(1 - error / variance[true])
    return out


def slot_identifiability(
    r2: Float[Array, "true slots"], assignment: Int[Array, " true"] | None = None
) -> SlotIdentifiability:
    """Return the slot identifiability score of an R2 matrix.

    Parameters
    ----------
    r2 : array
        ``(K, S)`` with S at least K and 2, from `slot_r2`.
    assignment : array, optional
        ``(K,)`` frozen pairing, for example that of in-combination images; the best one without.

    Returns
    -------
    SlotIdentifiability
        Negative R2 count as 0, or one bad readout would pay for another.

    Examples
    --------
    >>> slot_identifiability(np.array([[0.1, 0.9], [0.8, -3.0]])).value
    0.8
    """
    if r2.ndim != 2 or r2.shape[1] < max(2, r2.shape[0]):
        raise InvalidInputError(
            f"slot_identifiability: at least as many inferred as true slots are needed, and two, "
            f"got a matrix of {r2.shape}"
        )
    known = np.clip(r2, 0.0, 1.0)
    if assignment is None:
        assignment = linear_sum_assignment(known, maximize=True)[1]
    rows = np.arange(len(known))
    own = known[rows, assignment]
    others = known.copy()
    others[rows, assignment] = -np.inf
    value = float(np.mean(own - others.max(axis=1)))
    return SlotIdentifiability(value, float(own.mean()), np.asarray(assignment))
