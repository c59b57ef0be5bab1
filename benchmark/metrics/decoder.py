"""How a decoder is built: its Jacobian between slots, and how much slots interact.

Derivatives come from `derivatives` and need a decoder that treats the images of a batch
independently. Numbers are averaged over points by whoever calls, so batches add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics import decoder_jacobian as metrics_ima
from recombine.benchmark.metrics.base import Metric
from recombine.benchmark.metrics.decoder_jacobian import nmse
from recombine.benchmark.metrics.derivatives import (
    CHUNK,
    as_numpy,
    derivative_mass,
    directions,
    require_derivative,
    slot_jacobian,
)
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from recombine.benchmark.metrics.derivatives import Map, Method
    from recombine.renderer.core.types import Array


# How a decoder's slots share pixels: compositional contrast and Jacobian interaction score.

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
    """Return how much each slot moves each output: norms of the slot's partial derivatives."""
    flat = jacobian.reshape(len(jacobian), -1, jacobian.shape[-1])
    columns = [np.linalg.norm(flat[:, :, groups == k], axis=2) for k in np.unique(groups)]
    return np.stack(columns, axis=2)


def raw_contrast(norms: Float[Array, "points outputs slots"]) -> Float[Array, " points"]:
    """Return the compositional contrast as published, unweighted."""
    # Sum over outputs and slot pairs of |J_nk| |J_nl|, Brady et al. 2023 (arXiv 2305.14229): 0 when
    # every output belongs to one slot; grows with resolution, contrast and the scale of latents.
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
    """Return each point's part of the Jacobian interaction score."""
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


CROSS_SLOT = Metric(
    "cross_slot_second_derivative", "1.0", "lower", 0.0, np.inf, np.inf,
    "E sum_{k<l} |D^2 g[u_k, v_l]|^2 / E sum_k |D g[u_k]|^2, directions scaled to the spread of "
    "codes; 0 for additive decoders (at most first-order interaction, Brady et al. 2025, "
    "arXiv 2411.07784)",
)  # fmt: skip


@dataclass(frozen=True)
class DecoderStructure:
    """Local values of a decoder's Jacobian."""

    # ``(N,)`` contrasts (`metrics_ima`) and condition number of J'J, infinite where columns depend
    # on each other; average with `metrics_ima.summarise`
    ima: Float[Array, " points"]
    # ``(N,)`` contrasts (`metrics_ima`) and condition number of J'J, infinite where columns depend
    # on each other; average with `metrics_ima.summarise`
    block_ima: Float[Array, " points"]
    # ``(N,)`` contrasts (`metrics_ima`) and condition number of J'J, infinite where columns depend
    # on each other; average with `metrics_ima.summarise`
    condition: Float[Array, " points"]
    # ``(N,)`` compositional contrast, as published and normalised
    raw_contrast: Float[Array, " points"]
    # ``(N,)`` compositional contrast, as published and normalised
    contrast: Float[Array, " points"]
    # sums and weights of the Jacobian interaction score
    interaction: tuple[Float[Array, "points 1"], Float[Array, "points 1"]]
    latents: int  # active latents behind these numbers


@dataclass(frozen=True)
class CrossSlot:
    """Derivatives of a decoder across slots."""

    # ``(N,)`` sum over slots of |D g[u_k]|^2: squared Frobenius norm of the Jacobian in mean
    first: Float[Array, " points"]
    # ``(N,)`` sum over slot pairs of the squared mixed derivative: that of the cross-slot blocks of
    # the second (third) derivative in mean
    cross: Float[Array, " points"]

    @property
    def share(self) -> float:
        """Return cross over first: 0 when slots do not interact; no unit."""
        return float(self.cross.sum() / self.first.sum())


def decoder_structure(
    decode: Map,
    points: Float[Tensor, "points slots dim"],
    *,
    scale: Float[Tensor, "slots dim"] | None = None,
    active: Bool[Array, "slots dim"] | None = None,
    foreground: Bool[Array, "points pixels"] | None = None,
    chunk: int = CHUNK,
    method: Method = "forward",
) -> DecoderStructure:
    """Return IMA contrasts, compositional contrast and interaction score of a decoder.

    Parameters
    ----------
    decode, scale, active, chunk, method
        As for `slot_jacobian`. The scale does not matter to the IMA contrasts.
    points : Tensor
        ``(N, S, D)`` at least two slots with an active latent; dozens are enough.
    foreground : array, optional
        ``(N, P)`` pixels that count for the interaction score.

    Returns
    -------
    DecoderStructure
        One Jacobian is in memory at a time.

    Raises
    ------
    InvalidInputError
        When the decoder's derivative is not that of its outputs (`require_derivative`).
    """
    if method == "forward":
        require_derivative(decode, points[:1])
    used = np.ones(points.shape[1:], dtype=bool) if active is None else active
    groups: Int[Array, " latents"] = np.nonzero(used)[0]
    parts = [
        _local_values(
            slot_jacobian(decode, point, scale=scale, active=used, chunk=chunk, method=method)[
                None
            ],
            groups,
            None if foreground is None else foreground[number : number + 1],
        )
        for number, point in enumerate(points)
    ]
    ima, block, condition, raw, contrast, sums, weights = map(
        np.concatenate, zip(*parts, strict=True)
    )
    return DecoderStructure(ima, block, condition, raw, contrast, (sums, weights), len(groups))


