"""How orthogonal a decoder's latents, or its slots, are: contrasts of its Jacobian.

A Jacobian array is ``(N, C, P, d)``: derivative of channel c of pixel p with respect to latent i,
at N points. ``groups[i]`` is the slot of latent i. Leave latents out that do nothing: a zero
column has no direction.

Contrasts are local values and are averaged as such. The contrast of an averaged Jacobian is
another, meaningless number: for a sinusoidal shear it is 0.00 where the mean local one is 0.74.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma

from recombine.benchmark.metrics.base import Metric
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.benchmark.serving.recombination import Donors
    from recombine.renderer.core.types import Array


# Metrics whose chance level depends on sizes have an infinite one here; see `ima_chance`.
LOCAL_IMA = Metric(
    "ima_contrast", "1.0", "lower", 0.0, np.inf, np.inf,
    "E_z[sum_i log |J_i| - 1/2 log det J'J]: global IMA contrast of Gresele et al. 2021 "
    "(arXiv 2106.05200), as a mean of local ones",
)  # fmt: skip
BLOCK_IMA = Metric(
    "block_ima_contrast", "1.0", "lower", 0.0, np.inf, np.inf,
    "E_z[1/2 (sum_k log det A_kk - log det A)], A = J'J with slot blocks A_kk: the IMA contrast "
    "between slots (ours; non-negative by Fischer's inequality)",
)  # fmt: skip


@dataclass(frozen=True)
class LocalSummary:
    """Local values in three numbers."""

    mean: float | None
    p95: float | None
    degenerate: int


def summarise(values: Float[Array, " points"]) -> LocalSummary:
    """Summarise local contrasts; points where they are infinite are counted, not averaged."""
    finite = values[np.isfinite(values)]
    lost = len(values) - len(finite)
    if len(finite) == 0:
        return LocalSummary(None, None, lost)
    return LocalSummary(float(finite.mean()), float(np.percentile(finite, 95)), lost)


def gram(
    jacobian: Float[Array, "points channels pixels dim"],
) -> Float[Array, "points dim dim"]:
    """Return A = J'J at every point, ``(N, d, d)``."""
    flat = jacobian.reshape(len(jacobian), -1, jacobian.shape[-1]).astype(np.float64)
    squares: Array = np.einsum("noi,noj->nij", flat, flat, optimize=True)
    return squares


def local_ima(matrices: Float[Array, "points dim dim"]) -> Float[Array, " points"]:
    """Return the IMA contrast at every point.

    Parameters
    ----------
    matrices : array
        ``(N, d, d)`` from `gram`; no jitter is added.

    Returns
    -------
    array
        ``(N,)``: 0 when all columns of the Jacobian are orthogonal; infinite when they are
        linearly dependent in double precision. Not changed by permuting or rescaling latents.
    """
    return block_ima(matrices, np.arange(matrices.shape[1]))


def block_ima(
    matrices: Float[Array, "points dim dim"], groups: Int[Array, " dim"]
) -> Float[Array, " points"]:
    """Return the IMA contrast between slots at every point.

    Parameters
    ----------
    matrices : array
        ``(N, d, d)`` from `gram`.
    groups : array
        ``(d,)`` slot of every latent.

    Returns
    -------
    array
        ``(N,)``: 0 when the slots' column spaces are orthogonal, whatever happens within a slot;
        infinite when columns depend on each other. Not changed by any invertible linear map
        within a slot.
    """
    if len(groups) != matrices.shape[1]:
        raise InvalidInputError(
            f"block_ima: {len(groups)} slots of latents given for {matrices.shape[1]} latents"
        )
    total = _log_det(_unit_columns(matrices))
    parts = np.zeros(len(matrices))
    for slot in np.unique(groups):
        own = np.flatnonzero(groups == slot)
        parts += _log_det(_unit_columns(matrices[:, own[:, None], own]))
    infinite = ~np.isfinite(total)
    contrast = (parts - np.where(infinite, 0.0, total)) / 2
    return np.where(infinite, np.inf, np.maximum(contrast, 0.0))


def condition_number(matrices: Float[Array, "points dim dim"]) -> Float[Array, " points"]:
    """Return the condition number of A: largest over smallest eigenvalue, at least 1."""
    eigenvalues = np.linalg.eigvalsh(matrices)
    low, high = eigenvalues[:, 0], eigenvalues[:, -1]
    singular = low <= high * np.finfo(float).eps
    return np.where(singular, np.inf, high / np.where(singular, 1.0, low))


