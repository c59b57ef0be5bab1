"""What a decoder and its encoder do to each other: cycles, and decoding of recombined slots.

Every function takes one batch and returns one number per image, to be averaged by whoever calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import Metric
from recombine.benchmark.metrics.derivatives import as_numpy
from recombine.benchmark.metrics.metrics_fidelity import nmse

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from recombine.benchmark.metrics.derivatives import Map
    from recombine.renderer.core.types import Array

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
    """Return which latents a variational encoder uses.

    Parameters
    ----------
    slots : array
        ``(N, S, D)`` posterior means of in-combination images.
    threshold : float
        Least variance, in units of the prior's.

    Returns
    -------
    array
        ``(S, D)``. Source: active units of Burda et al. 2016 (arXiv 1509.00519).
    """
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
        Images to slots and back, slots keeping their roles. For exchangeable slots give the
        re-encoded ones to `metrics_sets.set_r2`, which knows what free pairing earns.
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
