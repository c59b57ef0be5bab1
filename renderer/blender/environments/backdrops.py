"""The table of backdrops: what stands behind the objects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from recombine.renderer.blender.environments.floors import paper
from recombine.renderer.blender.environments.noise import fractal, generator, mix, normals
from recombine.renderer.blender.environments.surfaces import (
    FAR_COLUMNS,
    FAR_ROWS,
    FAR_WIDTH,
    HORIZON,
    Floor,
    Piece,
    far,
    far_grid,
    joint,
    squares,
    upright,
)
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from collections.abc import Callable


# Painted distances: landscapes out of focus, shown as they are.


def _soft(picture: Array, pixels: float) -> Array:
    """Blur a painted distance, round along x."""
    rows = gaussian_filter1d(picture, pixels, 0, mode="nearest")
    return np.asarray(gaussian_filter1d(rows, pixels, 1, mode="wrap"))


def _over(picture: Array, inside: Array, colour: Array | tuple[float, float, float]) -> Array:
    """Put a colour over a picture where a field in [0, 1] says so."""
    share = np.clip(inside, 0, 1)[..., None]
    return np.asarray(picture * (1 - share) + np.asarray(colour) * share)


def _ridge(seed: int, low: float, high: float, slope: float = 2.6) -> Array:
    """Return the outline of hills along x, metres."""
    line = fractal(FAR_COLUMNS, seed, slope)[0]
    return np.asarray(low + (high - low) * (line - line.min()) / np.ptp(line))


TREES = (
    (71, 2.1, (0.36, 0.45, 0.38)),
    (72, 1.6, (0.19, 0.28, 0.10)),
    (73, 0.9, (0.16, 0.25, 0.05)),
)
"""Rows of trees, the farthest first: seed, height in metres, linear colour."""


def _crowns(seed: int, top: float, metres: float, columns: int) -> Array:
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
    z, _ = far_grid()
    picture = mix((0.86, 0.93, 1.0), (0.45, 0.66, 0.97), (z - 1.2) / 5)
    for seed, top, colour in TREES:
        crown = _crowns(seed, top, FAR_WIDTH, FAR_COLUMNS)
        leaf = np.tile(fractal(512, seed, 1.9)[:FAR_ROWS], (1, 2))
        inside = np.clip((crown + (leaf - 0.5) * 0.7 - z) / 0.12, 0, 1)[..., None]
        light = 0.35 + 1.5 * leaf * np.clip(z / (crown + 0.2), 0.25, 1)
        picture = picture * (1 - inside) + inside * np.array(colour) * light[..., None]
    return far(_soft(picture, 3.0))


def _columns(at: float, half: float) -> tuple[Array, Array]:
    """Return the columns within `half` metres of a place, and how far off they are."""
    step = FAR_WIDTH / FAR_COLUMNS
    index = np.arange(math.ceil((at - half) / step), math.floor((at + half) / step) + 1)
    return index % FAR_COLUMNS, index * step - at


def spruces() -> list[Piece]:
    """Return snowy hills and dark spruces under a pale winter sky."""
    z, _ = far_grid()
    picture = mix((0.80, 0.88, 0.98), (0.40, 0.60, 0.90), (z - HORIZON) / 3)
    for seed, top, colour in ((401, 2.9, (0.62, 0.72, 0.86)), (402, 2.1, (0.78, 0.84, 0.92))):
        picture = _over(picture, (_ridge(seed, 1.3, top) - z) / 0.03, colour)
    rng, z = generator(403), z[:, :1]
    for _ in range(46):
        at, tall, wide = rng.uniform((0, 1.0, 0.22), (FAR_WIDTH, 2.5, 0.34))
        place, off = _columns(at, 1.1 * wide * tall)
        layer = (z - 0.9) / tall * 6 % 1
        edge = wide * tall * np.clip(1 - (z - 0.9) / tall, 0, 1) * (1.1 - 0.45 * layer)
        snow = mix((0.020, 0.050, 0.045), (0.80, 0.86, 0.94), np.clip(0.9 - 1.6 * layer, 0, 0.8))
        inside = (z > 0.9) * (edge - np.abs(off)) / 0.02
        picture[:, place] = _over(picture[:, place], inside, snow)
    picture = _over(picture, (1.0 - z) / 0.2, (0.80, 0.85, 0.92))
    return far(_soft(picture, 1.6))


def dunes() -> list[Piece]:
    """Return rows of dunes under a deep blue sky."""
    z, _ = far_grid()
    picture = mix((0.62, 0.74, 0.88), (0.10, 0.27, 0.66), (z - HORIZON) / 2.2)
    for seed, low, top, colour in (
        (411, 1.5, 2.7, (0.58, 0.40, 0.28)),
        (412, 1.1, 2.1, (0.66, 0.38, 0.17)),
        (413, 0.6, 1.4, (0.56, 0.29, 0.11)),
    ):
        crest = _ridge(seed, low, top, 3.2)
        slope = gaussian_filter1d(np.roll(crest, 12) - np.roll(crest, -12), 8.0, mode="wrap")
        light = 1 + 0.4 * np.tanh(6 * slope) * np.exp(-2 * np.clip(crest - z, 0, None))
        picture = _over(picture, (crest - z) / 0.03, np.array(colour) * light[..., None])
    return far(_soft(picture, 2.0))


def sea() -> list[Piece]:
    """Return a turquoise sea with surf, and summer clouds."""
    z, _ = far_grid()
    cloud = np.tile(fractal(512, 421, 2.8, (1.0, 0.4))[:FAR_ROWS], (1, 2))
    picture = mix((0.80, 0.90, 0.98), (0.26, 0.54, 0.94), (z - HORIZON) / 2.6)
    picture = _over(
        picture, (cloud - 0.55) * 4 * np.clip((z - 1.7) / 0.5, 0, 1), (0.94, 0.95, 0.97)
    )
    depth = np.clip(z / HORIZON, 0, 1)
    wave = np.tile(fractal(512, 422, 1.6, (1.0, 14.0))[:FAR_ROWS], (1, 2))
    water = mix((0.16, 0.62, 0.62), (0.02, 0.17, 0.40), depth + 0.25 * (wave - 0.5))
    picture = _over(picture, (HORIZON - z) / 0.03, water)
    surf = np.clip(1 - np.abs(z - 0.32 - 0.2 * (wave - 0.5)) / 0.07, 0, 1)
    picture = _over(picture, surf + np.clip((0.14 - z) / 0.08, 0, 1), (0.86, 0.90, 0.90))
    return far(_soft(picture, 1.5))


def trunks() -> list[Piece]:
    """Return dark trunks before green, sunlit leaves, out of focus."""
    z, _ = far_grid()
    leaf = np.tile(fractal(512, 431, 1.5)[:FAR_ROWS], (1, 2))
    patch = np.tile(fractal(512, 432, 2.6)[:FAR_ROWS], (1, 2))
    glow = np.clip(1.6 * (leaf - 0.45) + 1.8 * (patch - 0.42), 0, 1)
    picture = mix((0.012, 0.030, 0.010), (0.34, 0.52, 0.12), glow)
    picture = _over(picture, (0.7 - z + 0.8 * (leaf - 0.5)) / 0.4, (0.050, 0.055, 0.016))
    rng, z = generator(433), z[:, :1]
    for k in range(34):
        at, half, lean = rng.uniform((0, 0.07, -0.06), (FAR_WIDTH, 0.28, 0.06))
        place, off = _columns(at, 1.3 * half + 0.3)
        off = np.abs(off + lean * z)
        tone = 0.5 + 1.1 * (k / 34) * np.clip(off / half, 0, 1)
        bark = np.array([0.060, 0.042, 0.026]) * tone[..., None]
        inside = (half * (1.15 - 0.06 * z) - off) / 0.04
        picture[:, place] = _over(picture[:, place], inside, bark)
    return far(_soft(picture, 2.2))


def city() -> list[Piece]:
    """Return houses at night with lit windows, and street lights out of focus."""
    z, _ = far_grid()
    picture = mix((0.075, 0.070, 0.120), (0.010, 0.014, 0.040), (z - 0.5) / 3)
    rng, z = generator(441), z[:, :1]
    for at in np.arange(0, FAR_WIDTH, 1.2):
        wide, tall = rng.uniform((0.5, 1.8), (0.8, 4.0))
        place, off = _columns(at, wide)
        column, row = np.floor(off / 0.32).astype(int), np.floor(z / 0.45).astype(int)
        lit = rng.uniform(size=(16, 16))[row % 16, column % 16] < 0.28
        pane = (np.abs(off / 0.32 % 1 - 0.5) < 0.27) & (np.abs(z / 0.45 % 1 - 0.5) < 0.3)
        glow = lit & pane & (z < tall - 0.2) & (z > 0.4)
        tone = np.array([0.85, 0.55, 0.20]) * rng.uniform(0.5, 1.0)
        house = np.where(glow[..., None], tone, rng.uniform(0.008, 0.024, 3))
        picture[:, place] = _over(picture[:, place], (tall - z) / 0.02 + 0 * off, house)
    picture = _soft(picture, 3.0)
    for _ in range(20):
        at, up, radius = rng.uniform((0, 0.3, 0.12), (FAR_WIDTH, 1.6, 0.26))
        place, off = _columns(at, radius)
        colour = ((0.9, 0.6, 0.22), (0.8, 0.12, 0.06), (0.70, 0.78, 0.9))[rng.integers(3)]
        disc = 0.7 * np.clip((radius - np.hypot(off, z - up)) / 0.03, 0, 1)
        picture[:, place] = _over(picture[:, place], disc, colour)
    return far(_soft(picture, 1.2))


def evening() -> list[Piece]:
    """Return an orange evening sky with the sun behind dark hills."""
    z, x = far_grid()
    picture = mix((0.98, 0.50, 0.14), (0.70, 0.22, 0.24), (z - HORIZON) / 1.4)
    picture = _over(picture, (z - 2.3) / 2.6, (0.20, 0.13, 0.34))
    off = np.hypot(x - 0.62 * FAR_WIDTH, (z - 1.95) * 1.0)
    picture = _over(picture, 0.8 * np.exp(-((off / 1.1) ** 2)), (1.0, 0.78, 0.34))
    cloud = np.tile(fractal(512, 451, 2.4, (1.0, 5.0))[:FAR_ROWS], (1, 2))
    picture = _over(
        picture, (cloud - 0.56) * 5 * np.clip((z - 1.9) / 0.6, 0, 1), (0.46, 0.16, 0.20)
    )
    for seed, top, colour in ((452, 2.1, (0.20, 0.075, 0.095)), (453, 1.5, (0.070, 0.030, 0.034))):
        picture = _over(picture, (_ridge(seed, 1.0, top) - z) / 0.03, colour)
    field = mix((0.30, 0.17, 0.055), (0.16, 0.075, 0.03), z / 1.0)
    picture = _over(picture, (0.8 - z) / 0.06, field)
    return far(_soft(picture, 2.0))


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
    return [upright(2.6, wall), Piece(profile, 8.0, board)]


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
    return [Piece(np.concatenate([bend, [[2.8, 6.0]]]), 8.0, paper())]


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


FRAMES = ((0.55, 1.02, 0.52, 0.40), (1.85, 1.06, 0.34, 0.46), (2.95, 1.0, 0.48, 0.36))


def paintings() -> list[Piece]:
    """Return a burgundy wall with abstract paintings in gilt frames."""
    metres = 3.6
    y, x = squares(SIZE)
    y, x = y * metres, x * metres
    silk = fractal(SIZE, 321, 1.0, (6.0, 1.0))
    albedo = mix((0.24, 0.024, 0.034), (0.38, 0.050, 0.062), silk)
    height = 0.0004 * silk
    for k, (left, middle, half, tall) in enumerate(FRAMES):
        off = np.maximum(np.abs(x - left) - half, np.abs(y - middle) - tall)
        hue = generator(322 + k).uniform(0.05, 0.75, (2, 3))
        field = fractal(SIZE, 330 + k, 3.0, (1.0 + k, 1.0))
        art = np.where((field > 0.56)[..., None], hue[0], hue[1]) * (0.6 + 0.5 * silk)[..., None]
        art = np.where((np.abs(field - 0.42) < 0.04)[..., None], 0.78, art)
        albedo = np.where((off < 0)[..., None], (0.50, 0.30, 0.075), albedo)
        albedo = np.where((off < -0.06)[..., None], art, albedo)
        height = np.where((off < 0) & (off > -0.06), 0.03, height)
    dado = (y < 0.16)[..., None]
    albedo = np.where(dado, (0.05, 0.022, 0.012), albedo)
    return [upright(3.0, Floor(albedo, normals(height, metres), metres), high=3.6)]


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
            tall, hue = rng.uniform((0.62, 0), (0.86, 3))
            colour = np.clip(np.abs((hue + np.array([0, 2, 1])) % 3 - 1.5) - 0.55, 0.06, 1)
            colour = (0.30 + 0.34 * colour) ** 2 * rng.uniform(0.3, 1.2)
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


def arcade() -> list[Piece]:
    """Return a sandstone facade with round arches."""
    metres = 3.2
    y, x = squares(SIZE)
    y, x = y * metres, x * metres
    rough, cloud = fractal(SIZE, 361, 1.2), fractal(SIZE, 362, 2.6)
    stone = mix((0.46, 0.33, 0.19), (0.66, 0.52, 0.34), 0.5 * rough + 0.5 * cloud)
    row = np.floor(y / 0.2)
    gap = joint(y / 0.2, x / 0.4 + 0.5 * (row % 2), 0.05)
    off = x % 1.6 - 0.8
    arch = np.maximum(np.abs(off) - 0.5, np.where(y > 1.3, np.hypot(off, y - 1.3) - 0.5, -1))
    arch = np.where(y > 1.3, np.hypot(off, y - 1.3) - 0.5, np.abs(off) - 0.5)
    rim = (np.abs(arch - 0.06) < 0.06)[..., None]
    albedo = stone * (1 - 0.35 * gap)[..., None]
    albedo = np.where(rim, stone * 1.15, albedo)
    albedo = np.where((arch < 0)[..., None], mix((0.020, 0.016, 0.014), (0.07, 0.05, 0.04), y / 3),
                      albedo)  # fmt: skip
    height = 0.003 * rough - 0.008 * gap + 0.02 * rim[..., 0] - 0.05 * (arch < 0)
    return [upright(4.2, Floor(np.clip(albedo, 0, 1), normals(height, metres), metres))]


BACKDROPS: dict[str, Callable[[], list[Piece]]] = {
    "plaster": plaster,
    "concrete": concrete,
    "sweep": sweep,
    "treeline": treeline,
    "spruces": spruces,
    "dunes": dunes,
    "city": city,
    "tiles": tiles,
    "sea": sea,
    "trunks": trunks,
    "brick": brick,
    "paintings": paintings,
    "evening": evening,
    "arcade": arcade,
    "books": books,
    "shoji": shoji,
}
PAINTED = frozenset({"treeline", "spruces", "dunes", "city", "sea", "trunks", "evening"})
"""Distances: shown as they are, unlit, without casting light; rays pass through them."""
