"""How a decoder's slots share pixels: compositional contrast and Jacobian interaction score.

A Jacobian array is ``(N, C, P, d)``: derivative of channel c of pixel p with respect to latent i,
at N points. ``groups[i]`` is the slot of latent i. Both scores compare the sizes of derivatives
across slots, so latents are scaled to their spread first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import Metric
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from recombine.renderer.core.types import Array

COMPOSITIONAL_CONTRAST = Metric(
    "compositional_contrast", "1.0", "lower", 0.0, 1.0, 1.0,
    "sum over outputs n and slot pairs of |J_nk| |J_nl|, outputs normalised by and weighted with "
    "their mean slot norm (Brady et al. 2023, arXiv 2305.14229, for images), as a share of the "
    "value that all slots moving all outputs alike would give",
)  # fmt: skip
INTERACTION = Metric(
    "jacobian_interaction_score", "1.0", "higher", 0.0, 1.0, 0.0,
    "(mean over pixels of the largest slot share of |J| - 1/K) / (1 - 1/K); JIS of Brady et al. "
    "2025 (arXiv 2411.07784)",
)  # fmt: skip


def slot_norms(
    jacobian: Float[Array, "points channels pixels dim"], groups: Int[Array, " dim"]
) -> Float[Array, "points outputs slots"]:
    """Return how much each slot moves each output: norms of the slot's partial derivatives.

    Parameters
    ----------
    jacobian : array
        ``(N, C, P, d)``.
    groups : array
        ``(d,)`` slot of every latent.

    Returns
    -------
    array
        ``(N, C P, K)``, K the number of different slots.
    """
    flat = jacobian.reshape(len(jacobian), -1, jacobian.shape[-1])
    columns = [np.linalg.norm(flat[:, :, groups == k], axis=2) for k in np.unique(groups)]
    return np.stack(columns, axis=2)


def raw_contrast(norms: Float[Array, "points outputs slots"]) -> Float[Array, " points"]:
    """Return the compositional contrast as published, unweighted.

    Parameters
    ----------
    norms : array
        From `slot_norms`.

    Returns
    -------
    array
        ``(N,)`` sum over outputs and slot pairs of |J_nk| |J_nl|: 0 when every output belongs to
        one slot; grows with resolution, contrast and the scale of latents. Source: Brady et al.
        2023 (arXiv 2305.14229).
    """
    return np.asarray(_pairs(norms).sum(axis=1))


def compositional_contrast(norms: Float[Array, "points outputs slots"]) -> Float[Array, " points"]:
    """Return the normalised and weighted compositional contrast.

    Parameters
    ----------
    norms : array
        From `slot_norms`, at least two slots, of latents scaled to their spread.

    Returns
    -------
    array
        ``(N,)`` in [0, 1]: 0 when every output belongs to one slot, 1 when all slots move every
        output alike; 1 for a decoder that does not move. Outputs weigh as much as they move.
    """
    slots = norms.shape[2]
    if slots < 2:
        raise InvalidInputError("compositional_contrast: at least two slots are needed, got 1")
    mean = norms.mean(axis=2)
    moving = mean > 0
    shared = np.where(moving, _pairs(norms) / np.where(moving, mean, 1.0), 0.0)
    most = mean.sum(axis=1) * slots * (slots - 1) / 2
    return np.where(most > 0, shared.sum(axis=1) / np.where(most > 0, most, 1.0), 1.0)


def interaction_contributions(
    jacobian: Float[Array, "points channels pixels dim"],
    groups: Int[Array, " dim"],
    foreground: Bool[Array, "points pixels"] | None = None,
) -> tuple[Float[Array, "points 1"], Float[Array, "points 1"]]:
    """Return each point's part of the Jacobian interaction score.

    Parameters
    ----------
    jacobian, groups
        As for `slot_norms`, latents scaled to their spread; at least two slots.
    foreground : array, optional
        ``(N, P)`` pixels that count; all without it.

    Returns
    -------
    tuple of array
        Sums and weights (pixels that move), ``(N, 1)``, as those of `metrics.contributions`:
        1 when one slot moves each pixel, 0 when all slots move each pixel alike.
    """
    names = np.unique(groups)
    if len(names) < 2:
        raise InvalidInputError("interaction score: at least two slots are needed, got 1")
    size = np.abs(jacobian).sum(axis=1)
    slots = np.stack([size[:, :, groups == k].sum(axis=2) for k in names], axis=2)
    total = slots.sum(axis=2)
    counted = total > 0 if foreground is None else (total > 0) & foreground
    share = slots.max(axis=2) / np.where(total > 0, total, 1.0)
    chance = 1 / len(names)
    score = np.where(counted, (share - chance) / (1 - chance), 0.0)
    return score.sum(axis=1, keepdims=True), counted.sum(axis=1, keepdims=True).astype(float)


def _pairs(norms: Array) -> Array:
    """Return the sum over slot pairs of products of norms."""
    pairs: Array = (norms.sum(axis=2) ** 2 - (norms**2).sum(axis=2)) / 2
    return np.maximum(pairs, 0.0)
