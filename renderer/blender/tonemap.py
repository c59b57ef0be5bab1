"""From linear radiance to sRGB bytes, in NumPy, so that no display pipeline takes part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

SHOULDER = 0.76  # compression begins here (after the toe offset)
DESATURATION = 0.15


def srgb(linear: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """Encode linear values by the sRGB curve (IEC 61966-2-1)."""
    x = np.clip(linear, 0.0, 1.0)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)


def neutral(linear: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    """Compress highlights by the Khronos PBR Neutral tone mapper, which keeps base hues true."""
    # Source: Khronos Group, "PBR Neutral Tone Mapper" specification (2024).
    low = linear.min(-1, keepdims=True)
    colour = linear - np.where(low < 0.08, low - 6.25 * low * low, 0.04)
    peak = colour.max(-1, keepdims=True)
    room = 1.0 - SHOULDER
    squeezed = 1.0 - room * room / (np.maximum(peak, SHOULDER) + room - SHOULDER)
    bright = colour * (squeezed / np.maximum(peak, 1e-9))
    grey = 1.0 - 1.0 / (DESATURATION * (np.maximum(peak, SHOULDER) - squeezed) + 1.0)
    bright = bright * (1 - grey) + squeezed * grey
    return np.where(peak < SHOULDER, colour, bright)


def display(linear: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    """Turn radiance into display units, before rounding."""
    return srgb(neutral(np.maximum(linear, 0.0))) * 255.0


def encode(linear: Float[Array, "H W 3"]) -> UInt8[Array, "H W 3"]:
    """Turn radiance into the stored picture."""
    return (display(linear) + 0.5).astype(np.uint8)
