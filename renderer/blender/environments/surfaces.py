"""Surfaces of floors and backdrops as plain arrays, and fields that many of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.blender.environments.noise import normals
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Float


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
    painted: bool = False


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
    return Piece(np.array([[y, low], [y, high]]), 8.0, covering)


FAR_WIDTH, FAR_HEIGHT = 18.0, 4.5  # metres that a painted distance spans
FAR_ROWS, FAR_COLUMNS = 256, 1024
HORIZON = 1.5  # metres: as high as the camera


def far_grid() -> tuple[Float[Array, "R C"], Float[Array, "R C"]]:
    """Return height and place of every pixel of a painted distance, metres."""
    z, x = np.mgrid[0:FAR_ROWS, 0:FAR_COLUMNS].astype(float)
    return z * FAR_HEIGHT / FAR_ROWS, x * FAR_WIDTH / FAR_COLUMNS


def far(picture: Float[Array, "R C 3"]) -> list[Piece]:
    """Return a painted distance behind everything."""
    flat = normals(np.zeros((8, 8)), 1.0)
    section = np.array([[16.0, 0.0], [16.0, FAR_HEIGHT]])
    return [Piece(section, FAR_WIDTH / 2, Floor(np.clip(picture, 0, 1), flat, FAR_WIDTH))]
