"""How far two drawings of one image may be apart, and how far they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from recombine.renderer.core.types import Array

# Path-traced colours are rounded otherwise on another processor, and by nothing else: masks, depth
# and normals stay equal to the bit. What these bounds let through and what they stop was measured
# on the presets, see `docs/data_cards.md`.
IMAGE_DB = 50.0
LEVELS = 3
# One rounded bit can turn a light path into another: rarely, and then in a few pixels only. So
# colours may be farther apart in so small a share of all values, and differ at all in so small a
# share; whatever changes images as a whole (brightness, compression, a seed) touches most values.
FAR_SHARE = 0.002
SHARE = 0.05


@dataclass(frozen=True)
class Agreement:
    """How images drawn again compare with the ones that are stored."""

    images: int  # how many were compared
    decibels: float  # peak signal-to-noise ratio of the worst; inf where all are equal
    levels: int  # largest difference of a colour value, 0 to 255
    share: float  # of colour values that differ
    far_share: float  # of colour values that differ by more than `LEVELS`
    labels: int  # images whose annotations differ in any bit

    @property
    def close(self) -> bool:
        """Tell whether another processor may have made all the difference."""
        return (
            not self.labels
            and self.decibels >= IMAGE_DB
            and self.share <= SHARE
            and self.far_share <= FAR_SHARE
        )

    def words(self) -> str:
        """Return what was found as one phrase."""
        if math.isinf(self.decibels):
            found = f"{self.images} images with equal pixels"
        else:
            found = (
                f"{self.images} images, the worst {self.decibels:.1f} dB; {self.share:.2%} of the "
                f"values differ, {self.far_share:.3%} by more than {LEVELS} levels, the most by "
                f"{self.levels}"
            )
        return f"{found}; labels of {self.labels} differ" if self.labels else found


def agreement(
    pairs: Iterable[tuple[UInt8[Array, "H W 3"], UInt8[Array, "H W 3"]]],
    labels: Sequence[bool] = (),
) -> Agreement:
    """Compare stored images with drawn ones; ``labels`` says whose annotations are equal."""
    errors, levels, shares, far = [], 0, [], []
    for first, second in pairs:
        difference = np.abs(first.astype(int) - second)
        errors.append(float(np.mean(difference.astype(float) ** 2)))
        levels = max(levels, int(difference.max()))
        shares.append(float((difference > 0).mean()))
        far.append(float((difference > LEVELS).mean()))
    return Agreement(
        images=len(errors),
        decibels=decibels(max(errors)),
        levels=levels,
        share=sum(shares) / len(shares),
        far_share=sum(far) / len(far),
        labels=sum(not same for same in labels),
    )


def decibels(error: float) -> float:
    """Return a mean squared error of 8-bit values as peak signal-to-noise ratio."""
    return 10 * math.log10(255**2 / error) if error else math.inf


def psnr(first: UInt8[Array, "H W 3"], second: UInt8[Array, "H W 3"]) -> float | None:
    """Return the peak signal-to-noise ratio of two 8-bit images in dB; None when they are equal."""
    found = agreement([(first, second)]).decibels
    return None if math.isinf(found) else found
