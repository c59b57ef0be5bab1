"""Camera rays, and the annotations that follow from where they hit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.types import Array
from recombine.renderer.scenes.geometry import camera_axes, combined, mask_dtype
from recombine.renderer.scenes.library import CAMERA, Camera

if TYPE_CHECKING:
    from jaxtyping import Float, Float16, Int8, UInt8, UInt16


@dataclass(frozen=True)
class Labels:
    """The annotations of one image, as in `recombine.renderer.scenes.scene.Rendered`."""

    mask: UInt8[Array, "H W"]
    depth: Float16[Array, "H W"]
    normal: Int8[Array, "H W 3"]
    visible: Float16[Array, "K"]  # noqa: F821
    amodal: Float16[Array, "K"]  # noqa: F821
    amodal_mask: UInt8[Array, "H W"] | UInt16[Array, "H W"]


@dataclass(frozen=True)
class Hits:
    """Where the rays of one image meet one surface."""

    pixel: Array  # flat index of the pixels that meet it
    depth: Array  # distance along the ray, metres
    normal: Array  # geometric unit normal in the world, towards the camera


NOWHERE = Hits(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 3)))
"""The hits of an absent object."""


@lru_cache(maxsize=2)  # of one image: all its objects and surfaces ask for them
def rays(resolution: int, camera: Camera = CAMERA) -> Float[Array, "P 3"]:
    """Return the unit directions of the rays through the pixel centres."""
    slope = camera.sensor / camera.focal / 2
    at = ((np.arange(resolution) + 0.5) / resolution * 2 - 1) * slope
    x, y = np.meshgrid(at, -at)
    local = np.stack([x.ravel(), y.ravel(), np.ones(resolution**2)], axis=1)
    world = combined(local, camera_axes(camera))
    return np.asarray(world / np.sqrt((world * world).sum(axis=1, keepdims=True)))


def project(
    points: Float[Array, "N 3"], resolution: int, camera: Camera = CAMERA
) -> Float[Array, "N 2"]:
    """Return where world points appear in the image."""
    local = combined(points - np.array(camera.position), camera_axes(camera).T)
    slope = camera.sensor / camera.focal / 2
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
    alone = np.zeros(resolution**2, mask_dtype(len(things)))
    for index, hits in enumerate(things):
        alone[hits.pixel] |= alone.dtype.type(1 << index)
    total = np.array([len(hits.pixel) for hits in things], dtype=float)
    modal = np.array([np.count_nonzero(mask == k + 1) for k in range(len(things))], dtype=float)
    return Labels(
        mask=mask.reshape(resolution, resolution),
        depth=depth.astype(np.float16).reshape(resolution, resolution),
        normal=np.rint(normal * 127).astype(np.int8).reshape(resolution, resolution, 3),
        visible=(modal / np.maximum(total, 1)).astype(np.float16),
        amodal=(total / resolution**2).astype(np.float16),
        amodal_mask=alone.reshape(resolution, resolution),
    )
