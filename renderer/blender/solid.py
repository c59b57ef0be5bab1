"""A shape as plain arrays, and the standard size of every shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.arrays import Array
from recombine.renderer.library import RADIUS

if TYPE_CHECKING:
    from jaxtyping import Float

Faces = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Solid:
    """A closed surface as plain arrays, of any size and position.

    Attributes
    ----------
    vertices : float array of shape (V, 3)
        Positions; z is up.
    faces : tuple of tuples of int
        Vertex indices, counter-clockwise seen from outside.
    bevel : float
        Width of rounded edges in the units of `vertices`; 0 leaves edges as they are.
    subdivide : int
        Catmull-Clark levels, which turn a cage into a smooth body.
    """

    vertices: Float[Array, "V 3"]
    faces: Faces
    bevel: float = 0.0
    subdivide: int = 0


def normalised(vertices: Float[Array, "V 3"]) -> Float[Array, "V 3"]:
    """Scale and move vertices so that they stand on z = 0 inside the unit cube.

    Parameters
    ----------
    vertices : float array of shape (V, 3)
        Positions, not all equal.

    Returns
    -------
    float array of shape (V, 3)
        Uniformly scaled: the longest extent is 1, unless a point would then lie farther than
        `RADIUS` from the vertical axis through the centre of the box; then that distance is
        `RADIUS`.
    """
    low, high = vertices.min(0), vertices.max(0)
    base = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    moved = vertices - base
    reach = np.hypot(moved[:, 0], moved[:, 1]).max()
    return np.asarray(moved * min(1.0 / (high - low).max(), RADIUS / reach))
