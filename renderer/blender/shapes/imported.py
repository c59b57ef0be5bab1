"""Users' meshes: read from a file by Blender's importers, brought to the standard size."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import bpy
from recombine.renderer.blender.shapes.solid import normalised
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from recombine.renderer.scenes.assets import Asset

FILES: dict[str, Asset] = {}
"""Meshes that scenes of this process have named, by the name that the stage gives them."""


def imported(asset: Asset) -> Any:
    """Return a new mesh of a user's file, with the materials of the file."""
    before = set(bpy.data.objects)
    try:
        _read(asset)
    except (RuntimeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInputError(
            f"asset {asset.name!r}: expected a mesh that Blender can read; reading it failed "
            f"({str(error).strip().splitlines()[-1]}). Export it again."
        ) from error
    new = [thing for thing in bpy.data.objects if thing not in before]
    parts = [thing for thing in new if thing.type == "MESH" and len(thing.data.polygons)]
    if not parts:
        raise InvalidInputError(
            f"asset {asset.name!r}: expected at least one face; got none. Export it again."
        )
    bpy.context.view_layer.update()
    places = [part.matrix_world.copy() for part in parts]
    for part, place in zip(parts, places, strict=True):
        part.data = part.data.copy()  # parts may share one mesh
        part.data.transform(place)
        part.parent = None
        part.matrix_world.identity()
    if len(parts) > 1:
        chosen = {"active_object": parts[0], "selected_editable_objects": parts}
        with bpy.context.temp_override(**chosen):
            bpy.ops.object.join()
    mesh = parts[0].data
    for thing in [thing for thing in bpy.data.objects if thing not in before]:
        bpy.data.objects.remove(thing)
    mesh.name = asset.name
    if not mesh.materials:
        mesh.materials.append(None)
    flat = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", flat)
    points = flat.reshape(-1, 3).astype(float)
    if not np.isfinite(points).all() or not np.ptp(points, axis=0).max() > 0:
        raise InvalidInputError(
            f"asset {asset.name!r}: expected a body of some size; got points that are not finite "
            "or all the same. Export it again."
        )
    mesh.vertices.foreach_set("co", normalised(points).astype(np.float32).ravel())
    mesh.update()
    return mesh


def _read(asset: Asset) -> None:
    """Let Blender import a file."""
    path = str(asset.file)
    if path.endswith(".obj"):
        bpy.ops.wm.obj_import(filepath=path)
        return
    importlib.import_module("addon_utils").enable("io_scene_gltf2")  # Blender's own module
    bpy.ops.import_scene.gltf(filepath=path, loglevel=50)
