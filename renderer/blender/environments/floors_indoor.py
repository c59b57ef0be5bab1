"""Floors of rooms, drawn once from fixed seeds."""

from __future__ import annotations

import numpy as np

from recombine.renderer.blender.environments.noise import fractal, generator, mix, normals
from recombine.renderer.blender.environments.surfaces import Floor, joint, squares

SIZE = 1024
HALF = 512


def parquet() -> Floor:
    """Return oak planks with grain, tone from plank to plank and dark joints."""
    rng, metres, rows = generator(21), 2.4, 16
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    row = np.floor(y * rows).astype(int)
    shift = rng.uniform(size=rows)[row]
    along = ((x + shift) * 2) % 2  # two planks per row and tile
    plank = row * 2 + along.astype(int)
    count = rows * 2
    tone, twist = rng.uniform(0.0, 1.0, count)[plank], rng.uniform(-1, 1, count)[plank]
    grain = fractal(SIZE, 22, 1.6, (1.0, 14.0))
    rings = np.sin((grain * 16 + y * rows * 3 * twist + 6 * tone) * 2.2)
    pores = fractal(SIZE, 23, 0.6, (1.0, 24.0))
    wood = mix((0.24, 0.115, 0.045), (0.46, 0.265, 0.12), 0.2 + 0.6 * tone + 0.16 * rings)
    wood *= (1.0 - 0.45 * np.clip(pores - 0.55, 0, 1) * 2)[..., None]
    across = np.abs(y * rows - row - 0.5) * 2
    ends = np.abs((along % 1) - 0.5) * 2
    joint = np.maximum(
        np.clip((across - 0.955) / 0.03, 0, 1), np.clip((ends - 0.9955) / 0.003, 0, 1)
    )
    albedo = wood * (1 - 0.8 * joint)[..., None]
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
    return Floor(albedo, normals(-0.002 * gap[..., 0], metres), metres, 0.5, 0.2)


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
    wood = mix((0.045, 0.020, 0.010), (0.20, 0.095, 0.045), tone)
    gap = np.maximum(np.abs(across - 0.5) * 2 > 0.95, np.abs(edge - 0.5) * 2 > 0.975)
    albedo = wood * (1 - 0.7 * gap)[..., None]
    return Floor(albedo, normals(-0.001 * gap + 0.0002 * grain, metres), metres, 0.5, 0.28)


def carpet() -> Floor:
    """Return a Persian carpet: red ground, blue and gold medallions, woven."""
    metres = 3.2
    y, x = squares(HALF)
    u, v = 4 * x - np.floor(4 * x) - 0.5, 4 * y - np.floor(4 * y) - 0.5
    away, around = np.hypot(u, v), np.arctan2(v, u)
    petal = away / (0.30 + 0.08 * np.cos(8 * around))
    diamond = np.abs(u) + np.abs(v)
    albedo = np.full((HALF, HALF, 3), (0.24, 0.045, 0.040))
    for inside, colour in (
        (diamond > 0.80, (0.55, 0.36, 0.12)),
        (diamond > 0.88, (0.020, 0.040, 0.16)),
        (petal < 1.0, (0.60, 0.44, 0.20)),
        (petal < 0.82, (0.022, 0.050, 0.20)),
        (petal < 0.45, (0.62, 0.50, 0.30)),
        (petal < 0.25, (0.24, 0.045, 0.04)),
    ):
        albedo[inside] = colour
    wool = fractal(HALF, 231, 0.4)
    weave = 0.5 + 0.5 * np.sin(2 * np.pi * 128 * y) * np.sin(2 * np.pi * 128 * x)
    albedo *= (0.72 + 0.35 * wool + 0.12 * weave)[..., None]
    return Floor(np.clip(albedo, 0, 1), normals(0.003 * wool + 0.001 * weave, metres), metres)


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
