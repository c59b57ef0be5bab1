"""Does every true slot live in one inferred slot and in no other: slot identifiability.

The readout is a kernel ridge regression, so curved codes count in full. Slots that are copies of
each other, or mixtures, know everything and still score 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.kernel_ridge import KernelRidge

from recombine.benchmark.metrics.base import Metric
from recombine.benchmark.metrics.metrics_identifiability import standardiser
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.renderer.core.types import Array

SLOT_IDENTIFIABILITY = Metric(
    "slot_identifiability_score", "1.0", "higher", -1.0, 1.0, 0.0,
    "mean over slots of S[k, pi(k)] - max_{l != pi(k)} S[k, l], S the R2 of kernel ridge "
    "regression clipped to [0, 1]; Brady et al. 2023 (arXiv 2305.14229)",
)  # fmt: skip
MOST_IMAGES = 2000  # Kernel ridge needs memory with the square and time with the cube of these.


@dataclass(frozen=True)
class SlotCodes:
    """Inferred slots and true factors of the same images.

    Attributes
    ----------
    slots : array
        ``(N, S, D)``; slots must keep their roles, see `matching` for those that do not.
    factors : sequence of array
        For every true slot its continuous factors, ``(N, F_k)``.
    """

    slots: Float[Array, "images slots dim"]
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
