"""Surfaces of floors and backdrops as plain arrays, and fields that many of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates

from recombine.renderer.blender.environments.noise import fractal
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Float


HALF_WALL = 12.0
"""Half the width of walls, metres: more than a camera sees beside its place and their shift."""


@dataclass(frozen=True)
class Floor:
    """One seamless tile of a floor."""

    albedo: Float[Array, "N N 3"]  # linear reflectance
    relief: Float[Array, "N N 3"]  # tangent-space normals in [0, 1]
    metres: float  # edge of the tile
    # strength of the glossy part; 0 is matte, 0.5 is that of common dielectrics
    specular: float = 0.0
    roughness: float = 0.5  # of the glossy part, in [0, 1]


@dataclass(frozen=True)
class Piece:
    """One surface of a backdrop: a strip that is straight along x."""

    # the strip seen from the side: (y, z) points from the floor upwards, metres
    section: Float[Array, "P 2"]
    half_width: float  # the strip spans x in [-half_width, half_width]
    covering: Floor  # albedo and relief, as for floors; its tile repeats in metres along the strip


def squares(size: int) -> tuple[Float[Array, "size size"], Float[Array, "size size"]]:
    """Return row and column of every pixel of a tile, in [0, 1)."""
    y, x = np.mgrid[0:size, 0:size] / size
    return y, x


def joint(
    across: Float[Array, "*any"], along: Float[Array, "*any"], width: float
) -> Float[Array, "*any"]:
    """Return 1 on the joints of a grid of unit tiles, 0 inside the tiles."""
    inside = np.minimum(0.5 - np.abs(across % 1 - 0.5), 0.5 - np.abs(along % 1 - 0.5))
    return np.asarray(np.clip(1.5 - inside / (width / 2), 0, 1))


def upright(y: float, covering: Floor, low: float = 0.0, high: float = 6.0) -> Piece:
    """Return an upright wall across the picture."""
    return Piece(np.array([[y, low], [y, high]]), HALF_WALL, covering)


@dataclass(frozen=True)
class Fade:
    """Where a floor ends in a photograph: its opacity on a square about the origin."""

    opacity: Float[Array, "N N"]  # rows along y, columns along x, in [0, 1]
    half: float  # half the edge of the square, metres; beyond it the floor is not there

    def at(self, place: Float[Array, "P 2"]) -> Float[Array, " P"]:
        """Return the opacity at places of the floor, as the texture shows it."""
        count = len(self.opacity)
        column, row = ((place / self.half + 1) / 2 * count - 0.5).T
        near = (np.abs(place) < self.half).all(1)
        found = map_coordinates(self.opacity, [row, column], order=1, mode="nearest")
        return np.where(near, found, 0.0)


RAGGED = 0.3
"""How far the edge of a fading floor wanders, as a share of the width of the fade."""


def faded(near: float, far: float, seed: int) -> Fade:
    """Return a floor that begins to fade at a distance from the origin and is gone at another."""
    count, wander = 256, RAGGED * (far - near)
    half = 1.02 * far
    y, x = np.mgrid[0:count, 0:count]
    place = ((np.stack([x, y], -1) + 0.5) / count * 2 - 1) * half
    away = np.hypot(*np.moveaxis(place, -1, 0))
    away = away + 2 * wander * np.clip(fractal(count, seed, 4.0) - 0.5, -0.5, 0.5)
    share = np.clip((far - away) / (far - near), 0, 1)
    return Fade(
        share * share * (3 - 2 * share) * (np.hypot(*np.moveaxis(place, -1, 0)) < far), half
    )
