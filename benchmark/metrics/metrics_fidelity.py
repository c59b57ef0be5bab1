"""Can a decoder draw a combination it never saw: recombined slots against the true render.

Slots read from the in-combination twins of an image (`recombination`), put together and decoded,
should give the image itself, pixel for pixel; nothing has to be matched or aligned. Two numbers
put the score into place: that of the twins themselves (a decoder that copies one of them), and
that of decoding the image's own slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import Metric
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.benchmark.serving.recombination import Donors
    from recombine.renderer.core.types import Array

FIDELITY = Metric(
    "decoder_ooc_fidelity", "1.0", "higher", -np.inf, 1.0, 0.0,
    "1 - |decoded - true|^2 / E|x - E x|^2 for slots of in-combination twins against the true "
    "render of their recombination; variance of in-combination images; arXiv 2512.08854 asks for "
    "decoders that equal the generator out of combination (eq. 2.5)",
)  # fmt: skip


@dataclass(frozen=True)
class PixelSums:
    """Sums over images, from which their spread follows.

    Attributes
    ----------
    count : int
        Images.
    total : array
        ``(C, H, W)`` sum of images.
    squares : float
        Sum of squared pixel values.
    """

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
    """Return the squared error of every image over the spread of all.

    Parameters
    ----------
    predicted, true : array
        ``(N, C, H, W)``.
    variance : float
        E|x - E x|^2 of in-combination images, above 0, the same for every split.

    Returns
    -------
    array
        ``(N,)``: 0 perfect, 1 on average for the mean image. 1 - nmse is the fidelity.
    """
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
