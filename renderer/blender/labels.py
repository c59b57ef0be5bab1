"""Camera rays, and the annotations that follow from where they hit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.types import Array
from recombine.renderer.scenes.library import CAMERA

if TYPE_CHECKING:
    from jaxtyping import Float, Float16, Int8, UInt8


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
