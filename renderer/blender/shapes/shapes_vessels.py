"""More shapes from the lathe, some with parts that no lathe can make."""

from __future__ import annotations

import numpy as np

from recombine.renderer.blender.shapes.shapes_turned import flowing, rounded, turned
from recombine.renderer.blender.shapes.solid import Solid, joined, placed
from recombine.renderer.blender.shapes.swept import lofted, tube


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
    belly = flowing([(0.22, 0.045), (0.37, 0.22), (0.33, 0.42), (0.175, 0.52)], 30)
    lid = flowing([(0.19, 0.525), (0.185, 0.545), (0.11, 0.59), (0.035, 0.605)], 14)
    knob = flowing([(0.03, 0.612), (0.068, 0.65), (0.05, 0.69), (0.012, 0.705)], 14)
    top = np.array([[0.0, 0.705]])
    pot = turned(np.concatenate([body[:-1], belly, lid, knob, top]))
    path = flowing([(0.26, 0.17), (0.39, 0.23), (0.43, 0.37), (0.51, 0.49)], 26)
    t = np.linspace(0, 1, 26)
    spout = tube(np.insert(path, 1, 0.0, axis=1), 0.088 - 0.05 * t**0.8, closed=False, sides=20)
    path = flowing([(0.28, 0.44), (0.42, 0.47), (0.48, 0.35), (0.42, 0.19), (0.31, 0.14)], 30)
    handle = tube(np.insert(path, 1, 0.0, axis=1) * [-1, 1, 1], 0.036, closed=False, sides=16)
    return joined(pot, spout, handle)


def lamp() -> Solid:
    """Return a desk lamp: a heavy foot, a bent arm and a conical head."""
    foot = turned(rounded([(0, 0, 0), (0.27, 0, 0.02), (0.27, 0.07, 0.04), (0, 0.09, 0)], 7))
    points = [(-0.12, 0.07), (-0.2, 0.3), (-0.23, 0.5), (-0.16, 0.66), (0.04, 0.86)]
    path = np.insert(flowing([(r + 1, z) for r, z in points], 30) - [1, 0], 1, 0.0, axis=1)
    arm = tube(path, 0.042, closed=False, sides=16)
    bell = rounded(
        [(0, 0.36, 0), (0.075, 0.36, 0.02), (0.085, 0.27, 0.02), (0.255, 0.0, 0.004),
         (0.235, 0.0, 0.004), (0.07, 0.25, 0.02), (0, 0.25, 0)], 6
    )[::-1]  # fmt: skip
    head = turned(bell[::-1] * [1, -1] + [0, 0.36])
    return joined(
        placed(foot, move=(-0.12, 0, 0)), arm, placed(head, move=(-0.02, 0, 0.9), turn=(0, 2.45, 0))
    )
