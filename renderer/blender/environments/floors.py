"""The table of floors: one seamless tile each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.blender.environments.noise import fractal, generator, mix, normals
from recombine.renderer.blender.environments.surfaces import Floor, joint, squares

if TYPE_CHECKING:
    from collections.abc import Callable


# Floors of rooms, drawn once from fixed seeds.

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


# Ground under the open sky, drawn once from fixed seeds.


def lawn() -> Floor:
    """Return a mown lawn: layers of short blades, lighter towards the tip."""
    rng, metres = generator(11), 2.4
    blades, steps = 52_000, 14
    root = rng.uniform(0, SIZE, (blades, 1, 2))
    angle = rng.uniform(0, 2 * np.pi, (blades, 1)) + np.linspace(0, 0.5, steps)
    reach = rng.uniform(14, 30, (blades, 1)) * np.linspace(0, 1, steps)
    path = root + reach[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    height = np.linspace(0, 1, steps) ** 0.8 * rng.uniform(0.45, 1.0, (blades, 1))
    fresh = np.array([0.215, 0.315, 0.085]) * rng.uniform(0.55, 1.25, (blades, 1))
    dry = np.array([0.46, 0.40, 0.17]) * rng.uniform(0.6, 1.1, (blades, 1))
    colour = np.where(rng.uniform(size=(blades, 1)) < 0.07, dry, fresh)
    field, albedo = np.zeros((SIZE, SIZE)), np.full((SIZE, SIZE, 3), (0.045, 0.05, 0.018))
    order = np.argsort(height.ravel(), kind="stable")  # the highest blade is drawn last
    for dx in (0, 1):
        cell = np.floor(path + np.array([0, dx])).astype(int).reshape(-1, 2)[order] % SIZE
        shade = (0.38 + 0.95 * height[..., None]) * colour[:, None]
        albedo[cell[:, 0], cell[:, 1]] = shade.reshape(-1, 3)[order]
        field[cell[:, 0], cell[:, 1]] = height.ravel()[order]
    patches = 0.72 + 0.56 * fractal(SIZE, 12, 3.0)[..., None]
    return Floor(albedo * patches, normals(field * 0.006, metres), metres)


def slate() -> Floor:
    """Return grey-blue slate slabs of uneven tone with sandy joints."""
    rng, metres, rows = generator(31), 2.4, 4
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    wobble = (fractal(SIZE, 32, 2.6) - 0.5) * 0.012
    row = np.floor((y + wobble) * rows) % rows
    shift = np.array([0.0, 0.37, 0.12, 0.61])[row.astype(int)]
    across, along = ((y + wobble) * rows) % 1, ((x + wobble + shift) * 3) % 1
    slab = (row * 3 + np.floor(((x + wobble + shift) * 3) % 3)).astype(int)
    tone = rng.uniform(0.0, 1.0, 12)[slab]
    cloud, fine = fractal(SIZE, 33, 2.4), fractal(SIZE, 34, 1.2)
    stone = mix(
        (0.085, 0.11, 0.145), (0.21, 0.25, 0.30), 0.35 * tone + 0.55 * cloud + 0.3 * (fine - 0.5)
    )
    rust = np.clip((fractal(SIZE, 35, 2.8) - 0.72) * 4, 0, 1)[..., None] * 0.35
    stone = stone * (1 - rust) + rust * np.array([0.22, 0.17, 0.12])
    edge = (
        np.minimum(np.minimum(across, 1 - across) / rows, np.minimum(along, 1 - along) / 3) * metres
    )
    joint = np.clip(1 - (edge - 0.006) / 0.006, 0, 1)
    albedo = stone * (1 - joint[..., None]) + joint[..., None] * np.array([0.10, 0.10, 0.095])
    ledge = np.clip(edge / 0.03, 0, 1) ** 0.5
    height = 0.006 * ledge + 0.006 * np.round(cloud * 7) / 7 + 0.002 * fine
    return Floor(albedo, normals(height, metres), metres, 0.5, 0.5)


def snowfield() -> Floor:
    """Return fresh snow in soft drifts."""
    drift, fine = fractal(HALF, 101, 3.2), fractal(HALF, 102, 0.8)
    albedo = mix((0.70, 0.76, 0.86), (0.86, 0.88, 0.90), 0.25 + 0.6 * drift + 0.15 * fine)
    return Floor(albedo, normals(0.10 * drift + 0.003 * fine, 3.0), 3.0)


def sand() -> Floor:
    """Return desert sand in wind ripples."""
    metres = 2.4
    y, _ = squares(HALF)
    bend = fractal(HALF, 111, 3.0)
    phase = 2 * np.pi * (14 * y + 2.2 * bend)
    ripple = 0.5 + 0.5 * np.sin(phase + 0.6 * np.sin(phase))
    grain = fractal(HALF, 112, 0.6)
    tone = 0.25 + 0.35 * ripple + 0.25 * bend + 0.25 * (grain - 0.5)
    albedo = mix((0.44, 0.235, 0.095), (0.70, 0.43, 0.20), tone)
    return Floor(albedo, normals(0.012 * ripple + 0.001 * grain, metres), metres)


def shore() -> Floor:
    """Return pale, trodden beach sand with crumbs of shell."""
    metres = 2.4
    hollow, grain = fractal(HALF, 121, 2.2), fractal(HALF, 122, 0.5)
    albedo = mix((0.40, 0.31, 0.19), (0.66, 0.56, 0.40), 0.2 + 0.4 * hollow + 0.4 * grain)
    crumbs = np.clip((fractal(HALF, 123, 0.3) - 0.93) * 20, 0, 1)[..., None]
    albedo = albedo * (1 - crumbs) + 0.85 * crumbs
    return Floor(albedo, normals(0.035 * hollow + 0.002 * grain, metres), metres)


def asphalt() -> Floor:
    """Return wet asphalt at night: black, grained and shiny."""
    metres = 2.4
    grain, patch = fractal(HALF, 131, 0.7), fractal(HALF, 132, 2.4)
    albedo = mix((0.03, 0.031, 0.034), (0.14, 0.14, 0.145), 0.6 * grain + 0.4 * patch)
    return Floor(albedo, normals(0.0035 * grain, metres), metres, 0.5, 0.24)


LEAVES = ((0.27, 0.10, 0.035), (0.34, 0.17, 0.06), (0.16, 0.075, 0.035), (0.26, 0.20, 0.07))


def litter() -> Floor:
    """Return a forest floor under fallen leaves."""
    rng, metres, count = generator(141), 2.4, 2600
    albedo = mix((0.030, 0.020, 0.010), (0.075, 0.055, 0.025), fractal(HALF, 142, 1.4))
    field = np.zeros((HALF, HALF))
    v, u = (c.ravel() for c in np.mgrid[-14:15, -14:15].astype(float))
    for k in range(count):
        row, column, turn, length = rng.uniform((0, 0, 0, 7), (HALF, HALF, 2 * np.pi, 13))
        a = (np.cos(turn) * u + np.sin(turn) * v) / length
        b = (np.cos(turn) * v - np.sin(turn) * u) / length
        blade = np.abs(b) < 0.42 * (1 - a * a) * (np.abs(a) < 1)
        at = (row + v[blade]).astype(int) % HALF, (column + u[blade]).astype(int) % HALF
        tone = rng.uniform(0.55, 1.25) * (0.75 + 0.5 * np.abs(b[blade] / 0.42))
        albedo[at] = tone[:, None] * np.array(LEAVES[rng.integers(len(LEAVES))])
        field[at] = 0.003 * k / count + 0.006 * np.abs(b[blade])
    return Floor(np.clip(albedo, 0, 1), normals(field, metres), metres)


def stubble() -> Floor:
    """Return a field of ripe, cropped grain."""
    rng, metres, blades, steps = generator(151), 2.4, 15_000, 9
    root = rng.uniform(0, HALF, (blades, 1, 2))
    angle = rng.normal(np.pi / 2, 0.8, (blades, 1, 1))
    reach = rng.uniform(8, 22, (blades, 1, 1)) * np.linspace(0, 1, steps)[:, None]
    cell = np.floor(root + reach * np.concatenate([np.sin(angle), np.cos(angle)], axis=-1))
    height = np.linspace(0.1, 1, steps) * rng.uniform(0.4, 1.0, (blades, 1))
    colour = np.array([0.74, 0.56, 0.25]) * rng.uniform(0.5, 1.2, (blades, 1))
    order = np.argsort(height.ravel(), kind="stable")
    at = tuple((cell.astype(int) % HALF).reshape(-1, 2)[order].T)
    albedo, field = np.full((HALF, HALF, 3), (0.20, 0.13, 0.06)), np.zeros((HALF, HALF))
    shade = (0.4 + 0.7 * height)[..., None] * colour[:, None]
    albedo[at], field[at] = shade.reshape(-1, 3)[order], height.ravel()[order]
    rows = 0.88 + 0.16 * np.cos(2 * np.pi * 6 * squares(HALF)[1]) ** 2
    return Floor(np.clip(albedo * rows[..., None], 0, 1), normals(field * 0.008, metres), metres)


def pavers() -> Floor:
    """Return a plaza of cream slabs with small terracotta squares at their corners."""
    metres, tiles = 2.4, 4
    y, x = squares(HALF)
    cloud, fine = fractal(HALF, 161, 2.4), fractal(HALF, 162, 1.0)
    tone = generator(163).uniform(0, 1, (tiles, tiles))
    tone = tone[(y * tiles).astype(int), (x * tiles).astype(int)]
    stone = mix((0.50, 0.42, 0.30), (0.72, 0.64, 0.50), 0.4 * tone + 0.3 * cloud + 0.3 * fine)
    away = np.abs(y * tiles - np.rint(y * tiles)) + np.abs(x * tiles - np.rint(x * tiles))
    corner = np.clip((0.26 - away) / 0.01, 0, 1)[..., None]
    stone = stone * (1 - corner) + corner * mix((0.34, 0.10, 0.05), (0.48, 0.17, 0.09), fine)
    edge = np.clip(1 - np.abs(away - 0.26) / 0.018, 0, 1)
    gap = np.maximum(joint(y * tiles, x * tiles, 0.02) * (away > 0.26), edge)
    albedo = stone * (1 - 0.65 * gap)[..., None]
    return Floor(albedo, normals(0.001 * fine - 0.006 * gap, metres), metres, 0.3, 0.55)


FLOORS: dict[str, Callable[[], Floor]] = {
    "lawn": lawn,
    "parquet": parquet,
    "slate": slate,
    "paper": paper,
    "snowfield": snowfield,
    "sand": sand,
    "asphalt": asphalt,
    "chessboard": chessboard,
    "shore": shore,
    "litter": litter,
    "boards": boards,
    "walnut": walnut,
    "stubble": stubble,
    "pavers": pavers,
    "carpet": carpet,
    "tatami": tatami,
}
