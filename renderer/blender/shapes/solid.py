"""A shape as plain arrays, and the standard size of every shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.types import Array
from recombine.renderer.scenes.library import RADIUS

if TYPE_CHECKING:
    from jaxtyping import Float

Faces = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Solid:
    """A closed surface as plain arrays, of any size and position."""

    vertices: Float[Array, "V 3"]  # positions; z is up
    faces: Faces  # vertex indices, counter-clockwise seen from outside
    # width of rounded edges in the units of `vertices`; 0 leaves edges as they are
    bevel: float = 0.0
    subdivide: int = 0  # catmull-Clark levels, which turn a cage into a smooth body


def joined(*parts: Solid) -> Solid:
    """Put several bodies into one; where they overlap they look grown together."""
    faces: list[tuple[int, ...]] = []
    start = 0
    for part in parts:
        faces += [tuple(start + i for i in face) for face in part.faces]
        start += len(part.vertices)
    return Solid(
        np.concatenate([part.vertices for part in parts]),
        tuple(faces),
        max(part.bevel for part in parts),
        max(part.subdivide for part in parts),
    )


def placed(
    solid: Solid,
    move: tuple[float, float, float] = (0.0, 0.0, 0.0),
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
    size: float | tuple[float, float, float] = 1.0,
) -> Solid:
    """Scale a body, turn it about x, then y, then z, and move it."""
    a, b, c = turn
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    vertices = (solid.vertices * size) @ (about_z @ about_y @ about_x).T + np.array(move)
    return Solid(vertices, solid.faces, solid.bevel, solid.subdivide)


def normalised(vertices: Float[Array, "V 3"]) -> Float[Array, "V 3"]:
    """Scale and move vertices so that they stand on z = 0 inside the unit cube."""
    low, high = vertices.min(0), vertices.max(0)
    base = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    moved = vertices - base
    reach = np.hypot(moved[:, 0], moved[:, 1]).max()
    return np.asarray(moved * min(1.0 / (high - low).max(), RADIUS / reach))