def _local_values(
    jacobian: Array, groups: Array, foreground: Array | None
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """Return everything `DecoderStructure` holds of one point."""
    squares = metrics_ima.gram(jacobian)
    norms = slot_norms(jacobian, groups)
    return (
        metrics_ima.local_ima(squares),
        metrics_ima.block_ima(squares, groups),
        metrics_ima.condition_number(squares),
        raw_contrast(norms),
        compositional_contrast(norms),
        *interaction_contributions(jacobian, groups, foreground),
    )


def cross_slot_mass(
    decode: Map,
    points: Float[Tensor, "points slots dim"],
    *,
    order: int = 2,
    scale: Float[Tensor, "slots dim"] | None = None,
    probes: int = 4,
    seed: int = 0,
    chunk: int = CHUNK,
    method: Method = "forward",
) -> CrossSlot:
    """Return the mass of a decoder's mixed derivatives between slots, by random directions."""
    import torch

    if order not in (2, 3) or points.shape[1] < 2:
        raise InvalidInputError(
            f"cross_slot_mass: order must be 2 or 3 with at least two slots, got order {order} and "
            f"{points.shape[1]} slots"
        )
    if method == "forward":
        require_derivative(decode, points[:1])
    unit = torch.ones_like(points[0]) if scale is None else scale.to(points)
    generator = torch.Generator().manual_seed(seed)
    first, cross = np.zeros(len(points)), np.zeros(len(points))
    slots = torch.arange(points.shape[1])
    pairs = torch.combinations(slots, 2)
    for _ in range(probes):
        u, v, w = (directions(points, generator) * unit for _ in range(3))
        first += derivative_mass(decode, points, [(u, slots)], chunk, method)
        along = [(u, pairs[:, 0]), (v, pairs[:, 1]), (w, None)]
        cross += derivative_mass(decode, points, along[:order], chunk, method)
    return CrossSlot(first / probes, cross / probes)


# What a decoder and its encoder do to each other: cycles, and decoding of recombined slots.

X_CYCLE = Metric(
    "x_cycle_nmse", "1.0", "lower", 0.0, np.inf, 1.0,
    "E|g(f(x)) - x|^2 / E|x - E x|^2, variance of in-combination images",
)  # fmt: skip
Z_CYCLE = Metric(
    "z_self_consistency_nmse", "1.0", "lower", 0.0, np.inf, 1.0,
    "mean over active dimensions of E|f(g(z)) - z|^2 / Var z, variance of in-combination codes; "
    "self-consistency of Reizinger et al. 2022 (arXiv 2206.02416)",
)  # fmt: skip
ACTIVE = 0.01


def active_dimensions(
    slots: Float[Array, "images slots dim"], threshold: float = ACTIVE
) -> Bool[Array, "slots dim"]:
    """Return which latents a variational encoder uses."""
    return np.asarray(slots.var(axis=0) > threshold)


def x_cycle(
    encode: Map,
    decode: Map,
    images: Float[Tensor, "images channels height width"],
    variance: float,
) -> Float[Array, " images"]:
    """Return the normalised error of decoding what was encoded.

    Parameters
    ----------
    encode, decode : callable
        Images to slots and back.
    images : Tensor
        ``(N, C, H, W)`` in [0, 1], one batch.
    variance : float
        `metrics_fidelity.PixelSums.variance` of in-combination images.

    Returns
    -------
    array
        ``(N,)``; average over batches. 0 perfect, 1 on average for the mean image.
    """
    import torch

    with torch.no_grad():
        again = decode(encode(images))
    return nmse(as_numpy(again), as_numpy(images), variance)


def decoder_fidelity(
    decode: Map,
    slots: Float[Tensor, "targets slots dim"],
    true: Float[Array, "targets channels height width"],
    variance: float,
) -> Float[Array, " targets"]:
    """Return how near decoded recombinations come to the true render.

    Parameters
    ----------
    decode : callable
        Slots to images.
    slots : Tensor
        ``(M, S, D)``, one batch: slots of in-combination twins put together
        (`metrics_fidelity.find_donors`, `metrics_fidelity.recombine`).
    true : array
        ``(M, C, H, W)`` the out-of-combination images themselves, in [0, 1].
    variance : float
        `metrics_fidelity.PixelSums.variance` of in-combination images.

    Returns
    -------
    array
        ``(M,)``; average over batches. 1 the render itself, 0 on average for the mean image. To be
        read beside `metrics_fidelity.twin_fidelity` and the fidelity of the images' own slots.
    """
    import torch

    with torch.no_grad():
        drawn = decode(slots)
    return 1 - nmse(as_numpy(drawn), true, variance)


def z_cycle(
    encode: Map,
    decode: Map,
    slots: Float[Tensor, "images slots dim"],
    variance: Float[Array, "slots dim"],
    active: Bool[Array, "slots dim"],
) -> Float[Array, " images"] | None:
    """Return the normalised error of encoding what was decoded.

    Parameters
    ----------
    encode, decode : callable
        Images to slots and back, slots keeping their roles.
    slots : Tensor
        ``(N, S, D)``, one batch: codes of in-combination images, or recombined ones
        (`metrics_fidelity.shuffle_slots`). The second kind is what tells about new combinations.
    variance : array
        ``(S, D)`` of in-combination codes.
    active : array
        ``(S, D)`` latents that count; say which.

    Returns
    -------
    array, optional
        ``(N,)``; average over batches. 0 perfect; 1 for the mean code. None when nothing is active.
    """
    import torch

    if not active.any():
        return None
    with torch.no_grad():
        gap = as_numpy(encode(decode(slots))) - as_numpy(slots)
    return np.asarray(np.mean(gap[:, active] ** 2 / variance[active], axis=1))
