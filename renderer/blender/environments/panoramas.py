"""Photographs of surroundings: what the camera sees of them, and the light that they give.

Panoramas are laid out as in `skies`: rows run from straight down to straight up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from recombine.renderer.blender.environments.skies import Panorama

SEEN, LIT = 1024, 128
"""Columns that the camera sees, and columns that light the scene."""
BLOCKED = -0.35
"""Elevation (radians) below which the floor hides a panorama from what stands on it."""
HAZE = 0.07
"""Elevation (radians) at which haze above or below the horizon has thinned out to 1 / e."""


def elevations(rows: int) -> Array:
    """Return the elevation of every row of a panorama, radians."""
    return np.asarray((np.arange(rows) + 0.5) / rows * np.pi - np.pi / 2)


def reduced(panorama: Panorama, columns: int) -> Panorama:
    """Average a panorama down to at most so many columns."""
    height, width, _ = panorama.shape
    factor = max(1, width // columns)
    rows, wide = height // factor * factor, width // factor * factor
    squares = panorama[:rows, :wide].reshape(rows // factor, factor, wide // factor, factor, 3)
    return np.asarray(squares.mean((1, 3)))


def irradiance(panorama: Panorama) -> float:
    """Return what falls on the floor, over pi: the radiance of a white floor."""
    height, width, _ = panorama.shape
    rise = elevations(height)
    weight = np.clip(np.sin(rise), 0, None) * np.cos(rise) * (np.pi / height) * (2 * np.pi / width)
    return float((panorama.mean(-1).sum(1) * weight).sum() / np.pi)


def lighting(panorama: Panorama) -> Panorama:
    """Return the light of a photograph, without what the floor hides."""
    # Averaged: a sun in a single pixel would fall between the points of an importance map, and
    # the average of its neighbourhood throws the same light with a softer shadow.
    light = reduced(panorama, LIT)
    open_ = np.clip((elevations(len(light)) - BLOCKED) / 0.1, 0, 1)
    return np.asarray(light * open_[:, None, None])


def seen(panorama: Panorama, share: float, brightest: float) -> Panorama:
    """Return what the camera sees of a photograph: haze over its horizon, no blinding lamps."""
    # Haze has the colour of the air at the horizon. Edges of lamps far brighter than white would
    # be jagged: half a pixel of them is white already.
    panorama = np.minimum(reduced(panorama, SEEN), brightest)
    rise = elevations(len(panorama))
    width = panorama.shape[1]
    low = panorama[(rise > 0) & (rise < 0.25)]
    air = np.minimum(low, 4 * np.median(low)).mean(0)
    air = gaussian_filter1d(air, width / 12, axis=0, mode="wrap")
    thick = share * np.exp(-np.abs(rise) / HAZE)
    return np.asarray(panorama * (1 - thick[:, None, None]) + air * thick[:, None, None])
