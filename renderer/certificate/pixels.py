"""What is measured on the arrays of an image: labels against latents, statistics, comparisons."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.types import Array
from recombine.renderer.scenes.library import CAMERA, RADIUS, Camera
from recombine.renderer.scenes.placement import Stand, screen_box

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

DEPTH_SLACK = 0.02
"""Metres by which a stored depth may leave its object: rounding to float16 at arm's length."""
UNIT_SLACK = 0.02
"""How far the length of a stored normal may be from 1: rounding of three components to 1/127."""
LABEL_COUNTS = (
    "area",
    "full",
    "uncovered",
    "outside",
    "beyond",
    "depthless",
    "crooked",
    "unboxed",
)
"""What `label_counts` counts, per object."""


def label_counts(
    image: Mapping[str, Array], stands: Sequence[Stand | None], camera: Camera = CAMERA
) -> Array:
    """Return pixel counts of every object, (K, 8), in the order of `LABEL_COUNTS`.

    Pixels of its mask; of its amodal mask; of its mask outside of its
    amodal mask; of its mask outside of the box that its place and scale allow; with a depth that
    its place and scale do not allow; without a finite, positive depth; without a unit normal. Last
    comes how many numbers of its two boxes in the picture are not those of its two masks.
    """
    mask, depth = image["mask"], image["depth"].astype(float)
    length = np.linalg.norm(image["normal"].astype(float), axis=-1) / 127
    found = np.zeros((len(stands), len(LABEL_COUNTS)), np.int64)
    for k, stand in enumerate(stands):
        own = mask == k + 1
        sound = own & np.isfinite(depth) & (depth > 0)
        bit = image["amodal_mask"] >> k & 1
        found[k] = (
            own.sum(),
            bit.sum(),
            (own & (bit == 0)).sum(),
            0 if stand is None else (own & ~_inside(stand, camera, len(mask))).sum(),
            0 if stand is None else (sound & ~_within(depth, stand, camera)).sum(),
            (own & ~sound).sum(),
            (own & (np.abs(length - 1) > UNIT_SLACK)).sum(),
            sum(
                np.count_nonzero(image[name][k] != _box_of(pixels))
                for name, pixels in (("box_2d", own), ("box_2d_amodal", bit))
            ),
        )
    return found


def _box_of(pixels: Array) -> Array:
    """Return x, y, width and height of the box around the pixels that are set, zero for none."""
    ends = []
    for axis in (0, 1):  # columns, then rows
        places = np.flatnonzero(pixels.any(axis=axis))
        ends.append((int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0))
    (left, right), (top, bottom) = ends
    return np.array([left, top, right - left, bottom - top])


def _inside(stand: Stand, camera: Camera, edge: int) -> Bool[Array, "H W"]:
    box = screen_box(stand, camera)
    centres = (np.arange(edge) + 0.5) / edge - 0.5
    across = (centres > box.left) & (centres < box.right)
    up = (-centres > box.bottom) & (-centres < box.top)
    return np.asarray(up[:, None] & across)


def _within(depth: Array, stand: Stand, camera: Camera) -> Bool[Array, "H W"]:
    # Along any ray an object lies within the ball about its bounding cylinder.
    middle = math.dist(camera.position, (stand.x, stand.y, stand.scale / 2))
    reach = math.hypot(RADIUS, 0.5) * stand.scale + DEPTH_SLACK
    return np.asarray(np.abs(depth - middle) < reach)


STATISTICS = (
    "luminance",
    "contrast",
    "colourfulness",
    "edges",
    "detail",
    "compressed size",
    "dark share",
    "bright share",
    "object area",
    "figure against ground",
)
"""What `image_statistics` returns, in order: levels of 255, shares, or bytes per pixel."""


