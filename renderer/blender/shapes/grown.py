"""Shapes without edges: bodies blended from soft parts, and a boulder worn by planes."""

from __future__ import annotations

import importlib
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import ConvexHull

from recombine.renderer.blender.environments.noise import generator
from recombine.renderer.blender.shapes.solid import Solid, footed
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    Field = Callable[[Float[Array, "N 3"]], Float[Array, " N"]]
    Point = tuple[float, float, float]

CELLS = 44  # along the longest side of a blended body


def ellipsoid(centre: Point, radii: Point, tilt: float = 0.0) -> Field:
    """Return the approximate distance to an ellipsoid, negative inside."""
    turn = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])

    def distance(points: Float[Array, "N 3"]) -> Float[Array, " N"]:
        local = (points - np.array(centre)) @ turn / np.array(radii)
        near = np.linalg.norm(local, axis=1)
        slope = np.linalg.norm(local / np.array(radii), axis=1)
        return np.asarray(near * (near - 1) / np.maximum(slope, 1e-6))

    return distance


def limb(start: Point, end: Point, thick: float, thin: float, ribs: float = 0.0) -> Field:
    """Return the distance to a round limb between two points, negative inside."""
    a, along = np.array(start), np.subtract(end, start)
    side = np.cross(along, [0.3, 0.8, 0.1])
    side /= np.linalg.norm(side)
    other = np.cross(along, side) / np.linalg.norm(along)

    def distance(points: Float[Array, "N 3"]) -> Float[Array, " N"]:
        share = np.clip((points - a) @ along / (along @ along), 0, 1)
        off = points - a - share[:, None] * along
        round_ = np.linalg.norm(off, axis=1) - thick - (thin - thick) * share
        if not ribs:
            return np.asarray(round_)
        around = np.arctan2(off @ side, off @ other)
        return np.asarray(round_ + ribs * np.abs(np.cos(5 * around)))

    return distance


def _smooth_min(a: Array, b: Array, soft: float) -> Array:
    """Return the smaller of two distances, rounded where they are alike."""
    h = np.maximum(soft - np.abs(a - b), 0) / soft
    return np.asarray(np.minimum(a, b) - h * h * soft / 4)


