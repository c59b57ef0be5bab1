"""The table of shapes, and their Blender meshes, each built once per process.

A new shape is one function in a `shapes_*` module, one line in `SHAPES` and its name in
`recombine.renderer.scenes.library`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import bpy
from recombine.renderer.blender.shapes import built as shapes_built
from recombine.renderer.blender.shapes import flat as shapes_flat
from recombine.renderer.blender.shapes import grown as shapes_grown
from recombine.renderer.blender.shapes import lathe as shapes_turned
from recombine.renderer.blender.shapes import lathe as shapes_vessels
from recombine.renderer.blender.shapes import swept as shapes_curved
from recombine.renderer.blender.shapes.solid import Solid, normalised

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
    "goblet": shapes_vessels.goblet,
    "rook": shapes_vessels.rook,
    "shell": shapes_built.shell,
    "rock": shapes_grown.rock,
    "pear": shapes_vessels.pear,
    "crescent": shapes_built.crescent,
    "chair": shapes_built.chair,
    "table": shapes_built.table,
    "lamp": shapes_vessels.lamp,
    "duck": shapes_grown.duck,
    "fish": shapes_grown.fish,
    "cactus": shapes_grown.cactus,
    "crystal": shapes_built.crystal,
    "teapot": shapes_vessels.teapot,
    "barrel": shapes_vessels.barrel,
    "propeller": shapes_built.propeller,
}


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
    """Return a new Blender mesh of a solid: modifiers applied, normalised, smooth where smooth."""
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


@cache
def mesh(name: str) -> Any:
    """Return the mesh of a shape."""
    return to_mesh(SHAPES[name](), name)
