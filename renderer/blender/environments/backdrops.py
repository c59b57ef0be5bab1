"""The table of backdrops: what stands behind the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.blender.environments.floors import paper
from recombine.renderer.blender.environments.noise import fractal, generator, mix, normals
from recombine.renderer.blender.environments.surfaces import (
    HALF_WALL,
    Floor,
    Piece,
    joint,
    squares,
    upright,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# Walls that stand behind the objects.

SIZE = 512


def plaster() -> list[Piece]:
    """Return a warm plaster wall above a white skirting board."""
    rough = fractal(SIZE, 51, 1.8)
    cloud = fractal(SIZE, 52, 3.0)
    albedo = mix((0.62, 0.50, 0.36), (0.72, 0.60, 0.45), 0.5 * cloud + 0.5 * rough)
    wall = Floor(albedo, normals(0.003 * rough, 2.0), 2.0)
    paint = np.full((8, 8, 3), 0.74)
    board = Floor(paint, normals(np.zeros((8, 8)), 1.0), 1.0, 0.5, 0.35)
    profile = np.array([[2.56, 0.0], [2.56, 0.17], [2.565, 0.185], [2.58, 0.2], [2.6, 0.2]])
    return [upright(2.6, wall), Piece(profile, HALF_WALL, board)]


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
    return [upright(3.1, Floor(albedo, normals(height, metres), metres))]


def sweep() -> list[Piece]:
    """Return a seamless paper sweep that bends up from the floor."""
    t = np.linspace(0, np.pi / 2, 33)
    bend = np.stack([1.5 + 1.3 * np.sin(t), 1.3 - 1.3 * np.cos(t)], axis=1)
    return [Piece(np.concatenate([bend, [[2.8, 6.0]]]), HALF_WALL, paper())]


def tiles() -> list[Piece]:
    """Return a wall of small turquoise tiles with a white band."""
    metres, count = 1.6, 16
    y, x = squares(SIZE)
    tone = generator(301).uniform(0, 1, (count, count))
    tone = tone[(y * count).astype(int), (x * count).astype(int)]
    albedo = mix((0.02, 0.26, 0.28), (0.10, 0.50, 0.48), tone)
    band = (np.floor(y * count) % 8 == 5)[..., None]
    albedo = np.where(band, (0.76, 0.76, 0.72), albedo)
    gap = joint(y * count, x * count, 0.09)
    albedo = albedo * (1 - gap)[..., None] + 0.62 * gap[..., None]
    pillow = 0.0015 * np.clip((1 - gap), 0, 1)
    return [upright(3.0, Floor(albedo, normals(pillow, metres), metres, 0.5, 0.2))]


def brick() -> list[Piece]:
    """Return a wall of old red bricks."""
    metres, rows, columns = 1.92, 24, 8
    y, x = squares(SIZE)
    row = np.floor(y * rows).astype(int)
    along = x * columns + 0.5 * (row % 2)
    tone = generator(311).uniform(0, 1, (rows, columns))[row, np.floor(along).astype(int) % columns]
    rough, cloud = fractal(SIZE, 312, 1.2), fractal(SIZE, 313, 2.4)
    clay = mix((0.17, 0.045, 0.025), (0.46, 0.16, 0.085), 0.55 * tone + 0.3 * rough + 0.15 * cloud)
    gap = np.maximum(joint(y * rows, 0.5 + 0 * x, 0.17), joint(0.5 + 0 * y, along, 0.06))
    albedo = clay * (1 - gap)[..., None] + gap[..., None] * mix(
        (0.28, 0.26, 0.23), (0.44, 0.41, 0.37), rough
    )
    return [upright(2.9, Floor(albedo, normals(0.004 * rough - 0.010 * gap, metres), metres))]


FRAMES = (
    (0.65, 1.02, 0.50, 0.40),
    (1.85, 1.06, 0.34, 0.46),
    (3.10, 1.00, 0.54, 0.36),
    (4.25, 1.10, 0.30, 0.30),
    (5.25, 1.02, 0.42, 0.50),
    (6.50, 1.04, 0.50, 0.34),
)
"""Left, middle height, half width and half height of each painting, metres."""
PIGMENTS = (
    (0.50, 0.42, 0.30),
    (0.10, 0.16, 0.20),
    (0.36, 0.14, 0.07),
    (0.14, 0.17, 0.08),
    (0.56, 0.40, 0.14),
    (0.20, 0.26, 0.33),
)


def paintings() -> list[Piece]:
    """Return a wall of faded red silk with abstract paintings in gilt frames, all different."""
    tall, wide = 3.6, 7.2  # more than a camera sees: no painting is in view twice
    y, x = np.mgrid[0:SIZE, 0 : 2 * SIZE] * tall / SIZE
    silk = np.tile(fractal(SIZE, 321, 1.0, (6.0, 1.0)), (1, 2))
    cloud = np.tile(fractal(SIZE, 322, 2.8), (1, 2))
    albedo = mix((0.17, 0.036, 0.036), (0.30, 0.075, 0.068), 0.6 * silk + 0.4 * cloud)
    height = 0.0004 * silk
    for k, (left, middle, half, high) in enumerate(FRAMES):
        off = np.maximum(np.abs(x - left) - half, np.abs(y - middle) - high)
        field = np.tile(fractal(SIZE, 330 + k, 2.6, (1.0 + k % 3, 1.0)), (1, 2))
        first, second, third = (PIGMENTS[(k + step) % len(PIGMENTS)] for step in (0, 1, 3))
        art = mix(first, second, (field - 0.45) * 8) * (0.75 + 0.5 * silk)[..., None]
        art = np.where((np.abs(field - 0.38) < 0.05)[..., None], third, art)
        albedo = np.where((off < 0)[..., None], (0.34, 0.22, 0.075), albedo)
        albedo = np.where((off < -0.06)[..., None], art, albedo)
        height = np.where((off < 0) & (off > -0.06), 0.03, height)
    dado = (y < 0.16)[..., None]
    albedo = np.where(dado, (0.05, 0.022, 0.012), albedo)
    return [upright(3.0, Floor(albedo, normals(height, tall), wide), high=tall)]


LEATHER = (
    (0.16, 0.060, 0.030),
    (0.055, 0.070, 0.045),
    (0.040, 0.055, 0.085),
    (0.13, 0.030, 0.030),
    (0.24, 0.17, 0.10),
    (0.10, 0.075, 0.055),
    (0.30, 0.26, 0.20),
)


def books() -> list[Piece]:
    """Return shelves full of books."""
    metres, shelves = 2.4, 6
    rng = generator(341)
    y, x = squares(SIZE)
    y = y[:, 0]
    albedo, height = np.full((SIZE, SIZE, 3), (0.012, 0.008, 0.006)), np.zeros((SIZE, SIZE))
    level, inside = np.floor(y * shelves).astype(int), (y * shelves) % 1
    for shelf in range(shelves):
        at = np.concatenate([[0], np.cumsum(rng.uniform(8, 22, 60))]).astype(int)
        for left, right in zip(at[:-1], np.minimum(at[1:], SIZE), strict=True):
            tall, tone = rng.uniform((0.62, 0.5), (0.86, 1.3))
            colour = tone * np.array(LEATHER[rng.integers(len(LEATHER))])
            place = slice(left, max(left, right))
            book = (level == shelf) & (inside < tall)
            gilt = book & (np.abs(inside - 0.75 * tall) < 0.02)
            albedo[book, place], height[book, place] = colour, rng.uniform(0.006, 0.012)
            albedo[gilt, place] = (0.5, 0.36, 0.12)
    inside = inside[:, None]
    board = (inside > 0.91) | (np.abs(x % 0.5 - 0.25) > 0.238)
    oak = mix((0.14, 0.065, 0.028), (0.24, 0.12, 0.055), fractal(SIZE, 342, 1.4, (1.0, 9.0)))
    albedo, height = np.where(board[..., None], oak, albedo), np.where(board, 0.03, height)
    return [upright(2.8, Floor(albedo, normals(height, metres), metres))]


def shoji() -> list[Piece]:
    """Return sliding doors of white paper on a dark wooden lattice."""
    metres = 1.8
    y, x = squares(SIZE)
    paper_ = mix((0.74, 0.71, 0.62), (0.82, 0.80, 0.72), fractal(SIZE, 351, 1.2))
    bar = (np.abs(x * 6 % 1 - 0.5) > 0.465) | (np.abs(y * 5 % 1 - 0.5) > 0.470)
    post = (np.abs(x * 2 % 1 - 0.5) > 0.465) | (np.abs(y % 1 - 0.5) > 0.475)
    wood = mix((0.030, 0.016, 0.010), (0.075, 0.042, 0.026), fractal(SIZE, 352, 1.2, (9.0, 1.0)))
    albedo = np.where((bar | post)[..., None], wood, paper_)
    return [upright(2.7, Floor(albedo, normals(0.008 * bar + 0.012 * post, metres), metres))]


BACKDROPS: dict[str, Callable[[], list[Piece]]] = {
    "plaster": plaster,
    "concrete": concrete,
    "sweep": sweep,
    "tiles": tiles,
    "brick": brick,
    "paintings": paintings,
    "books": books,
    "shoji": shoji,
}
