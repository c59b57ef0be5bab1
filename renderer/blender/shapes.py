"""The table of shapes, and their Blender meshes, each built once per process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from recombine.renderer.blender import shapes_curved, shapes_flat, shapes_turned
from recombine.renderer.blender.solid import Solid, to_mesh

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES: dict[str, Callable[[], Solid]] = {
    "sphere": shapes_turned.sphere,
    "cube": shapes_flat.cube,
    "vase": shapes_turned.vase,
    "torus": shapes_curved.torus,
    "pawn": shapes_turned.pawn,
    "star": shapes_flat.star,
    "spring": shapes_curved.spring,
    "pumpkin": shapes_turned.pumpkin,
    "cylinder": shapes_turned.cylinder,
    "cone": shapes_turned.cone,
    "bowl": shapes_turned.bowl,
    "hourglass": shapes_turned.hourglass,
    "mushroom": shapes_turned.mushroom,
    "octahedron": shapes_flat.octahedron,
    "gear": shapes_flat.gear,
    "knot": shapes_curved.knot,
}


@cache
def mesh(name: str) -> Any:
    """Return the mesh of a shape.

    Parameters
    ----------
    name : str
        A key of `SHAPES`.

    Returns
    -------
    bpy.types.Mesh
        Shared by every object of that shape.
    """
    return to_mesh(SHAPES[name](), name)
