"""From linear radiance to sRGB bytes, in NumPy, so that no display pipeline takes part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

CONTRAST, PIVOT = 1.16, 0.24
"""Slope of the curve on logarithmic axes, as film has it, and the radiance that it keeps."""
SHOULDER = 0.64
"""Display value from which highlights are compressed."""
DESATURATION = 0.15


def srgb(linear: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """Encode linear values by the sRGB curve (IEC 61966-2-1)."""
    x = np.clip(linear, 0.0, 1.0)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)


def film(linear: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    """Give radiance the contrast of film and compress its highlights, keeping hues."""
    # The shoulder is that of the Khronos Group, "PBR Neutral Tone Mapper" specification (2024).
    # Its subtraction of 0.04 is left out: it turns what is darker than a tenth into black.
    colour = PIVOT * (linear / PIVOT) ** CONTRAST
    peak = colour.max(-1, keepdims=True)
    room = 1.0 - SHOULDER
    squeezed = 1.0 - room * room / (np.maximum(peak, SHOULDER) + room - SHOULDER)
    bright = colour * (squeezed / np.maximum(peak, 1e-9))
    grey = 1.0 - 1.0 / (DESATURATION * (np.maximum(peak, SHOULDER) - squeezed) + 1.0)
    bright = bright * (1 - grey) + squeezed * grey
    return np.where(peak < SHOULDER, colour, bright)


def display(linear: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    """Turn radiance into display units, before rounding."""
    return srgb(film(np.maximum(linear, 0.0))) * 255.0


def encode(linear: Float[Array, "H W 3"]) -> UInt8[Array, "H W 3"]:
    """Turn radiance into the stored picture."""
    return (display(linear) + 0.5).astype(np.uint8)
