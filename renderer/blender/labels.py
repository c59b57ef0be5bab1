"""Camera rays, and the annotations that follow from where they hit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import BVHTree, mathutils
from recombine.renderer.core.types import Array
from recombine.renderer.scenes.library import CAMERA

if TYPE_CHECKING:
    from jaxtyping import Float, Float16, Int8, UInt8

    from recombine.renderer.scenes.scene import ObjectSpec


@dataclass(frozen=True)
class Labels:
    """The annotations of one image, as in `recombine.renderer.scenes.scene.Rendered`."""

    mask: UInt8[Array, "H W"]
    depth: Float16[Array, "H W"]
    normal: Int8[Array, "H W 3"]
    visible: Float16[Array, "K"]  # noqa: F821
    amodal: Float16[Array, "K"]  # noqa: F821


@dataclass(frozen=True)
class Hits:
    """Where the rays of one image meet one surface."""

    pixel: Array  # flat index of the pixels that meet it
    depth: Array  # distance along the ray, metres
    normal: Array  # geometric unit normal in the world, towards the camera


NOWHERE = Hits(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 3)))
"""The hits of an absent object."""


def camera_axes() -> Float[Array, "3 3"]:
    """Return the camera's right, up and forward unit vectors as rows, in world coordinates."""
    forward = np.subtract(CAMERA.target, CAMERA.position)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, forward), forward])


@cache
def rays(resolution: int) -> Float[Array, "P 3"]:
    """Return the unit directions of the rays through the pixel centres."""
    slope = CAMERA.sensor / CAMERA.focal / 2
    at = ((np.arange(resolution) + 0.5) / resolution * 2 - 1) * slope
    x, y = np.meshgrid(at, -at)
    local = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    world = local @ camera_axes()
    return np.asarray(world / np.linalg.norm(world, axis=1, keepdims=True))


def project(points: Float[Array, "N 3"], resolution: int) -> Float[Array, "N 2"]:
    """Return where world points appear in the image."""
    local = (points - np.array(CAMERA.position)) @ camera_axes().T
    slope = CAMERA.sensor / CAMERA.focal / 2
    flat = local[:, :2] / local[:, 2:] / slope
    return np.asarray((flat * [1, -1] + 1) * resolution / 2)


def label(things: list[Hits], ground: list[Hits], resolution: int) -> Labels:
    """Merge the hits of objects and surroundings into the annotations of an image."""
    depth = np.full(resolution**2, np.inf)
    normal = np.zeros((resolution**2, 3))
    mask = np.zeros(resolution**2, np.uint8)
    for index, hits in enumerate([*ground, *things], start=1 - len(ground)):
        near = hits.depth < depth[hits.pixel]
        pixel = hits.pixel[near]
        depth[pixel], normal[pixel], mask[pixel] = (
            hits.depth[near],
            hits.normal[near],
            max(index, 0),
        )
    total = np.array([len(hits.pixel) for hits in things], dtype=float)
    modal = np.array([np.count_nonzero(mask == k + 1) for k in range(len(things))], dtype=float)
    return Labels(
        mask=mask.reshape(resolution, resolution),
        depth=depth.astype(np.float16).reshape(resolution, resolution),
        normal=np.rint(normal * 127).astype(np.int8).reshape(resolution, resolution, 3),
        visible=(modal / np.maximum(total, 1)).astype(np.float16),
        amodal=(total / resolution**2).astype(np.float16),
    )


# Exact visibility: one ray through the centre of each pixel, against the meshes themselves.


def _rotation(yaw: float) -> Float[Array, "3 3"]:
    """Return the rotation about the vertical."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


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


def object_hits(mesh: Any, spec: ObjectSpec, resolution: int) -> Hits:
    """Return where the rays meet one object, as if it were alone."""
    tree, box = _tree(mesh)
    turn = _rotation(spec.yaw)
    base = np.array([spec.x, spec.y, 0.0])
    seen = project(box * spec.scale @ turn.T + base, resolution)
    low = np.clip(np.floor(seen.min(0)).astype(int), 0, resolution)
    high = np.clip(np.ceil(seen.max(0)).astype(int), 0, resolution)
    rows, columns = np.arange(low[1], high[1]), np.arange(low[0], high[0])
    pixel = (rows[:, None] * resolution + columns[None]).ravel()
    origin = (np.array(CAMERA.position) - base) @ turn / spec.scale
    found = _cast(tree, origin, rays(resolution)[pixel] @ turn, pixel)
    return Hits(found.pixel, found.depth * spec.scale, found.normal @ turn.T)


def surface_hits(mesh: Any, resolution: int) -> Hits:
    """Return where the rays meet a mesh that stands in world coordinates."""
    tree, _ = _tree(mesh)
    return _cast(tree, np.array(CAMERA.position), rays(resolution), np.arange(resolution**2))
