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
IMAGE_LEVELS = 3
# One level more on an image is 48.1 dB, and up to 3 dB less error where half of it is white
# already. All images together leave no such room: rounding gives 66 dB or more.
ALL_DB = 56.0


@dataclass(frozen=True)
class Agreement:
    """How images drawn again compare with the ones that are stored."""

    images: int  # how many were compared
    decibels: float  # peak signal-to-noise ratio of the worst; inf where all are equal
    levels: int  # largest difference of a colour value, 0 to 255
    all_decibels: float  # peak signal-to-noise ratio over all images together
    labels: int  # images whose annotations differ in any bit

    @property
    def close(self) -> bool:
        """Tell whether another processor may have made all the difference."""
        return (
            not self.labels
            and self.decibels >= IMAGE_DB
            and self.levels <= IMAGE_LEVELS
            and self.all_decibels >= ALL_DB
        )

    def words(self) -> str:
        """Return what was found as one phrase."""
        if math.isinf(self.decibels):
            found = f"{self.images} images with equal pixels"
        else:
            found = (
                f"{self.images} images, the worst {self.decibels:.1f} dB, all "
                f"{self.all_decibels:.1f} dB, at most {self.levels} levels"
            )
        return f"{found}; labels of {self.labels} differ" if self.labels else found


def agreement(
    pairs: Iterable[tuple[UInt8[Array, "H W 3"], UInt8[Array, "H W 3"]]],
    labels: Sequence[bool] = (),
) -> Agreement:
    """Compare stored images with drawn ones; ``labels`` says whose annotations are equal."""
    errors, levels = [], 0
    for first, second in pairs:
        difference = first.astype(int) - second
        errors.append(float(np.mean(difference.astype(float) ** 2)))
        levels = max(levels, int(np.abs(difference).max()))
    return Agreement(
        images=len(errors),
        decibels=decibels(max(errors)),
        levels=levels,
        all_decibels=decibels(sum(errors) / len(errors)),
        labels=sum(not same for same in labels),
    )


def decibels(error: float) -> float:
    """Return a mean squared error of 8-bit values as peak signal-to-noise ratio."""
    return 10 * math.log10(255**2 / error) if error else math.inf


def psnr(first: UInt8[Array, "H W 3"], second: UInt8[Array, "H W 3"]) -> float | None:
    """Return the peak signal-to-noise ratio of two 8-bit images in dB; None when they are equal."""
    found = agreement([(first, second)]).decibels
    return None if math.isinf(found) else found
