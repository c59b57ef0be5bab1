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
    """One seamless tile of a floor.

    Attributes
    ----------
    albedo : float array of shape (N, N, 3)
        Linear reflectance.
    relief : float array of shape (N, N, 3)
        Tangent-space normals in [0, 1].
    metres : float
        Edge of the tile.
    specular : float
        Strength of the glossy part; 0 is matte, 0.5 is that of common dielectrics.
    roughness : float
        Of the glossy part, in [0, 1].
    """

    albedo: Float[Array, "N N 3"]
    relief: Float[Array, "N N 3"]
    metres: float
    specular: float = 0.0
    roughness: float = 0.5


@dataclass(frozen=True)
class Piece:
    """One surface of a backdrop: a strip that is straight along x.

    Attributes
    ----------
    section : float array of shape (P, 2)
        The strip seen from the side: (y, z) points from the floor upwards, metres.
    half_width : float
        The strip spans x in [-half_width, half_width].
    covering : Floor
        Albedo and relief, as for floors; its tile repeats in metres along the strip.
    """

    section: Float[Array, "P 2"]
    half_width: float
    covering: Floor
    painted: bool = False


def squares(size: int) -> tuple[Float[Array, "size size"], Float[Array, "size size"]]:
    """Return row and column of every pixel of a tile, in [0, 1).

    Parameters
    ----------
    size : int
        Edge in pixels.

    Returns
    -------
    tuple of float arrays of shape (size, size)
        Upwards and to the right.
    """
    y, x = np.mgrid[0:size, 0:size] / size
    return y, x


def joint(
    across: Float[Array, "*any"], along: Float[Array, "*any"], width: float
) -> Float[Array, "*any"]:
    """Return 1 on the joints of a grid of unit tiles, 0 inside the tiles.

    Parameters
    ----------
    across, along : float array
        Coordinates in tiles.
    width : float
        Of a joint, in tiles.

    Returns
    -------
    float array
        With soft edges.
    """
    inside = np.minimum(0.5 - np.abs(across % 1 - 0.5), 0.5 - np.abs(along % 1 - 0.5))
    return np.asarray(np.clip(1.5 - inside / (width / 2), 0, 1))


def upright(y: float, covering: Floor, low: float = 0.0, high: float = 6.0) -> Piece:
    """Return an upright wall across the picture.

    Parameters
    ----------
    y : float
        Where it stands, metres.
    covering : Floor
        What it shows.
    low, high : float
        Its lower and upper edge, metres.

    Returns
    -------
    Piece
        16 m wide.
    """
    return Piece(np.array([[y, low], [y, high]]), 8.0, covering)


FAR_WIDTH, FAR_HEIGHT = 18.0, 4.5  # metres that a painted distance spans
FAR_ROWS, FAR_COLUMNS = 256, 1024
HORIZON = 1.5  # metres: as high as the camera


def far_grid() -> tuple[Float[Array, "R C"], Float[Array, "R C"]]:
    """Return height and place of every pixel of a painted distance, metres.

    Returns
    -------
    tuple of float arrays of shape (FAR_ROWS, FAR_COLUMNS)
        z from 0 upwards, x from 0 to the right; the picture repeats along x.
    """
    z, x = np.mgrid[0:FAR_ROWS, 0:FAR_COLUMNS].astype(float)
    return z * FAR_HEIGHT / FAR_ROWS, x * FAR_WIDTH / FAR_COLUMNS


def far(picture: Float[Array, "R C 3"]) -> list[Piece]:
    """Return a painted distance behind everything.

    Parameters
    ----------
    picture : float array of shape (FAR_ROWS, FAR_COLUMNS, 3)
        Linear radiance, lowest row first.

    Returns
    -------
    list of Piece
        One wall, 16 m away.
    """
    flat = normals(np.zeros((8, 8)), 1.0)
    section = np.array([[16.0, 0.0], [16.0, FAR_HEIGHT]])
    return [Piece(section, FAR_WIDTH / 2, Floor(np.clip(picture, 0, 1), flat, FAR_WIDTH))]
