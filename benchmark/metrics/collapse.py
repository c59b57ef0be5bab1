"""How many of its dimensions a slot uses, and how much of a class is left inside it.

None of these numbers is better higher or lower: a slot that needs three numbers may well use three,
and one whose classes have shrunk to points is what a classifier of that factor alone would make.
They tell how a slot that scores low does so. ``direction`` says where there is *less* collapse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import Metric
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.renderer.core.types import Array

ACTIVE_SHARE = 0.01
"""Of the largest variance of a dimension: above it a dimension is active."""
DRAWS = 5
"""Permutations of the labels behind the chance level of NC1."""

RANK_ME = Metric(
    "rank_me", "1.0", "higher", 1.0, np.inf, 1.0,
    "exp of the entropy of the singular values over their sum, slots not centred; Garrido et al. "
    "2023 (arXiv 2210.02885); 1 for a constant slot",
)  # fmt: skip
VON_NEUMANN = Metric(
    "von_neumann_entropy", "1.0", "higher", 0.0, np.inf, 0.0,
    "-tr(rho log rho) in nats, rho = H^T H / N with the slots scaled to unit norm as rows of H; "
    "Kim et al., VNE, CVPR 2023; 0 for a constant slot, log of the width at most",
)  # fmt: skip
ACTIVE = Metric(
    "active_dimensions", "1.0", "higher", 0.0, np.inf, 0.0,
    f"dimensions with a variance above {ACTIVE_SHARE:g} of the largest one",
)  # fmt: skip
NC1 = Metric(
    "nc1", "1.0", "higher", 0.0, np.inf, np.inf,
    "tr(Sigma_W pinv(Sigma_B)) / C, every class with the same weight; Papyan et al. 2020 "
    "(arXiv 2008.08186); 0 where every class is one point; its chance level depends on the sizes, "
    "see nc1_chance",
)  # fmt: skip


def rank_me(slots: Float[Array, "images dim"]) -> float:
    """Return the effective number of dimensions.

    Parameters
    ----------
    slots : array
        ``(N, D)``, one row per image. Not centred, as in the source: a constant that is added to
        all of them lowers the number.

    Returns
    -------
    float
        From 1 (all rows on one line through zero, or all zero) to ``min(N, D)``. It does not change
        when the slots are rotated or scaled.
    """
    singular = np.sqrt(_spectrum(_units(slots)))
    return float(np.exp(_entropy(singular)))


def von_neumann_entropy(slots: Float[Array, "images dim"]) -> float:
    """Return the entropy of the covariance of unit-norm slots.

    Parameters
    ----------
    slots : array
        ``(N, D)``; rows of zeros have no direction and are left out.

    Returns
    -------
    float
        In nats, from 0 (one direction, or nothing but zeros) to ``log(min(N, D))``. It does not
        change when the slots are rotated, nor when any row is scaled.
    """
    slots = _units(slots)
    norms = np.linalg.norm(slots, axis=1, keepdims=True)
    return _entropy(_spectrum(slots[norms[:, 0] > 0] / norms[norms[:, 0] > 0]))


def active_dimensions(slots: Float[Array, "images dim"], share: float = ACTIVE_SHARE) -> int:
    """Count the dimensions that vary.

    Parameters
    ----------
    slots : array
        ``(N, D)``.
    share : float
        Of the largest variance; a dimension above it counts.

    Returns
    -------
    int
        0 for a constant slot. It depends on the axes, so it changes under a rotation, but not under
        a shift or a scale.
    """
    slots = _units(slots)
    variance = slots.var(axis=0)
    largest = variance.max(initial=0.0)
    # A constant of any size has a variance of rounding errors, not of zero.
    if largest <= np.finfo(np.float64).eps ** 2:
        return 0
    return int(np.sum(variance > share * largest))


def nc1(slots: Float[Array, "images dim"], codes: Int[Array, " images"]) -> float | None:
    """Return how much classes spread within, over how far they lie apart.

    Parameters
    ----------
    slots : array
        ``(N, D)``.
    codes : array
        ``(N,)`` class of every image. Classes that do not occur are left out, and each of the
        others has the same weight in both covariances (in the source they have equal sizes).

    Returns
    -------
    float or None
        0 where every class is one point. None where the means of all classes coincide, or with
        fewer than two classes. It does not change when the slots are rotated, shifted or scaled.

    Raises
    ------
    InvalidInputError
        When there is not one class per image.
    """
    if len(slots) != len(codes):
        raise InvalidInputError(
            f"nc1: expected one class per image, got {len(codes)} for {len(slots)} images"
        )
    slots = _units(slots)
    present, number = np.unique(codes, return_inverse=True)
    counts = np.bincount(number, minlength=len(present))
    means = _sums(slots, number, len(present)) / counts[:, None]
    # Sigma_B has rank C - 1 at most: a pseudo-inverse on its own axes, without a D x D matrix.
    _, singular, axes = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    large = singular > np.finfo(np.float64).eps * max(means.shape) * np.abs(means).max(initial=1.0)
    if not large.any():
        return None
    within = ((slots - means[number]) @ axes[large].T) ** 2
    spread = (_sums(within, number, len(present)) / counts[:, None]).mean(axis=0)
    return float(np.sum(spread / singular[large] ** 2))  # the two factors C cancel


def nc1_chance(slots: Float[Array, "images dim"], codes: Int[Array, " images"]) -> float | None:
    """Return the NC1 of the same slots with the classes of other images.

    Parameters
    ----------
    slots, codes : array
        As for `nc1`.

    Returns
    -------
    float or None
        Mean over a few permutations: what a slot shows that knows nothing of the factor. It is
        finite because the means of few images differ by chance.
    """
    rng = np.random.default_rng(0)
    found = [nc1(slots, rng.permutation(codes)) for _ in range(DRAWS)]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def rotated(slots: Float[Array, "images dim"]) -> Float[Array, "images axes"]:
    """Return slots on as many axes as there are images: cheaper, and equal in what is invariant."""
    if slots.shape[1] <= len(slots):
        return slots
    plain = np.asarray(slots, np.float64)
    values, vectors = np.linalg.eigh(plain @ plain.T)
    turned: Array = vectors * np.sqrt(np.maximum(values, 0.0))
    return turned


def _units(slots: Float[Array, "images dim"]) -> Float[Array, "images dim"]:
    """Return slots with 1 as their largest number, so that no square overflows or vanishes."""
    if slots.ndim != 2:
        raise InvalidInputError(
            f"collapse: expected slots of shape (images, dim), got {slots.shape}; give one slot"
        )
    plain = np.asarray(slots, np.float64)
    largest = np.abs(plain).max(initial=0.0)
    return plain / largest if largest > 0 else plain


def _spectrum(rows: Float[Array, "n dim"]) -> Float[Array, " values"]:
    """Return the squared singular values that are more than rounding."""
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    values = np.linalg.eigvalsh(gram)
    kept: Array = values[
        values > np.finfo(np.float64).eps * max(rows.shape) * values.max(initial=0.0)
    ]
    return kept


def _entropy(values: Float[Array, " values"]) -> float:
    if len(values) == 0:
        return 0.0
    share = values / values.sum()
    return max(0.0, float(-np.sum(share * np.log(share))))


def _sums(
    values: Float[Array, "images dim"], number: Int[Array, " images"], classes: int
) -> Float[Array, "classes dim"]:
    member = np.equal(np.arange(classes)[:, None], number).astype(np.float64)
    total: Array = member @ values
    return total
