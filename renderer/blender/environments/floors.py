"""The table of floors: one seamless tile each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recombine.renderer.blender.environments.noise import fractal, generator, mix, normals
from recombine.renderer.blender.environments.surfaces import Floor, joint, squares
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from collections.abc import Callable


# Floors of rooms, drawn once from fixed seeds.

Colour: TypeAlias = tuple[float, float, float]

SIZE = 1024
HALF = 512


def worn(albedo: Array, seed: int) -> Array:
    """Return a floor that was walked on: paler paths, darker corners, fine scratches."""
    size = len(albedo)
    trodden, fine = fractal(size, seed, 3.0), fractal(size, seed + 1, 1.0, (1.0, 5.0))
    scratch = np.clip(1 - np.abs(fine - 0.5) / 0.012, 0, 1) * np.clip(3 * trodden - 1.4, 0, 1)
    albedo = albedo * (0.78 + 0.44 * trodden)[..., None]
    pale = 0.16 * scratch[..., None]
    return np.asarray(np.clip(albedo * (1 - pale) + 0.5 * pale, 0, 0.86))


def planks(seed: int, rows: int, dark: Colour, light: Colour) -> Floor:
    """Return oak planks with grain, tone from plank to plank and dark joints."""
    rng, metres = generator(seed), 2.4
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    row = np.floor(y * rows).astype(int)
    shift = rng.uniform(size=rows)[row]
    along = ((x + shift) * 2) % 2  # two planks per row and tile
    plank = row * 2 + along.astype(int)
    count = rows * 2
    tone, twist = rng.uniform(0.0, 1.0, count)[plank], rng.uniform(-1, 1, count)[plank]
    grain = fractal(SIZE, seed + 1, 1.6, (1.0, 14.0))
    rings = np.sin((grain * 16 + y * rows * 3 * twist + 6 * tone) * 2.2)
    pores = fractal(SIZE, seed + 2, 0.6, (1.0, 24.0))
    wood = mix(dark, light, 0.2 + 0.6 * tone + 0.16 * rings)
    wood *= (1.0 - 0.45 * np.clip(pores - 0.55, 0, 1) * 2)[..., None]
    across = np.abs(y * rows - row - 0.5) * 2
    ends = np.abs((along % 1) - 0.5) * 2
    joint = np.maximum(
        np.clip((across - 0.955) / 0.03, 0, 1), np.clip((ends - 0.9955) / 0.003, 0, 1)
    )
    albedo = wood * (1 - 0.8 * joint)[..., None]
    albedo = worn(albedo, seed + 40)
    height = -0.0022 * joint + 0.00012 * rings - 0.0003 * np.clip(pores - 0.6, 0, 1)
    return Floor(albedo, normals(height, metres), metres, 0.5, 0.34)


def paper() -> Floor:
    """Return seamless studio paper, almost without texture."""
    fibre = fractal(SIZE, 41, 1.0)
    albedo = mix((0.755, 0.76, 0.765), (0.785, 0.79, 0.795), fibre)
    return Floor(albedo, normals(0.0004 * fibre, 2.4), 2.4)


def chessboard() -> Floor:
    """Return polished black and white tiles."""
    metres, tiles = 1.6, 4
    y, x = squares(HALF)
    dark = (np.floor(y * tiles) + np.floor(x * tiles)) % 2
    cloud = fractal(HALF, 201, 2.2)
    vein = np.clip(1 - np.abs(fractal(HALF, 202, 2.6) - 0.5) / 0.03, 0, 1)
    white = mix((0.72, 0.72, 0.70), (0.82, 0.82, 0.80), cloud) * (1 - 0.25 * vein)[..., None]
    black = mix((0.016, 0.017, 0.018), (0.045, 0.046, 0.05), cloud + 0.6 * vein)
    gap = joint(y * tiles, x * tiles, 0.015)[..., None]
    albedo = np.where(dark[..., None] > 0, black, white) * (1 - gap) + 0.30 * gap
    albedo = worn(albedo, 203)
    return Floor(albedo, normals(-0.002 * gap[..., 0], metres), metres, 0.5, 0.22)


def boards() -> Floor:
    """Return grey, worn workshop boards with nails and stains."""
    metres, rows = 2.0, 8
    y, x = squares(HALF)
    row = np.floor(y * rows).astype(int)
    tone = generator(211).uniform(0, 1, rows)[row]
    grain = fractal(HALF, 212, 1.4, (1.0, 16.0))
    stain = np.clip((fractal(HALF, 213, 2.6) - 0.62) * 4, 0, 1)
    wood = mix((0.22, 0.18, 0.14), (0.46, 0.40, 0.33), 0.35 * tone + 0.65 * grain)
    wood *= (1 - 0.55 * stain)[..., None]
    gap = np.clip((np.abs(y * rows - row - 0.5) * 2 - 0.955) / 0.02, 0, 1)
    nail = np.zeros_like(x)
    for side in (0.2, 0.8):
        off = np.hypot((y * rows - row - side) / rows, (x * 2) % 1 / 2 - 0.25)
        nail = np.maximum(nail, off < 0.005)
    albedo = wood * (1 - 0.85 * np.maximum(gap, nail))[..., None]
    height = 0.0012 * grain - 0.006 * gap
    return Floor(albedo, normals(height, metres), metres, 0.2, 0.6)


def walnut() -> Floor:
    """Return a dark, waxed herringbone floor."""
    metres, tiles = 1.6, 8
    y, x = squares(HALF)
    u, v = x * tiles, y * tiles
    step = (np.floor(u) + np.floor(v)) % 4
    lying = step < 2
    across = np.where(lying, v % 1, u % 1)
    edge = np.where(lying, (u - np.floor(v)) % 4 / 2 % 1, (v - np.floor(u) + 2) % 4 / 2 % 1)
    first, second = fractal(HALF, 221, 1.5, (1, 12)), fractal(HALF, 222, 1.5, (12, 1))
    grain = np.where(lying, first, second)
    tone = np.where(lying, 0.3, 0.55) + 0.5 * (grain - 0.5)
    wood = mix((0.06, 0.030, 0.016), (0.25, 0.125, 0.065), tone)
    gap = np.maximum(np.abs(across - 0.5) * 2 > 0.95, np.abs(edge - 0.5) * 2 > 0.975)
    albedo = wood * (1 - 0.7 * gap)[..., None]
    albedo = worn(albedo, 223)
    return Floor(albedo, normals(-0.001 * gap + 0.0002 * grain, metres), metres, 0.5, 0.32)


def rug() -> Floor:
    """Return a plain wool rug with a faint lattice, trodden in places."""
    metres = 2.4
    y, x = squares(HALF)
    wool, trodden = fractal(HALF, 231, 0.5), fractal(HALF, 232, 2.8)
    weave = 0.5 + 0.5 * np.sin(2 * np.pi * 96 * y) * np.sin(2 * np.pi * 96 * x)
    lattice = joint(3 * (x + y), 3 * (x - y), 0.09)
    albedo = mix((0.060, 0.085, 0.090), (0.15, 0.18, 0.175), 0.6 * wool + 0.4 * trodden)
    albedo = albedo * (1 - 0.35 * lattice[..., None]) + 0.35 * lattice[..., None] * np.array(
        [0.36, 0.30, 0.20]
    )
    albedo *= (0.8 + 0.2 * weave + 0.25 * (trodden - 0.5))[..., None]
    return Floor(albedo, normals(0.003 * wool + 0.001 * weave, metres), metres)


def tatami() -> Floor:
    """Return straw mats with dark green borders."""
    metres = 1.8
    y, x = squares(HALF)
    straw = fractal(HALF, 241, 1.0, (1.0, 20.0))
    rush = 0.5 + 0.5 * np.sin(2 * np.pi * 90 * y)
    albedo = mix((0.40, 0.40, 0.17), (0.64, 0.60, 0.32), 0.55 * straw + 0.35 * rush)
    band = np.abs(y * 2 % 1 - 0.5) > 0.455
    cross = np.abs((x + 0.5 * np.floor(y * 2)) % 1 - 0.5) > 0.494
    albedo[band] = (0.030, 0.060, 0.030)
    albedo[cross & ~band] = (0.14, 0.12, 0.05)
    return Floor(albedo, normals(0.0012 * rush + 0.0005 * straw, metres), metres, 0.25, 0.5)


# Ground under the open sky, drawn once from fixed seeds.


def grass(seed: int, green: Colour, straw: Colour, dry: float) -> Floor:
    """Return grass: layers of short blades, lighter towards the tip, a share of them dry."""
    rng, metres = generator(seed), 2.4
    blades, steps = 52_000, 14
    root = rng.uniform(0, SIZE, (blades, 1, 2))
    angle = rng.uniform(0, 2 * np.pi, (blades, 1)) + np.linspace(0, 0.5, steps)
    reach = rng.uniform(14, 30, (blades, 1)) * np.linspace(0, 1, steps)
    path = root + reach[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    height = np.linspace(0, 1, steps) ** 0.8 * rng.uniform(0.45, 1.0, (blades, 1))
    fresh = np.array(green) * rng.uniform(0.55, 1.25, (blades, 1))
    brown = np.array(straw) * rng.uniform(0.6, 1.1, (blades, 1))
    colour = np.where(rng.uniform(size=(blades, 1)) < dry, brown, fresh)
    field, albedo = np.zeros((SIZE, SIZE)), np.full((SIZE, SIZE, 3), (0.045, 0.05, 0.018))
    order = np.argsort(height.ravel(), kind="stable")  # the highest blade is drawn last
    for dx in (0, 1):
        cell = np.floor(path + np.array([0, dx])).astype(int).reshape(-1, 2)[order] % SIZE
        shade = (0.38 + 0.95 * height[..., None]) * colour[:, None]
        albedo[cell[:, 0], cell[:, 1]] = shade.reshape(-1, 3)[order]
        field[cell[:, 0], cell[:, 1]] = height.ravel()[order]
    patches = 0.6 + 0.8 * fractal(SIZE, seed + 1, 3.0)[..., None]
    return Floor(albedo * patches, normals(field * 0.006, metres), metres)


def slabs(seed: int, dark: Colour, light: Colour, stain: Colour, metres: float) -> Floor:
    """Return stone slabs of uneven tone with stains and sandy joints."""
    rng, rows = generator(seed), 4
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    wobble = (fractal(SIZE, seed + 1, 2.6) - 0.5) * 0.012
    row = np.floor((y + wobble) * rows) % rows
    shift = np.array([0.0, 0.37, 0.12, 0.61])[row.astype(int)]
    across, along = ((y + wobble) * rows) % 1, ((x + wobble + shift) * 3) % 1
    slab = (row * 3 + np.floor(((x + wobble + shift) * 3) % 3)).astype(int)
    tone = rng.uniform(0.0, 1.0, 12)[slab]
    cloud, fine = fractal(SIZE, seed + 2, 2.4), fractal(SIZE, seed + 3, 1.2)
    stone = mix(dark, light, 0.35 * tone + 0.55 * cloud + 0.3 * (fine - 0.5))
    rust = np.clip((fractal(SIZE, seed + 4, 2.8) - 0.72) * 4, 0, 1)[..., None] * 0.35
    stone = stone * (1 - rust) + rust * np.array(stain)
    edge = (
        np.minimum(np.minimum(across, 1 - across) / rows, np.minimum(along, 1 - along) / 3) * metres
    )
    joint = np.clip(1 - (edge - 0.006) / 0.006, 0, 1)
    albedo = stone * (1 - joint[..., None]) + joint[..., None] * np.array([0.10, 0.10, 0.095])
    ledge = np.clip(edge / 0.03, 0, 1) ** 0.5
    height = 0.006 * ledge + 0.006 * np.round(cloud * 7) / 7 + 0.002 * fine
    return Floor(albedo, normals(height, metres), metres, 0.5, 0.5)


def asphalt() -> Floor:
    """Return a car park's asphalt: grained, patched, with a worn yellow line."""
    metres = 4.8
    y, _ = squares(SIZE)
    grain, patch = fractal(SIZE, 131, 0.7), fractal(SIZE, 132, 2.4)
    albedo = mix((0.06, 0.058, 0.055), (0.21, 0.20, 0.185), 0.55 * grain + 0.45 * patch)
    crack = np.clip(1 - np.abs(fractal(SIZE, 133, 2.8) - 0.5) / 0.006, 0, 1)
    crack *= fractal(SIZE, 134, 3.0) > 0.5
    albedo *= (1 - 0.6 * crack)[..., None]
    worn = np.clip((fractal(SIZE, 135, 1.4) - 0.32) * 6, 0, 1)
    line = np.clip((0.055 - np.abs(y - 0.5) * metres) / 0.006, 0, 1) * worn
    albedo = albedo * (1 - line[..., None]) + line[..., None] * np.array([0.55, 0.38, 0.06])
    height = 0.0035 * grain - 0.006 * crack
    return Floor(albedo, normals(height, metres), metres, 0.3, 0.6)


