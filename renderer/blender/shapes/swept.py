"""Shapes swept along a curve, and shapes grown by noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.blender.shapes.solid import Solid, footed
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Float


def _frames(curve: Float[Array, "N 3"], *, closed: bool) -> tuple[Array, Array]:
    """Return two unit normals per point that turn as little as possible along the curve."""
    tangent = np.roll(curve, -1, 0) - np.roll(curve, 1, 0)
    if not closed:
        tangent[0], tangent[-1] = curve[1] - curve[0], curve[-1] - curve[-2]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.empty_like(curve)
    side = np.cross(tangent[0], [0.0, 0.0, 1.0])
    normal[0] = side / np.linalg.norm(side)
    for i in range(1, len(curve)):
        side = normal[i - 1] - tangent[i] * (normal[i - 1] @ tangent[i])
        normal[i] = side / np.linalg.norm(side)
    if closed:  # spread the twist that is left over, so that the ends meet
        last = normal[-1] - tangent[0] * (normal[-1] @ tangent[0])
        twist = np.arctan2(np.cross(last, normal[0]) @ tangent[0], last @ normal[0])
        angle = (np.arange(len(curve)) / len(curve) * twist)[:, None]
        normal = normal * np.cos(angle) + np.cross(tangent, normal) * np.sin(angle)
    return normal, np.cross(tangent, normal)


def tube(
    curve: Float[Array, "N 3"],
    radius: float | Float[Array, " N"],
    *,
    closed: bool,
    sides: int = 24,
) -> Solid:
    """Sweep a circle along a curve."""
    width = np.broadcast_to(np.asarray(radius, dtype=float), len(curve))
    if not closed:  # half a sphere at each end
        t = np.linspace(0, np.pi / 2, 7)[1:]
        start, end = curve[0] - curve[1], curve[-1] - curve[-2]
        head = curve[0] + np.outer(np.sin(t), start / np.linalg.norm(start)) * width[0] * 0.999
        tail = curve[-1] + np.outer(np.sin(t), end / np.linalg.norm(end)) * width[-1] * 0.999
        cap = np.maximum(np.cos(t), 0.02)
        curve, width = (
            np.concatenate([head[::-1], curve, tail]),
            np.concatenate([cap[::-1] * width[0], width, cap * width[-1]]),
        )
    normal, binormal = _frames(curve, closed=closed)
    angle = np.arange(sides) * 2 * np.pi / sides
    ring = normal[:, None] * np.cos(angle)[:, None] + binormal[:, None] * np.sin(angle)[:, None]
    return lofted(curve[:, None] + ring * width[:, None, None], closed=closed)


def lofted(rings: Float[Array, "N M 3"], *, closed: bool = False) -> Solid:
    """Span a skin over rings of equally many points."""
    n, sides, _ = rings.shape
    faces: list[tuple[int, ...]] = [
        (i * sides + j, i * sides + k, (i + 1) % n * sides + k, (i + 1) % n * sides + j)
        for i in range(n if closed else n - 1)
        for j, k in ((j, (j + 1) % sides) for j in range(sides))
    ]
    if not closed:
        faces += [tuple(range(sides - 1, -1, -1)), tuple(range((n - 1) * sides, n * sides))]
    return Solid(rings.reshape(-1, 3), tuple(faces))


def torus() -> Solid:
    """Return a ring that lies on the floor."""
    t = np.arange(72) * 2 * np.pi / 72
    return tube(np.stack([0.3 * np.cos(t), 0.3 * np.sin(t), 0 * t], 1), 0.2, closed=True, sides=36)


def spring() -> Solid:
    """Return an upright coil spring with closed ends to stand on."""
    turns = np.linspace(0, 4.2, 200)
    ends = [(0, 0), (0.55, 0), (1.0, 0.15), (3.2, 0.65), (3.65, 0.8), (4.2, 0.8)]
    height = np.interp(turns, *np.transpose(ends))
    height = np.convolve(np.pad(height, 8, mode="edge"), np.ones(17) / 17, mode="valid")
    t = 2 * np.pi * turns
    coil = tube(
        np.stack([0.36 * np.cos(t), 0.36 * np.sin(t), height], 1), 0.085, closed=False, sides=18
    )
    return footed(coil, 0.02)


def knot() -> Solid:
    """Return a trefoil knot that lies on its three lower bends."""
    t = np.arange(160) * 2 * np.pi / 160
    flat = np.stack(
        [np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -1.75 * np.sin(3 * t)], 1
    )
    return footed(tube(flat, 0.66, closed=True, sides=20), 0.02)
