"""Ground under the open sky, drawn once from fixed seeds."""

from __future__ import annotations

import numpy as np

from recombine.renderer.blender.environments.noise import fractal, generator, mix, normals
from recombine.renderer.blender.environments.surfaces import Floor, joint, squares

SIZE = 1024
HALF = 512


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
