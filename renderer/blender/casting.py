"""Exact visibility: one ray through the centre of each pixel, against the meshes themselves."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import BVHTree, mathutils
from recombine.renderer.blender.labels import Hits, project, rays
from recombine.renderer.core.types import Array
from recombine.renderer.scenes.geometry import combined, rotation
from recombine.renderer.scenes.library import CAMERA, Camera

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

    from recombine.renderer.blender.environments.surfaces import Fade
    from recombine.renderer.scenes.scene import ObjectSpec


@cache
def _tree(mesh: Any) -> tuple[Any, Float[Array, "8 3"]]:
    """Return the ray-casting tree of a mesh and the corners of its box."""
    flat = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", flat)
    xyz = flat.reshape(-1, 3)
    low, high = xyz.min(0), xyz.max(0)
    box = np.array([[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]]
                    for i in (0, 1) for j in (0, 1) for k in (0, 1)])  # fmt: skip
    faces = [tuple(polygon.vertices) for polygon in mesh.polygons]
    return BVHTree.FromPolygons(xyz.tolist(), faces), box


def model_box(mesh: Any) -> Float64[Array, "2 3"]:
    """Return the lowest and the highest corner of a mesh."""
    # To 0.1 mm: the last bits of a mesh that Blender smoothed are not equal on all processors.
    _, corners = _tree(mesh)
    return np.round(corners[[0, 7]].astype(float), 4)


def _cast(tree: Any, origin: Array, directions: Array, pixel: Array) -> Hits:
    """Cast one ray per pixel and keep those that hit."""
    start = mathutils.Vector(origin)
    cast = tree.ray_cast
    found = [
        (p, *cast(start, d)[1::2]) for p, d in zip(pixel.tolist(), directions.tolist(), strict=True)
    ]
    hits = [row for row in found if row[1] is not None]
    index = np.array([row[0] for row in hits], dtype=np.intp)
    normal = np.array([row[1] for row in hits], dtype=float).reshape(-1, 3)
    depth = np.array([row[2] for row in hits], dtype=float)
    return Hits(index, depth, normal)


def object_hits(mesh: Any, spec: ObjectSpec, resolution: int, camera: Camera = CAMERA) -> Hits:
    """Return where the rays meet one object, as if it were alone."""
    tree, box = _tree(mesh)
    turn = rotation(spec.yaw)
    base = np.array([spec.x, spec.y, 0.0])
    seen = project(combined(box * spec.scale, turn.T) + base, resolution, camera)
    low = np.clip(np.floor(seen.min(0)).astype(int), 0, resolution)
    high = np.clip(np.ceil(seen.max(0)).astype(int), 0, resolution)
    rows, columns = np.arange(low[1], high[1]), np.arange(low[0], high[0])
    pixel = (rows[:, None] * resolution + columns[None]).ravel()
    origin = combined(np.array([camera.position]) - base, turn)[0] / spec.scale
    found = _cast(tree, origin, combined(rays(resolution, camera)[pixel], turn), pixel)
    return Hits(found.pixel, found.depth * spec.scale, combined(found.normal, turn.T))


def floor_hits(resolution: int, camera: Camera = CAMERA, fade: Fade | None = None) -> Hits:
    """Return where the rays meet the floor, as far as it is more than half opaque."""
    toward = rays(resolution, camera)
    eye = np.array(camera.position)
    down = np.flatnonzero(toward[:, 2] < 0)
    depth = eye[2] / -toward[down, 2]
    place = eye[:2] + depth[:, None] * toward[down, :2]
    if fade is not None:
        near = fade.at(place) > 0.5
        down, depth = down[near], depth[near]
    return Hits(down, depth, np.tile([0.0, 0.0, 1.0], (len(down), 1)))


def surface_hits(mesh: Any, resolution: int, camera: Camera = CAMERA, shift: float = 0.0) -> Hits:
    """Return where the rays meet a mesh that stands in the world, shifted along x."""
    tree, _ = _tree(mesh)
    eye = np.subtract(camera.position, (shift, 0.0, 0.0))
    return _cast(tree, eye, rays(resolution, camera), np.arange(resolution**2))
