"""Shapes made on a lathe: a profile of (radius, height) points turned about the vertical."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline

from recombine.renderer.blender.shapes.solid import Solid, joined, placed
from recombine.renderer.blender.shapes.swept import lofted, tube
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


SEGMENTS = 80


def turned(profile: Float[Array, "P 2"], segments: int = SEGMENTS) -> Solid:
    """Turn a profile about the vertical axis."""
    angle = np.arange(segments) * (2 * np.pi / segments)
    inner = profile[1:-1]
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    body = np.concatenate(
        [inner[:, None, :1] * ring[None], np.repeat(inner[:, None, 1:], segments, 1)], axis=2
    ).reshape(-1, 3)
    bottom, top = len(body), len(body) + 1
    poles = [[0.0, 0.0, profile[0, 1]], [0.0, 0.0, profile[-1, 1]]]
    faces: list[tuple[int, ...]] = []
    last = (len(inner) - 1) * segments
    for j in range(segments):
        k = (j + 1) % segments
        faces.append((bottom, k, j))
        faces.append((top, last + j, last + k))
        faces.extend(
            (i + j, i + k, i + segments + k, i + segments + j) for i in range(0, last, segments)
        )
    return Solid(np.concatenate([body, poles]), tuple(faces))


def rounded(points: Sequence[tuple[float, float, float]], steps: int = 6) -> Float[Array, "P 2"]:
    """Replace the corners of a polyline by arcs (quadratic Bezier curves)."""
    corners = np.array([p[:2] for p in points])
    out = [corners[0]]
    for i in range(1, len(points) - 1):
        cut = points[i][2]
        if not cut:
            out.append(corners[i])
            continue
        before, after = corners[i - 1] - corners[i], corners[i + 1] - corners[i]
        start = corners[i] + before / np.linalg.norm(before) * cut
        end = corners[i] + after / np.linalg.norm(after) * cut
        t = np.linspace(0, 1, steps)[:, None]
        out.extend((1 - t) ** 2 * start + 2 * t * (1 - t) * corners[i] + t**2 * end)
    out.append(corners[-1])
    return np.array(out)


def flowing(points: Sequence[tuple[float, float]], steps: int = 48) -> Float[Array, "P 2"]:
    """Draw a smooth curve through points, by a cubic spline over the chord length."""
    knots = np.array(points, dtype=float)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    curve = np.asarray(CubicSpline(length, knots)(np.linspace(0, length[-1], steps)))
    curve[:, 0] = np.maximum(curve[:, 0], 0.0)
    return curve


def sphere() -> Solid:
    """Return a ball."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 49)
    return turned(np.stack([np.cos(t), np.sin(t)], axis=1))


def cylinder() -> Solid:
    """Return an upright drum with rounded rims."""
    return turned(rounded([(0, 0, 0), (0.44, 0, 0.06), (0.44, 1, 0.06), (0, 1, 0)]))


def cone() -> Solid:
    """Return an upright cone with a rounded rim and tip."""
    return turned(rounded([(0, 0, 0), (0.5, 0, 0.05), (0.03, 0.97, 0.03), (0.0, 1.0, 0)]))


def vase() -> Solid:
    """Return a bellied vase with a narrow neck and a flared, open lip."""
    outside = flowing(
        [(0.2, 0), (0.3, 0.1), (0.4, 0.38), (0.26, 0.68), (0.13, 0.82), (0.17, 0.94), (0.24, 1.0)]
    )
    inside = flowing([(0.215, 0.99), (0.14, 0.93), (0.10, 0.82), (0.2, 0.68), (0.25, 0.5)], 20)
    ends = np.array([[0.0, 0.0]]), np.array([[0.0, 0.45]])
    return turned(np.concatenate([ends[0], outside, inside, ends[1]]))


def bowl() -> Solid:
    """Return a deep bowl on a foot ring."""
    outside = rounded([(0, 0.0, 0), (0.2, 0.0, 0.02), (0.2, 0.06, 0.02), (0.26, 0.07, 0)], 5)
    t = np.linspace(0.15, 1.0, 24) * np.pi / 2
    shell = np.stack([0.2 + 0.3 * np.sin(t), 0.62 - 0.56 * np.cos(t)], axis=1)
    hollow = np.stack([0.16 + 0.3 * np.sin(t), 0.62 - 0.5 * np.cos(t)], axis=1)[::-1]
    bottom = np.array([[0.0, hollow[-1, 1] - 0.01]])
    return turned(np.concatenate([outside[:-1], shell, hollow, bottom]))


