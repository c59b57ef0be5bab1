"""Disentanglement, completeness and informativeness, the first two only where there is the third.

Importances say which code a predictor leans on, whether or not it predicts anything: on pure noise
a lasso readout gets D = C = 1. A factor that cannot be predicted is therefore left out of D and C,
and where fewer than two remain both are None, never a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from recombine.benchmark.metrics.base import Metric
from recombine.benchmark.metrics.metrics_identifiability import standardiser
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.benchmark.metrics.metrics_identifiability import Codes
    from recombine.renderer.core.types import Array

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
    """Return how much a random forest leans on each code, and how well it predicts.

    Parameters
    ----------
    fit, scored : Codes
        Forests and scaler are fitted on the first and scored on the second.
    variance : array
        ``(F,)`` reference variances.
    trees, seed : int
        Size and seed of the forests.

    Returns
    -------
    tuple of array
        Importances ``(D, F)``, every column summing to 1, and R2 ``(F,)`` (1 - MSE / variance).
    """
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
