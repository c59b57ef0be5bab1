"""Users' own meshes, photographs and textures join the tables of the library, once per process."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.blender.api import bpy
from recombine.renderer.blender.environments.coverings import PHOTOGRAPHS
from recombine.renderer.blender.environments.floors import FLOORS
from recombine.renderer.blender.environments.surfaces import Floor
from recombine.renderer.blender.environments.table import ENVIRONMENTS, Environment
from recombine.renderer.blender.shapes.imported import FILES
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.planning.assets import check_file

if TYPE_CHECKING:
    from recombine.renderer.scenes.assets import Asset
    from recombine.renderer.scenes.scene import Scene

PLAIN_FLOOR = "asphalt"
"""Floor below a photograph that names no texture."""
LARGEST = 1024  # edge of a texture, pixels; larger ones are scaled down
STEP = 8  # textures are averaged in squares of this edge, see `coverings.shrink`


def adopted(scene: Scene) -> Scene:
    """Return a scene whose users' assets have names that this process's tables know."""
    # A name carries the hash, so that two datasets may call different files the same.
    if not scene.assets:
        return scene
    textures = {a.name: a for a in scene.assets if a.kind == "texture"}
    shapes = {a.name: _mesh(a) for a in scene.assets if a.kind == "mesh"}
    around = {
        a.name: _surroundings(a, textures.get(a.floor)) for a in scene.assets if a.kind == "hdri"
    }
    lights = {a.name: _light(a) for a in scene.assets if a.kind == "hdri"}
    objects = tuple(o and replace(o, shape=shapes.get(o.shape, o.shape)) for o in scene.objects)
    return replace(
        scene,
        objects=objects,
        environment=around.get(scene.environment, scene.environment),
        light=lights.get(scene.light, scene.light),
        assets=(),
    )


def _key(asset: Asset) -> str:
    return f"{asset.name} {asset.sha256[:16]}"


@cache
def _mesh(asset: Asset) -> str:
    """Enter a mesh into the table of shapes."""
    check_file(asset)
    FILES[_key(asset)] = asset
    return _key(asset)


@cache
def _light(asset: Asset) -> str:
    """Enter a photograph into the table of lights."""
    check_file(asset)
    PHOTOGRAPHS[f"{_key(asset)} light"] = asset
    return f"{_key(asset)} light"


@cache
def _surroundings(asset: Asset, below: Asset | None) -> str:
    """Enter a photograph with its floor into the table of environments."""
    check_file(asset)
    floor = PLAIN_FLOOR
    if below is not None:
        check_file(below)
        floor = f"{_key(below)} {below.metres}"
        FLOORS[floor] = partial(textured, below)
    name = f"{_key(asset)} on {floor}"
    PHOTOGRAPHS[name] = asset
    ENVIRONMENTS[name] = Environment(floor, panorama=name, strength=1.2, fade=(2.0, 4.5))
    return name


def textured(asset: Asset) -> Floor:
    """Return a floor of a user's texture, flat and matte."""
    loaded = bpy.data.images.load(str(asset.file))
    width, height = loaded.size
    if width == 0 or width != height:
        raise InvalidInputError(
            f"asset {asset.name!r}: expected a square texture; got {width} x {height} pixels. "
            "Crop it to one tile."
        )
    edge = min(width, LARGEST)
    edge -= edge % STEP if edge >= 64 else 0
    if edge != width:
        loaded.scale(edge, edge)
    rgba = np.empty(edge * edge * 4, np.float32)
    loaded.pixels.foreach_get(rgba)
    encoded = not loaded.is_float
    bpy.data.images.remove(loaded)
    colour = np.clip(rgba.reshape(edge, edge, 4)[..., :3].astype(float), 0.0, 1.0)
    if encoded:  # the inverse of the sRGB curve (IEC 61966-2-1)
        colour = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    flat = np.broadcast_to([0.5, 0.5, 1.0], (STEP, STEP, 3))
    return Floor(np.clip(colour, 0.0, 0.9), flat, asset.metres)