def image_statistics(image: UInt8[Array, "H W 3"], mask: UInt8[Array, "H W"]) -> Array:
    """Return ten statistics of an image."""
    colour = image.astype(float)
    red, green, blue = np.moveaxis(colour, -1, 0)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    object_area = float((mask > 0).mean())
    figure = float(light[mask > 0].mean() - light[mask == 0].mean()) if 0 < object_area < 1 else 0.0
    steps = [np.abs(np.diff(light, axis=axis)) for axis in (0, 1)]
    return np.array(
        [
            light.mean(),
            light.std(),
            # Hasler and Susstrunk 2003
            math.hypot(red_green.std(), yellow_blue.std())
            + 0.3 * math.hypot(red_green.mean(), yellow_blue.mean()),
            steps[0].mean() + steps[1].mean(),
            np.abs(_bends(light)).mean(),
            len(zlib.compress(np.diff(image, axis=1, prepend=0).tobytes(), 1)) / mask.size,
            (light < 16).mean(),
            (light > 239).mean(),
            object_area,
            figure,
        ]
    )


def _bends(light: Array) -> Array:
    middle = light[1:-1, 1:-1]
    return np.asarray(
        4 * middle - light[:-2, 1:-1] - light[2:, 1:-1] - light[1:-1, :-2] - light[1:-1, 2:]
    )


COMPARED = ("shift", "grain", "offset", "spike", "hole")
"""What `compare` returns, in order; NaN where too few pixels tell."""
SAME = 4
"""Levels within which a pixel of an object counts as what stands behind it."""
MOST_GRAIN = 8
"""Levels from which on a pixel's grain counts no more: edges of shadows are sharp, but few."""
ENOUGH = 12
"""Pixels that a comparison needs."""


@dataclass(frozen=True)
class Picture:
    """The pixels and the mask of one image, with the mask grown by one pixel and by a margin."""

    image: Array  # int16 (H, W, 3)
    mask: Array  # bool
    near: Array  # bool
    far: Array  # bool

    @classmethod
    def of(cls, image: UInt8[Array, "H W 3"], mask: UInt8[Array, "H W"]) -> Picture:
        """Return the picture of an image and its mask."""
        here = mask > 0
        near = _grown(here, 1)
        # Contact shadows and blurred edges reach about this far.
        return cls(image.astype(np.int16), here, near, _grown(here, max(2, len(mask) // 16)))


def compare(one: Picture, mate: Picture) -> Float[Array, "5"]:
    """Compare an image with another of its block and surroundings.

    Away from both images' objects the two show the same thing under the same light and noise: the
    median signed difference there, how much it changes from pixel to pixel (shadows and bounces are
    smooth), the median absolute difference, and the largest that stands alone, in levels. Last
    comes the share of the image's own objects, where the other shows none, that shows what the
    other shows: the background.
    """
    difference = one.image - mate.image
    away = ~(one.far | mate.far)
    found = np.full(len(COMPARED), np.nan)
    if away.sum() >= ENOUGH:
        there = difference[away]
        found[0] = np.median(there)
        grain = np.abs(_bends(np.pad(difference, ((1, 1), (1, 1), (0, 0)), mode="edge")))
        found[1] = np.minimum(grain[away], MOST_GRAIN).mean()
        found[2], found[3] = np.median(np.abs(there)), _spike(difference, away)
    alone = one.mask & ~mate.near
    if alone.sum() >= ENOUGH:
        found[4] = (np.abs(difference).max(axis=-1)[alone] <= SAME).mean()
    return found


def _spike(difference: Array, away: Array) -> float:
    # A pixel that differs while at most one of its four neighbours does.
    size = np.pad(np.abs(difference).max(axis=-1), 1, mode="edge")
    middle = size[1:-1, 1:-1]
    around = np.stack([size[:-2, 1:-1], size[2:, 1:-1], size[1:-1, :-2], size[1:-1, 2:]])
    alone = middle - np.partition(around, 2, axis=0)[2]
    return float(alone[away].max(initial=0))


def _grown(mask: Bool[Array, "H W"], by: int) -> Bool[Array, "H W"]:
    """Return a mask grown by so many pixels, in a square."""
    for axis in (0, 1):
        total = mask.copy()
        for step in range(1, by + 1):
            total |= _moved(mask, step, axis) | _moved(mask, -step, axis)
        mask = total
    return mask


def _moved(mask: Array, step: int, axis: int) -> Array:
    moved = np.roll(mask, step, axis)
    edge = slice(0, step) if step > 0 else slice(step, None)
    moved[(edge,) if axis == 0 else (slice(None), edge)] = False
    return moved