STONES = ((0.24, 0.21, 0.17), (0.15, 0.14, 0.13), (0.33, 0.30, 0.25), (0.21, 0.16, 0.11))


def gravel() -> Floor:
    """Return a garden path of trodden gravel, some of it moss and leaves."""
    rng, metres, count = generator(141), 2.4, 9000
    albedo = mix((0.035, 0.030, 0.022), (0.075, 0.062, 0.042), fractal(SIZE, 142, 1.4))
    field = np.zeros((SIZE, SIZE))
    v, u = (c.ravel() for c in np.mgrid[-12:13, -12:13].astype(float))
    for k in range(count):
        row, column, turn, length, flat = rng.uniform((0, 0, 0, 4, 0.6), (SIZE, SIZE, 7, 11, 1))
        a = (np.cos(turn) * u + np.sin(turn) * v) / length
        b = (np.cos(turn) * v - np.sin(turn) * u) / length / flat
        away = a * a + b * b
        inside = away < 1
        at = (row + v[inside]).astype(int) % SIZE, (column + u[inside]).astype(int) % SIZE
        dome = np.sqrt(1 - away[inside])
        tone = rng.uniform(0.6, 1.4) * (0.55 + 0.5 * dome)
        albedo[at] = tone[:, None] * np.array(STONES[rng.integers(len(STONES))])
        field[at] = 0.010 * dome + 0.004 * k / count
    moss = np.clip((fractal(SIZE, 143, 2.6) - 0.56) * 5, 0, 0.8)[..., None]
    green = np.array([0.07, 0.085, 0.02]) * (0.5 + fractal(SIZE, 144, 0.8))[..., None]
    return Floor(albedo * (1 - moss) + moss * green, normals(field, metres), metres)


