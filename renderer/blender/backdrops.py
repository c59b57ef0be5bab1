"""What stands behind the objects: walls, a studio sweep, or a painted distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from recombine.renderer.arrays import Array
from recombine.renderer.blender.floors import Floor, paper
from recombine.renderer.blender.noise import fractal, generator, mix, normals

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

SIZE = 512


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
    painted : bool
        The albedo is shown as it is, unlit and without casting light: a distance, not a thing.
    """

    section: Float[Array, "P 2"]
    half_width: float
    covering: Floor
    painted: bool = False


def _wall(y: float, covering: Floor, low: float = 0.0, high: float = 6.0) -> Piece:
    """Return an upright wall across the picture."""
    return Piece(np.array([[y, low], [y, high]]), 8.0, covering)


def plaster() -> list[Piece]:
    """Return a warm plaster wall above a white skirting board."""
    rough = fractal(SIZE, 51, 1.8)
    cloud = fractal(SIZE, 52, 3.0)
    albedo = mix((0.62, 0.50, 0.36), (0.72, 0.60, 0.45), 0.5 * cloud + 0.5 * rough)
    wall = Floor(albedo, normals(0.003 * rough, 2.0), 2.0)
    paint = np.full((8, 8, 3), 0.74)
    board = Floor(paint, normals(np.zeros((8, 8)), 1.0), 1.0, 0.5, 0.35)
    profile = np.array([[2.56, 0.0], [2.56, 0.17], [2.565, 0.185], [2.58, 0.2], [2.6, 0.2]])
    return [_wall(2.6, wall), Piece(profile, 8.0, board)]


def concrete() -> list[Piece]:
    """Return a wall of cast concrete panels with seams and tie holes."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    metres = 1.6
    cloud, fine = fractal(SIZE, 61, 2.6), fractal(SIZE, 62, 1.0)
    streak = fractal(SIZE, 63, 2.0, (8.0, 0.6))
    albedo = mix((0.30, 0.31, 0.32), (0.52, 0.53, 0.54), 0.45 * cloud + 0.25 * fine + 0.3 * streak)
    seam = np.clip(
        1 - np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) * metres / 0.010, 0, 1
    )
    hole = np.zeros_like(x)
    for u in (0.2, 0.8):
        for v in (0.25, 0.75):
            hole = np.maximum(hole, np.clip((0.02 - np.hypot(x - u, y - v)) / 0.005, 0, 1))
    albedo = albedo * (1 - 0.75 * np.maximum(seam, hole))[..., None]
    height = 0.002 * fine - 0.01 * seam - 0.02 * hole
    return [_wall(3.1, Floor(albedo, normals(height, metres), metres))]


def sweep() -> list[Piece]:
    """Return a seamless paper sweep that bends up from the floor."""
    t = np.linspace(0, np.pi / 2, 33)
    bend = np.stack([1.5 + 1.3 * np.sin(t), 1.3 - 1.3 * np.cos(t)], axis=1)
    return [Piece(np.concatenate([bend, [[2.8, 6.0]]]), 8.0, paper())]


TREES = (
    (71, 2.1, (0.36, 0.45, 0.38)),
    (72, 1.6, (0.19, 0.28, 0.10)),
    (73, 0.9, (0.16, 0.25, 0.05)),
)
"""Rows of trees, the farthest first: seed, height in metres, linear colour."""


def _crowns(seed: int, top: float, metres: float, columns: int) -> Float[Array, "W"]:  # noqa: F821
    """Return the outline of a row of round crowns, metres."""
    rng = generator(seed)
    at = np.arange(columns) * metres / columns
    outline = np.full(columns, 0.55 * top)
    for centre, width, tall in zip(
        rng.uniform(0, metres, 24),
        rng.uniform(0.5, 1.4, 24),
        rng.uniform(0.55, 1.15, 24),
        strict=True,
    ):
        off = np.abs((at - centre + metres / 2) % metres - metres / 2) / width
        outline = np.maximum(outline, top * tall * np.sqrt(np.clip(1 - off**2, 0, 1)))
    return outline


def treeline() -> list[Piece]:
    """Return a far row of trees under a pale summer sky, out of focus."""
    metres, height = 18.0, 4.5
    rows, columns = 256, 1024
    z, x = np.mgrid[0:rows, 0:columns].astype(float)
    z, x = z * height / rows, x * metres / columns
    picture = mix((0.86, 0.93, 1.0), (0.45, 0.66, 0.97), (z - 1.2) / 5)
    for seed, top, colour in TREES:
        crown = _crowns(seed, top, metres, columns)
        leaf = np.tile(fractal(512, seed, 1.9)[:rows], (1, 2))
        inside = np.clip((crown + (leaf - 0.5) * 0.7 - z) / 0.12, 0, 1)[..., None]
        light = 0.35 + 1.5 * leaf * np.clip(z / (crown + 0.2), 0.25, 1)
        picture = picture * (1 - inside) + inside * np.array(colour) * light[..., None]
    soft = gaussian_filter1d(
        gaussian_filter1d(picture, 3.0, 0, mode="nearest"), 3.0, 1, mode="wrap"
    )
    flat = normals(np.zeros((8, 8)), 1.0)
    section = np.array([[16.0, 0.0], [16.0, height]])
    return [Piece(section, metres / 2, Floor(soft, flat, metres), painted=True)]


BACKDROPS: dict[str, Callable[[], list[Piece]]] = {
    "plaster": plaster,
    "concrete": concrete,
    "sweep": sweep,
    "treeline": treeline,
}