def blended(parts: list[Field], low: Point, high: Point, soft: float) -> Solid:
    """Melt soft parts into one body."""

    def field(points: Array) -> Array:
        return reduce(lambda a, b: _smooth_min(a, b, soft), (part(points) for part in parts))

    step = float(np.subtract(high, low).max()) / CELLS
    axes = [np.arange(a, b + step, step) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = field(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    march = importlib.import_module("skimage.measure").marching_cubes  # it carries no types
    vertices, faces, _, _ = march(values, 0.0, spacing=(step, step, step))
    xyz = np.asarray(vertices, dtype=float) + np.array(low)
    for _ in range(2):  # from the grid's straight lines onto the surface itself
        slope = np.stack([field(xyz + e) - field(xyz - e) for e in np.eye(3) * 1e-4], axis=1) / 2e-4
        xyz -= slope * (field(xyz) / np.maximum((slope**2).sum(1), 0.1))[:, None]
    return Solid(xyz, tuple(tuple(int(i) for i in face) for face in faces))


def duck() -> Solid:
    """Return a bath duck."""
    parts = [
        ellipsoid((0, 0, 0.26), (0.4, 0.33, 0.27)),
        limb((-0.28, 0, 0.36), (-0.43, 0, 0.5), 0.12, 0.035),
        ellipsoid((0.17, 0, 0.69), (0.23, 0.22, 0.22)),
        limb((0.17, 0, 0.4), (0.17, 0, 0.55), 0.17, 0.15),
        ellipsoid((0.4, 0, 0.65), (0.13, 0.12, 0.04)),
        ellipsoid((-0.07, 0.3, 0.32), (0.25, 0.08, 0.14)),
        ellipsoid((-0.07, -0.3, 0.32), (0.25, 0.08, 0.14)),
    ]
    return footed(blended(parts, (-0.6, -0.5, -0.1), (0.65, 0.5, 1.0), 0.06), 0.04)


def fish() -> Solid:
    """Return a round reef fish that lies on its wide belly."""
    parts = [
        ellipsoid((0.06, 0, 0.38), (0.40, 0.28, 0.34)),
        limb((-0.2, 0, 0.38), (-0.36, 0, 0.38), 0.16, 0.07),
        ellipsoid((-0.42, 0, 0.53), (0.22, 0.05, 0.12), 1.0),
        ellipsoid((-0.42, 0, 0.25), (0.21, 0.05, 0.12), -1.0),
        ellipsoid((-0.02, 0, 0.70), (0.32, 0.05, 0.17), 0.35),
        ellipsoid((0.0, 0.28, 0.33), (0.15, 0.045, 0.09), 0.4),
        ellipsoid((0.0, -0.28, 0.33), (0.15, 0.045, 0.09), 0.4),
        limb((0.43, -0.05, 0.34), (0.43, 0.05, 0.34), 0.065, 0.065),
        ellipsoid((0.28, 0.17, 0.49), (0.075, 0.075, 0.075)),
        ellipsoid((0.28, -0.17, 0.49), (0.075, 0.075, 0.075)),
    ]
    return footed(blended(parts, (-0.75, -0.4, -0.15), (0.6, 0.4, 1.15), 0.035), 0.05)


def cactus() -> Solid:
    """Return a ribbed cactus with two arms."""
    parts = [
        limb((0, 0, 0.0), (0, 0, 0.80), 0.23, 0.195, 0.04),
        limb((0.1, 0, 0.32), (0.37, 0, 0.32), 0.12, 0.12),
        limb((0.38, 0, 0.33), (0.38, 0, 0.62), 0.12, 0.11, 0.025),
        limb((-0.1, 0, 0.48), (-0.34, 0, 0.48), 0.115, 0.115),
        limb((-0.35, 0, 0.49), (-0.35, 0, 0.72), 0.115, 0.105, 0.025),
    ]
    body = blended(parts, (-0.55, -0.3, -0.3), (0.58, 0.3, 1.1), 0.05)
    flat = np.maximum(body.vertices[:, 2], -0.06)  # cut off at the ground
    return Solid(np.column_stack([body.vertices[:, :2], flat]), body.faces)


def _ways(count: int) -> Float[Array, "N 3"]:
    """Return unit vectors that are spread evenly, by Fibonacci's spiral."""
    k = np.arange(count) + 0.5
    polar, around = np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k
    flat = np.sin(polar)
    return np.stack([np.cos(around) * flat, np.sin(around) * flat, np.cos(polar)], axis=1)


def rock() -> Solid:
    """Return a boulder: a lumpy ball that planes have worn."""
    way, rng = _ways(3200), generator(7)
    planes = _ways(22) + 0.22 * rng.normal(size=(22, 3))
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    reach = rng.uniform(0.68, 0.92, 22) / np.maximum(way @ planes.T, 1e-3)
    sharp = 16.0  # a soft minimum over the planes keeps the edges worn
    radius = (np.minimum(reach, 3.0) ** -sharp).sum(1) ** (-1 / sharp)
    for octave in range(4):
        wave = rng.normal(size=(6, 3)) * 3.0 * 1.9**octave
        radius = radius + 0.012 * 0.6**octave * np.sin(way @ wave.T + rng.uniform(0, 6, 6)).sum(1)
    hull = ConvexHull(way)
    faces = hull.simplices.copy()
    first, second, third = (way[faces[:, k]] for k in range(3))
    inward = (np.cross(second - first, third - first) * first).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    xyz = way * radius[:, None] * [1.0, 0.82, 0.72]
    xyz[:, 2] = np.maximum(xyz[:, 2], -0.42)
    return Solid(xyz, tuple(tuple(int(i) for i in face) for face in faces))
