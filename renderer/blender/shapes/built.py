"""Shapes put together from straight parts, and swept shapes with a changing section."""

from __future__ import annotations

import numpy as np

from recombine.renderer.blender.shapes.flat import convex, cube
from recombine.renderer.blender.shapes.lathe import rounded, turned
from recombine.renderer.blender.shapes.solid import Solid, footed, joined, placed, resting
from recombine.renderer.blender.shapes.swept import lofted, tube
from recombine.renderer.core.types import Array

Point = tuple[float, float, float]


def _beam(low: Point, high: Point, bevel: float = 0.012) -> Solid:
    """Return a box between two corners."""
    size = np.subtract(high, low)
    x, y, z = (float(c) for c in np.add(high, low) / 2)
    box = cube()
    return Solid(box.vertices * size + [x, y, z], box.faces, bevel)


def chair() -> Solid:
    """Return a chair with a slatted back."""
    seat = _beam((-0.34, -0.32, 0.40), (0.34, 0.32, 0.5))
    legs = [
        _beam((x - 0.05, y - 0.05, 0.0), (x + 0.05, y + 0.05, 1.0 if y > 0 else 0.42))
        for x in (-0.285, 0.285)
        for y in (-0.265, 0.265)
    ]
    slats = [_beam((-0.28, 0.23, z), (0.28, 0.29, z + 0.14)) for z in (0.84, 0.63)]
    rails = [_beam((x - 0.025, -0.25, 0.16), (x + 0.025, 0.25, 0.21)) for x in (-0.285, 0.285)]
    return joined(seat, *legs, *slats, *rails)


def table() -> Solid:
    """Return a low, wide table with four legs and an apron."""
    top = _beam((-0.5, -0.36, 0.52), (0.5, 0.36, 0.61), 0.015)
    apron = _beam((-0.42, -0.28, 0.42), (0.42, 0.28, 0.53), 0.015)
    legs = [
        _beam((x - 0.06, y - 0.06, 0.0), (x + 0.06, y + 0.06, 0.53), 0.015)
        for x in (-0.4, 0.4)
        for y in (-0.26, 0.26)
    ]
    return joined(top, apron, *legs)


def _quartz(height: float, radius: float, lean: float, towards: float) -> Solid:
    """Return a six-sided prism with a pointed end that leans away from the middle."""
    angle = np.arange(6) * np.pi / 3 + 0.4
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    low, high = (
        np.column_stack([ring * s, np.full(6, z)])
        for s, z in ((0.82, -0.05), (1.0, height - 1.6 * radius))
    )
    prism = convex(np.concatenate([low, high, [[0, 0, height]]]), 0.008)
    return placed(prism, turn=(0, lean, towards))


def crystal() -> Solid:
    """Return a cluster of quartz crystals that fan out from one root."""
    parts = [(0.9, 0.2, 0.05, 0.0), (0.74, 0.16, 0.5, 0.5), (0.66, 0.15, 0.55, 2.4)]
    parts += [(0.7, 0.16, 0.48, 4.4), (0.52, 0.13, 0.85, 3.4), (0.5, 0.13, 0.8, 5.6)]
    cluster = joined(*(_quartz(*part) for part in parts))
    foot = cluster.vertices[:, 2] < 0.0  # a flat bottom to stand on
    vertices = cluster.vertices * np.where(foot[:, None], [1, 1, 0], 1)
    return Solid(vertices, cluster.faces, cluster.bevel)


def _blade(turn: float) -> Solid:
    """Return one blade of a screw: a twisted petal in the (x, z) plane."""
    u = np.sin(np.linspace(0, np.pi / 2, 26))
    wide = 0.42 * np.sqrt(np.clip(1 - ((u - 0.5) / 0.5) ** 2, 0, 1)) * (0.55 + 0.45 * u) + 0.006
    thick = 0.07 * (1 - u) + 0.025
    pitch = np.radians(44 - 24 * u)
    v = np.arange(28) * 2 * np.pi / 28
    across, through = wide[:, None] * np.cos(v), thick[:, None] * np.sin(v)
    x = across * np.cos(pitch)[:, None] - through * np.sin(pitch)[:, None]
    y = across * np.sin(pitch)[:, None] + through * np.cos(pitch)[:, None]
    z = np.broadcast_to((0.06 + 0.48 * u)[:, None], x.shape)
    return placed(lofted(np.stack([x, y, z], axis=-1)), turn=(0, turn, 0))


def propeller() -> Solid:
    """Return a ship's screw with three blades, leaning on two of them and on its shaft."""
    profile = rounded(
        [(0, 0, 0), (0.08, 0, 0.02), (0.08, 0.3, 0.02), (0.17, 0.32, 0.03), (0.17, 0.58, 0.08),
         (0.07, 0.72, 0.05), (0, 0.73, 0)], 7
    )  # fmt: skip
    hub = placed(turned(profile, 48), turn=(np.pi / 2, 0, 0), move=(0, 0.45, 0))
    screw = joined(hub, *(_blade(k * 2 * np.pi / 3) for k in range(3)))
    return footed(resting(placed(screw, turn=(-0.45, 0, 0))), 0.015)


def crescent() -> Solid:
    """Return a new moon that rests on its back: a horn at either side."""
    t = np.linspace(-1, 1, 72)
    angle = np.pi / 2 * 3 + t * 2.25
    path = np.stack([0.35 * np.cos(angle), 0 * t, 0.35 * np.sin(angle)], axis=1)
    moon = tube(path, 0.014 + 0.21 * np.cos(t * np.pi / 2) ** 0.8, closed=False, sides=30)
    return footed(moon, 0.07)


def shell() -> Solid:
    """Return a nautilus shell that stands on its last whorl, with an open mouth."""
    t = np.linspace(0, 2 * np.pi * 2.6, 150)
    size = np.exp(0.168 * (t - t[-1]))
    angle = t - t[-1] + 0.35
    centre = np.stack([0.31 * np.cos(angle), 0 * t, 0.31 * np.sin(angle)], axis=1) * size[:, None]
    outward = np.stack([np.cos(angle), 0 * t, np.sin(angle)], axis=1)
    rib = 1 + 0.035 * np.cos(t * 13)
    rings = _whorls(centre, outward, 0.185 * size * rib, 0.29 * size * rib)
    lips = [
        centre[-1] + (rings[-1] - centre[-1]) * share - np.cross([0, 1, 0], outward[-1]) * depth
        for share, depth in ((0.93, 0.0), (0.82, -0.06), (0.55, -0.16), (0.2, -0.2))
    ]
    return footed(resting(lofted(np.concatenate([rings, np.array(lips)]))), 0.04)


def _whorls(centre: Array, outward: Array, high: Array, wide: Array) -> Array:
    """Return elliptic rings across a spiral in the (x, z) plane."""
    v = np.arange(40) * 2 * np.pi / 40
    rise = outward[:, None] * np.cos(v)[:, None] * high[:, None, None]
    side = np.array([0.0, 1.0, 0.0]) * np.sin(v)[:, None] * wide[:, None, None]
    return np.asarray(centre[:, None] + rise + side)
