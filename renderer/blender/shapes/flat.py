"""Shapes with flat faces: polyhedra and outlines of constant thickness."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import ConvexHull

from recombine.renderer.blender.shapes.solid import Solid, placed
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Float

GOLDEN = (1 + 5**0.5) / 2


def convex(points: Float[Array, "V 3"], bevel: float) -> Solid:
    """Return the convex hull of points, with coplanar triangles merged into faces."""
    planes: dict[tuple[float, ...], set[int]] = {}
    hull = ConvexHull(points)
    for plane, corners in zip(hull.equations, hull.simplices, strict=True):
        planes.setdefault(tuple(np.round(plane, 5) + 0.0), set()).update(map(int, corners))
    faces = []
    for plane, corners in planes.items():
        normal, index = np.array(plane[:3]), np.array(sorted(corners))
        offset = points[index] - points[index].mean(0)
        first = offset[0] / np.linalg.norm(offset[0])
        turn = np.arctan2(offset @ np.cross(normal, first), offset @ first)
        faces.append(tuple(int(i) for i in index[np.argsort(turn)]))
    return Solid(points, tuple(faces), bevel=bevel)


def on_face(solid: Solid, face: int = 0) -> Solid:
    """Turn a solid so that one of its faces lies on the floor."""
    a, b, c = (solid.vertices[i] for i in solid.faces[face][:3])
    down = np.cross(b - a, c - b)
    down /= np.linalg.norm(down)
    side = (b - a) / np.linalg.norm(b - a)
    rotation = np.stack([side, np.cross(-down, side), -down])
    return Solid(solid.vertices @ rotation.T, solid.faces, solid.bevel)


def extruded(outline: Float[Array, "P 2"], height: float, bevel: float, hole: float = 0.0) -> Solid:
    """Give a closed outline a constant thickness."""
    n = len(outline)
    inner = outline / np.linalg.norm(outline, axis=1, keepdims=True) * hole
    rings = [outline, outline, *([inner, inner] if hole else [])]
    heights = np.repeat([0.0, height, height, 0.0][: len(rings)], n)
    vertices = np.column_stack([np.concatenate(rings), heights])
    faces: list[tuple[int, ...]] = []
    for a in range(len(rings) if hole else 1):  # bottom to top, inwards, down and outwards
        b = (a + 1) % len(rings)
        faces += [(a * n + i, a * n + j, b * n + j, b * n + i) for i, j in _steps(n)]
    if not hole:
        faces += [tuple(range(n - 1, -1, -1)), tuple(range(n, 2 * n))]
    return Solid(vertices, tuple(faces), bevel=bevel)


def _steps(n: int) -> list[tuple[int, int]]:
    """Return neighbours around a ring of n points."""
    return [(i, (i + 1) % n) for i in range(n)]


def cube() -> Solid:
    """Return a cube with rounded edges."""
    return convex(np.array(list(product((-0.5, 0.5), repeat=3))), 0.06)


def pyramid() -> Solid:
    """Return a square pyramid."""
    base = [(x, y, 0.0) for x, y in product((-0.5, 0.5), repeat=2)]
    return convex(np.array([*base, (0, 0, 0.95)]), 0.04)


def octahedron() -> Solid:
    """Return an octahedron that stands on one of its faces."""
    return on_face(convex(np.concatenate([np.eye(3), -np.eye(3)]), 0.06))


def dodecahedron() -> Solid:
    """Return a dodecahedron that stands on one of its faces."""
    points = [np.array(p, float) for p in product((-1, 1), repeat=3)]
    for a, b in product((-1, 1), repeat=2):
        corner = np.array([0.0, a / GOLDEN, b * GOLDEN])
        points += [np.roll(corner, k) for k in range(3)]
    return on_face(convex(np.array(points), 0.07))


def star() -> Solid:
    """Return a thick five-pointed star that stands on two of its points."""
    angle = np.arange(10) * np.pi / 5 + np.pi / 2
    radius = np.where(np.arange(10) % 2, 0.27, 0.5)
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    outline[:, 1] = np.maximum(outline[:, 1], outline[:, 1].min() + 0.02)
    plate = extruded(outline, 0.36, 0.04)
    return placed(plate, turn=(np.pi / 2, 0, 0))


def gear() -> Solid:
    """Return a thick cog wheel with ten teeth and a bore."""
    steps = np.array([-0.42, -0.2, 0.2, 0.42])
    centre = np.arange(10)[:, None] * np.pi / 5
    angle = (centre + steps * np.pi / 5).ravel()
    radius = np.tile([0.38, 0.5, 0.5, 0.38], 10)
    return extruded(
        np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), 0.36, 0.03, 0.16
    )
