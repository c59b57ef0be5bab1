"""From arrays of vertices and faces to a Blender mesh of standard size, shaded as seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import bpy
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

    vertices: Float[np.ndarray, "V 3"]
    faces: Faces
    bevel: float = 0.0
    subdivide: int = 0


def normalised(vertices: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 3"]:
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


def _modify(target: Any, solid: Solid) -> None:
    """Add the modifiers that round the edges and smooth the body."""
    if solid.subdivide:
        modifier = target.modifiers.new("smooth", "SUBSURF")
        modifier.levels = modifier.render_levels = solid.subdivide
    if solid.bevel:
        modifier = target.modifiers.new("bevel", "BEVEL")
        modifier.width = solid.bevel
        modifier.segments = 4
        modifier.limit_method = "ANGLE"
        modifier.angle_limit = math.radians(25)
        # Flat faces keep flat shading up to the rounded edge.
        modifier = target.modifiers.new("normals", "WEIGHTED_NORMAL")
        modifier.keep_sharp = True
        modifier.weight = 100


def to_mesh(solid: Solid, name: str) -> Any:
    """Return a new Blender mesh of a solid: modifiers applied, normalised, smooth where smooth.

    Parameters
    ----------
    solid : Solid
        What to build.
    name : str
        Name of the mesh.

    Returns
    -------
    bpy.types.Mesh
        Without materials; its extent is that of `normalised`.
    """
    cage = bpy.data.meshes.new(f"{name} cage")
    cage.from_pydata(solid.vertices.tolist(), [], solid.faces)
    cage.shade_smooth()
    if not solid.bevel:
        cage.set_sharp_from_angle(angle=math.radians(40))
    target = bpy.data.objects.new(name, cage)
    bpy.context.scene.collection.objects.link(target)
    _modify(target, solid)
    graph = bpy.context.evaluated_depsgraph_get()
    mesh = bpy.data.meshes.new_from_object(target.evaluated_get(graph), depsgraph=graph)
    bpy.data.objects.remove(target)
    bpy.data.meshes.remove(cage)
    mesh.name = name
    mesh.materials.append(None)  # a place that each object fills with its own material
    flat = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", flat)
    mesh.vertices.foreach_set("co", normalised(flat.reshape(-1, 3)).astype(np.float32).ravel())
    mesh.update()
    return mesh
