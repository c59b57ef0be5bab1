"""A shape as plain arrays, and the standard size of every shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import ConvexHull

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


def mass_centre(solid: Solid) -> Float[Array, " 3"]:
    """Return the centre of mass of a solid of even density."""
    fans = [(face[0], a, b) for face in solid.faces for a, b in pairwise(face[1:])]
    a, b, c = (solid.vertices[list(corner)] for corner in zip(*fans, strict=True))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    return np.asarray(((a + b + c) / 4 * volume[:, None]).sum(0) / volume.sum())


def footed(solid: Solid, share: float) -> Solid:
    """Flatten the lowest share of a body's height, so that it stands on a patch, not on a point."""
    low, high = solid.vertices[:, 2].min(), solid.vertices[:, 2].max()
    height = np.maximum(solid.vertices[:, 2], low + share * (high - low))
    return replace(solid, vertices=np.column_stack([solid.vertices[:, :2], height]))


def resting(solid: Solid) -> Solid:
    """Turn a body as little as possible so that it rests where it does not tip over."""
    hull, centre = ConvexHull(solid.vertices), mass_centre(solid)
    best = None
    for plane, corners in zip(hull.equations, hull.simplices, strict=True):
        down, below = plane[:3], centre - plane[:3] * (plane[:3] @ centre + plane[3])
        edges = solid.vertices[np.roll(corners, -1)] - solid.vertices[corners]
        side = np.cross(edges, below - solid.vertices[corners]) @ down
        stands = (side >= -1e-9).all() or (side <= 1e-9).all()  # whichever way the corners run
        if stands and (best is None or -down[2] > -best[2]):
            best = down
    assert best is not None  # noqa: S101  (the facet nearest to the centre of mass is one)
    axis, cosine = np.cross(best, [0.0, 0.0, -1.0]), -best[2]
    x, y, z = axis
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turn = np.eye(3) + skew + skew @ skew / (1 + cosine)
    return replace(solid, vertices=solid.vertices @ turn.T)


def normalised(vertices: Float[Array, "V 3"]) -> Float[Array, "V 3"]:
    """Scale and move vertices so that they stand on z = 0 inside the unit cube."""
    low, high = vertices.min(0), vertices.max(0)
    base = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    moved = vertices - base
    reach = np.hypot(moved[:, 0], moved[:, 1]).max()
    return np.asarray(moved * min(1.0 / (high - low).max(), RADIUS / reach))