def clinker() -> Floor:
    """Return red-brown paving bricks in a herringbone, dusty and worn."""
    metres, tiles = 1.6, 16  # a brick is two cells long
    y, x = squares(SIZE)
    row, column = np.floor(y * tiles), np.floor(x * tiles)
    step = (column - row) % 4
    lying = step < 2
    # Cells 0 and 1 of a diagonal lie along x, cells 2 and 3 stand along y.
    first_x = np.where(lying, column - (step == 1), column)
    first_y = np.where(lying, row, row - (step == 2))
    brick = ((first_x % tiles * 7 + first_y % tiles * 13 + 3 * lying) % 97).astype(int)
    u = np.where(lying, (x * tiles - first_x) / 2, x * tiles - first_x)
    v = np.where(lying, y * tiles - first_y, (y * tiles - first_y) / 2)
    edge = np.minimum(
        np.minimum(u, 1 - u) * np.where(lying, 2, 1), np.minimum(v, 1 - v) * np.where(lying, 1, 2)
    )
    gap = np.clip(1.4 - edge / 0.045, 0, 1)
    tone = generator(151).uniform(0, 1, 97)[brick]
    rough, cloud = fractal(SIZE, 152, 1.1), fractal(SIZE, 153, 2.6)
    clay = mix((0.085, 0.048, 0.036), (0.27, 0.155, 0.11), 0.4 * tone + 0.3 * rough + 0.3 * cloud)
    dust = np.clip((cloud - 0.5) * 2, 0, 0.5)[..., None]
    clay = clay * (1 - dust) + dust * np.array([0.26, 0.20, 0.15])
    albedo = clay * (1 - gap)[..., None] + gap[..., None] * np.array([0.075, 0.062, 0.050])
    return Floor(albedo, normals(0.002 * rough - 0.006 * gap, metres), metres, 0.25, 0.6)