def ima_chance(outputs: int, groups: Int[Array, " dim"]) -> float:
    """Return the expected block contrast of a Jacobian of independent normal numbers.

    Parameters
    ----------
    outputs : int
        Channels times pixels, at least d.
    groups : array
        ``(d,)`` slot of every latent; all different for the plain contrast.

    Returns
    -------
    float
        What slots without any structure have: about half the number of pairs of latents in
        different slots over ``outputs``. From the log determinant of a Wishart matrix; Muirhead
        1982, Aspects of Multivariate Statistical Theory, theorem 3.2.15.
    """
    sizes = np.unique(groups, return_counts=True)[1]
    blocks = sum(digamma((outputs - np.arange(size)) / 2).sum() for size in sizes)
    return float((blocks - digamma((outputs - np.arange(len(groups))) / 2).sum()) / 2)


def _unit_columns(matrices: Array) -> Array:
    """Scale A as if all columns of J had length 1; a zero column stays zero."""
    length = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    safe = np.where(length > 0, length, 1.0)
    scaled: Array = matrices / safe[:, :, None] / safe[:, None, :]
    return scaled


def _log_det(matrices: Array) -> Array:
    """Return log determinants; minus infinity where double precision cannot tell from singular."""
    low = np.linalg.eigvalsh(matrices)[:, 0]
    _, logarithm = np.linalg.slogdet(matrices)
    size = matrices.shape[1]
    out: Array = np.where(low > size * np.finfo(float).eps, logarithm, -np.inf)
    return out


# Can a decoder draw a combination it never saw: recombined slots against the true render.

FIDELITY = Metric(
    "decoder_ooc_fidelity", "1.0", "higher", -np.inf, 1.0, 0.0,
    "1 - |decoded - true|^2 / E|x - E x|^2 for slots of in-combination twins against the true "
    "render of their recombination; variance of in-combination images; arXiv 2512.08854 asks for "
    "decoders that equal the generator out of combination (eq. 2.5)",
)  # fmt: skip


@dataclass(frozen=True)
class PixelSums:
    """Sums over images, from which their spread follows."""

    count: int
    total: Float[Array, "channels height width"]
    squares: float

    def __add__(self, other: PixelSums) -> PixelSums:
        """Return the sums over the images of both."""
        return PixelSums(
            self.count + other.count, self.total + other.total, self.squares + other.squares
        )

    @property
    def variance(self) -> float:
        """Return E|x - E x|^2, summed over pixels and channels."""
        return float(self.squares / self.count - np.sum((self.total / self.count) ** 2))


def pixel_sums(images: Float[Array, "images channels height width"]) -> PixelSums:
    """Return the sums of a batch of images in [0, 1]; batches add up."""
    values = images.astype(np.float64)
    return PixelSums(len(values), values.sum(axis=0), float(np.sum(values**2)))


def nmse(
    predicted: Float[Array, "images channels height width"],
    true: Float[Array, "images channels height width"],
    variance: float,
) -> Float[Array, " images"]:
    """Return the squared error of every image over E|x - E x|^2 of in-combination images."""
    if predicted.shape != true.shape or variance <= 0:
        raise InvalidInputError(
            "nmse: predictions and truth must have one shape and the variance be above 0, got "
            f"{predicted.shape}, {true.shape} and {variance}"
        )
    gap = predicted.astype(np.float64) - true
    return np.asarray(np.sum(gap.reshape(len(gap), -1) ** 2, axis=1) / variance)


def twin_fidelity(
    images: Float[Array, "images channels height width"], found: Donors, variance: float
) -> Float[Array, " targets"]:
    """Return the fidelity of the nearest donor, shown as it is.

    Parameters
    ----------
    images : array
        ``(N, C, H, W)`` in [0, 1], numbered as in ``found``.
    found : Donors
        From `recombination.find_donors`.
    variance : float
        As for `nmse`.

    Returns
    -------
    array
        ``(M,)``: what a decoder reaches that draws one donor and recombines nothing.
    """
    true = images[found.targets]
    each = [1 - nmse(images[column], true, variance) for column in found.donors.T]
    best: Array = np.max(np.stack(each), axis=0)
    return best