def pawn() -> Solid:
    """Return a chess pawn: foot, waist, collar and round head."""
    body = rounded(
        [
            (0, 0, 0), (0.34, 0, 0.03), (0.34, 0.12, 0.05), (0.22, 0.2, 0.06), (0.13, 0.5, 0.1),
            (0.13, 0.6, 0.02), (0.24, 0.62, 0.02), (0.24, 0.66, 0.02), (0.12, 0.69, 0),
        ],
        7,
    )  # fmt: skip
    t = np.linspace(-0.9, np.pi / 2, 28)
    head = np.stack([0.2 * np.cos(t), 0.8 + 0.2 * np.sin(t)], axis=1)
    return turned(np.concatenate([body[:-1], head]))


def hourglass() -> Solid:
    """Return an hourglass: two bells that meet in a waist."""
    side = flowing(
        [(0.4, 0.06), (0.32, 0.2), (0.1, 0.47), (0.1, 0.53), (0.32, 0.8), (0.4, 0.94)], 40
    )
    rim = rounded([(0, 0, 0), (0.42, 0, 0.025), (0.42, 0.06, 0.025), (0.38, 0.06, 0)], 5)[:-1]
    lid = rim[::-1] * [1, -1] + [0, 1]
    return turned(np.concatenate([rim, side, lid]))


def mushroom() -> Solid:
    """Return a mushroom: a stout stem under a domed cap."""
    stem = rounded(
        [(0, 0, 0), (0.22, 0, 0.06), (0.15, 0.3, 0.1), (0.15, 0.5, 0.02), (0.42, 0.46, 0.03)], 7
    )
    t = np.linspace(0.0, np.pi / 2, 26)
    cap = np.stack([0.48 * np.cos(t), 0.48 + 0.42 * np.sin(t)], axis=1)
    return turned(np.concatenate([stem[:-1], cap]))


