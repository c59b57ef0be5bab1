"""How a decoder is built: its Jacobian between slots, and how much slots interact.

Derivatives come from `derivatives` and need a decoder that treats the images of a batch
independently. Numbers are averaged over points by whoever calls, so batches add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics import metrics_contrast, metrics_ima
from recombine.benchmark.metrics.base import Metric
from recombine.benchmark.metrics.derivatives import (
    CHUNK,
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

CROSS_SLOT = Metric(
    "cross_slot_second_derivative", "1.0", "lower", 0.0, np.inf, np.inf,
    "E sum_{k<l} |D^2 g[u_k, v_l]|^2 / E sum_k |D g[u_k]|^2, directions scaled to the spread of "
    "codes; 0 for additive decoders (at most first-order interaction, Brady et al. 2025, "
    "arXiv 2411.07784)",
)  # fmt: skip


@dataclass(frozen=True)
class DecoderStructure:
    """Local values of a decoder's Jacobian.

    Attributes
    ----------
    ima, block_ima, condition : array
        ``(N,)`` contrasts (`metrics_ima`) and condition number of J'J, infinite where columns
        depend on each other; average with `metrics_ima.summarise`.
    raw_contrast, contrast : array
        ``(N,)`` compositional contrast, as published and normalised.
    interaction : tuple of array
        Sums and weights of the Jacobian interaction score.
    latents : int
        Active latents behind these numbers.
    """

    ima: Float[Array, " points"]
    block_ima: Float[Array, " points"]
    condition: Float[Array, " points"]
    raw_contrast: Float[Array, " points"]
    contrast: Float[Array, " points"]
    interaction: tuple[Float[Array, "points 1"], Float[Array, "points 1"]]
    latents: int


@dataclass(frozen=True)
class CrossSlot:
    """Derivatives of a decoder across slots.

    Attributes
    ----------
    first : array
        ``(N,)`` sum over slots of |D g[u_k]|^2: squared Frobenius norm of the Jacobian in mean.
    cross : array
        ``(N,)`` sum over slot pairs of the squared mixed derivative: that of the cross-slot blocks
        of the second (third) derivative in mean.
    """

    first: Float[Array, " points"]
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
    norms = metrics_contrast.slot_norms(jacobian, groups)
    return (
        metrics_ima.local_ima(squares),
        metrics_ima.block_ima(squares, groups),
        metrics_ima.condition_number(squares),
        metrics_contrast.raw_contrast(norms),
        metrics_contrast.compositional_contrast(norms),
        *metrics_contrast.interaction_contributions(jacobian, groups, foreground),
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
    """Return the mass of a decoder's mixed derivatives between slots, by random directions.

    Parameters
    ----------
    decode : callable
        Slots to images.
    points : Tensor
        ``(N, S, D)`` at least two slots.
    order : {2, 3}
        2: slots do not interact when 0 (additive). 3: one direction per slot of a pair and one
        over all slots; additive plus products of two slots has 0.
    scale : Tensor, optional
        ``(S, D)`` standard deviations of in-combination codes: makes the share free of units.
    probes, seed : int
        Random directions per point and pair, and their seed.
    chunk : int
        Most points and pairs at once.
    method : {"forward", "differences"}
        How to differentiate, see `derivatives`.

    Returns
    -------
    CrossSlot
        Directions have independent parts of variance 1 (Hutchinson 1989, Commun. Stat. 18(3)), so
        the expectation is exact: that of the squared Frobenius norm of the derivative's blocks.
    """
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