def painted() -> Floor:
    """Return a film set's grey painted floor with scuffs and tape marks."""
    metres = 3.6
    y, x = squares(SIZE)
    cloud, fine = fractal(SIZE, 161, 2.6), fractal(SIZE, 162, 1.0)
    albedo = mix((0.30, 0.305, 0.31), (0.46, 0.465, 0.47), 0.7 * cloud + 0.3 * fine)
    scuff = np.clip(1 - np.abs(fractal(SIZE, 163, 2.2, (1.0, 3.0)) - 0.5) / 0.008, 0, 1)
    scuff *= np.clip((fractal(SIZE, 164, 2.6) - 0.5) * 6, 0, 1)
    albedo *= (1 - 0.55 * scuff)[..., None]
    for middle, colour in (((0.3, 0.35), (0.70, 0.20, 0.03)), ((0.75, 0.7), (0.02, 0.16, 0.42))):
        off = np.abs(y - middle[0]) * metres, np.abs(x - middle[1]) * metres
        cross = (np.minimum(*off) < 0.025) & (np.maximum(*off) < 0.13)
        albedo[cross] = colour
    return Floor(albedo, normals(0.0006 * fine, metres), metres, 0.4, 0.4)


FLOORS: dict[str, Callable[[], Floor]] = {
    "lawn": partial(grass, 11, (0.21, 0.22, 0.055), (0.42, 0.31, 0.10), 0.2),
    "turf": partial(grass, 13, (0.16, 0.165, 0.07), (0.33, 0.26, 0.13), 0.35),
    "parquet": partial(planks, 21, 16, (0.24, 0.115, 0.045), (0.46, 0.265, 0.12)),
    "oak": partial(planks, 24, 12, (0.24, 0.185, 0.13), (0.44, 0.36, 0.27)),
    "slate": partial(slabs, 31, (0.085, 0.11, 0.145), (0.21, 0.25, 0.30), (0.22, 0.17, 0.12), 2.4),
    "flagstones": partial(
        slabs, 171, (0.12, 0.115, 0.12), (0.34, 0.32, 0.32), (0.30, 0.26, 0.21), 3.6
    ),
    "paper": paper,
    "asphalt": asphalt,
    "chessboard": chessboard,
    "boards": boards,
    "walnut": walnut,
    "gravel": gravel,
    "clinker": clinker,
    "painted": painted,
    "rug": rug,
    "tatami": tatami,
}