def pumpkin() -> Solid:
    """Return a ribbed pumpkin with a stalk."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 41)
    fruit = np.stack([np.cos(t) ** 0.8 * 0.5, 0.36 + 0.36 * np.sin(t)], axis=1)
    fruit[-8:, 1] -= 0.06 * np.linspace(0, 1, 8) ** 2  # the dimple
    stalk = rounded([(0.075, 0.64, 0), (0.055, 0.82, 0.02), (0, 0.84, 0)])
    solid = turned(np.concatenate([fruit[:-2], stalk]), 128)
    xyz = solid.vertices
    radius = np.hypot(xyz[:, 0], xyz[:, 1])
    angle = np.arctan2(xyz[:, 1], xyz[:, 0])
    rib = 1 - 0.16 * (1 - np.abs(np.sin(4 * angle)) ** 0.6) * np.clip((radius - 0.1) / 0.2, 0, 1)
    return Solid(xyz * np.stack([rib, rib, np.ones_like(rib)], axis=1), solid.faces)


# More shapes from the lathe, some with parts that no lathe can make.


def goblet() -> Solid:
    """Return a wide open cup on a thin, knobbed stem."""
    foot = rounded([(0, 0, 0), (0.30, 0, 0.02), (0.30, 0.035, 0.02), (0.06, 0.10, 0.05)], 6)
    stem = flowing([(0.05, 0.12), (0.04, 0.2), (0.085, 0.29), (0.04, 0.37), (0.06, 0.44)], 28)
    outside = flowing([(0.09, 0.46), (0.3, 0.56), (0.395, 0.76), (0.37, 1.0)], 26)
    inside = flowing([(0.345, 0.995), (0.365, 0.77), (0.27, 0.6), (0.07, 0.52)], 22)
    bottom = np.array([[0.0, 0.515]])
    return turned(np.concatenate([foot[:-1], stem, outside, inside, bottom]))


def _merlon(middle: float, half: float, low: float, high: float) -> Solid:
    """Return one tooth of a battlement: a block of a ring wall."""
    angle = np.linspace(middle - half, middle + half, 9)
    section = np.array([(0.20, low), (0.335, low), (0.335, high), (0.20, high)])
    radius, height = section[None, :, 0], np.broadcast_to(section[None, :, 1], (9, 4))
    x, y = np.cos(angle)[:, None] * radius, np.sin(angle)[:, None] * radius
    return lofted(np.stack([x, y, height], axis=-1)[:, ::-1])


def rook() -> Solid:
    """Return a chess rook: a tower with battlements."""
    body = rounded(
        [
            (0, 0, 0), (0.4, 0, 0.03), (0.4, 0.13, 0.05), (0.3, 0.2, 0.05), (0.235, 0.62, 0.1),
            (0.335, 0.68, 0.03), (0.335, 0.87, 0.004), (0.20, 0.87, 0.004), (0.20, 0.8, 0.004),
            (0, 0.8, 0),
        ],
        6,
    )  # fmt: skip
    teeth = [_merlon(k * np.pi / 3 + 0.3, 0.33, 0.86, 1.02) for k in range(6)]
    return joined(turned(body), *teeth)


def pear() -> Solid:
    """Return a pear with a bent stalk."""
    body = flowing(
        [
            (0.05, 0.03), (0.2, 0.0), (0.36, 0.16), (0.36, 0.36), (0.23, 0.6), (0.155, 0.76),
            (0.1, 0.845), (0.03, 0.83),
        ],
        56,
    )  # fmt: skip
    ends = np.array([[0.0, 0.045]]), np.array([[0.0, 0.82]])
    fruit = turned(np.concatenate([ends[0], body, ends[1]]))
    t = np.linspace(0, 1, 10)
    bend = np.stack([0.07 * t**2, 0.03 * t, 0.79 + 0.2 * t], axis=1)
    return joined(fruit, tube(bend, 0.024 + 0.008 * t, closed=False, sides=14))


def barrel() -> Solid:
    """Return a cask of staves with four iron hoops and sunken lids."""
    t = np.linspace(0, 1, 41)
    belly = 0.33 + 0.11 * np.sin(np.pi * t)
    for centre in (0.06, 0.28, 0.72, 0.94):
        belly = belly + 0.026 * (np.abs(t - centre) < 0.048)
    side = np.stack([belly, t], axis=1)
    low = np.array([(0, 0.05), (0.285, 0.05), (0.29, 0.0)])
    solid = turned(np.concatenate([low, side, low[::-1] * [1, -1] + [0, 1]]), 120)
    xyz = solid.vertices
    angle = np.arctan2(xyz[:, 1], xyz[:, 0])
    hoop = np.min(np.abs(xyz[:, 2:] - [[0.06, 0.28, 0.72, 0.94]]), axis=1) < 0.06
    groove = 1 - np.where(hoop, 0.0, 0.045) * (np.abs(np.sin(7.5 * angle)) < 0.2)
    return Solid(xyz * np.stack([groove, groove, np.ones_like(groove)], axis=1), solid.faces)


def teapot() -> Solid:
    """Return a round teapot with a lid, a curved spout and a handle."""
    body = rounded([(0, 0, 0), (0.19, 0, 0.01), (0.19, 0.035, 0.01), (0.2, 0.04, 0)], 4)
    belly = flowing([(0.22, 0.045), (0.385, 0.24), (0.34, 0.44), (0.175, 0.535)], 30)
    lid = flowing([(0.19, 0.54), (0.185, 0.56), (0.11, 0.625), (0.035, 0.64)], 14)
    knob = flowing([(0.03, 0.65), (0.08, 0.695), (0.06, 0.75), (0.012, 0.765)], 14)
    top = np.array([[0.0, 0.765]])
    pot = turned(np.concatenate([body[:-1], belly, lid, knob, top]))
    path = flowing([(0.26, 0.17), (0.37, 0.22), (0.40, 0.37), (0.47, 0.49)], 26)
    t = np.linspace(0, 1, 26)
    spout = tube(np.insert(path, 1, 0.0, axis=1), 0.088 - 0.05 * t**0.8, closed=False, sides=20)
    path = flowing([(0.28, 0.46), (0.41, 0.48), (0.46, 0.36), (0.42, 0.2), (0.31, 0.14)], 30)
    handle = tube(np.insert(path, 1, 0.0, axis=1) * [-1, 1, 1], 0.036, closed=False, sides=16)
    return joined(pot, spout, handle)


def lamp() -> Solid:
    """Return a desk lamp: a heavy foot, a bent arm and a conical head."""
    foot = turned(rounded([(0, 0, 0), (0.3, 0, 0.02), (0.3, 0.08, 0.04), (0, 0.11, 0)], 7))
    points = [(-0.12, 0.08), (-0.2, 0.3), (-0.23, 0.48), (-0.16, 0.62), (0.02, 0.78)]
    path = np.insert(flowing([(r + 1, z) for r, z in points], 30) - [1, 0], 1, 0.0, axis=1)
    arm = tube(path, 0.055, closed=False, sides=16)
    bell = rounded(
        [(0, 0.44, 0), (0.09, 0.44, 0.02), (0.1, 0.33, 0.02), (0.33, 0.0, 0.004),
         (0.31, 0.0, 0.004), (0.09, 0.31, 0.02), (0, 0.31, 0)], 6
    )[::-1]  # fmt: skip
    head = turned(bell[::-1] * [1, -1] + [0, 0.44])
    return joined(
        placed(foot, move=(-0.12, 0, 0)),
        arm,
        placed(head, move=(-0.05, 0, 0.87), turn=(0, 2.45, 0)),
    )
