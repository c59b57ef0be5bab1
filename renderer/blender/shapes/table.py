"""The table of shapes, and their Blender meshes, each built once per process.

A new shape is one function of its name in a module of this folder, and one line in
`recombine.renderer.scenes.library`.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import bpy
from recombine.renderer.blender.shapes.imported import FILES, imported
from recombine.renderer.blender.shapes.solid import Solid, normalised
from recombine.renderer.scenes.library import SHAPE_MODULES

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES: dict[str, Callable[[], Solid]] = {
    name: getattr(import_module(f"recombine.renderer.blender.{module}"), name)
    for name, module in SHAPE_MODULES.items()
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
    """Return the mesh of a shape, or of a user's file."""
    if name in FILES:
        return imported(FILES[name])
    return to_mesh(SHAPES[name](), name)
