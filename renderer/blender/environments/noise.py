"""Seamless random fields on a square, the raw material of floors, walls and skies.

Every field comes from a fixed seed through a counter-based generator, so each process makes
the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Float


def generator(seed: int) -> np.random.Generator:
    """Return a counter-based generator."""
    return np.random.Generator(np.random.Philox(seed))


def fractal(
    size: int, seed: int, slope: float = 2.0, stretch: tuple[float, float] = (1.0, 1.0)
) -> Float[Array, "size size"]:
    """Return periodic Gaussian noise with a power-law spectrum, mapped to [0, 1]."""
    white = generator(seed).normal(size=(size, size))
    fy = np.fft.fftfreq(size, 1 / size)[:, None] * stretch[0]
    fx = np.fft.rfftfreq(size, 1 / size)[None] * stretch[1]
    f = np.hypot(fy, fx)
    weight = np.where(f > 0, np.maximum(f, 1.0) ** (-slope / 2), 0.0)
    field = np.fft.irfft2(np.fft.rfft2(white) * weight, s=(size, size))
    return np.asarray(np.clip(0.5 + (field - field.mean()) / (4 * field.std()), 0, 1))


def normals(height: Float[Array, "H W"], metres: float) -> Float[Array, "H W 3"]:
    """Return the tangent-space normal map of a periodic height field."""
    step = 2 * metres / height.shape[0]
    dx = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) / step
    dy = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) / step
    n = np.stack([-dx, -dy, np.ones_like(dx)], axis=-1)
    return np.asarray(n / np.linalg.norm(n, axis=-1, keepdims=True) / 2 + 0.5)


def mix(
    a: tuple[float, float, float], b: tuple[float, float, float], t: Float[Array, "H W"]
) -> Float[Array, "H W 3"]:
    """Blend two colours by a field."""
    share = np.clip(t, 0, 1)[..., None]
    return np.asarray(np.array(a) * (1 - share) + np.array(b) * share)
