"""Blender meshes, materials and worlds of the environments, each built once per process."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import bpy
from recombine.renderer.blender.environments.backdrops import BACKDROPS, PAINTED
from recombine.renderer.blender.environments.coverings import covering, image, photograph
from recombine.renderer.blender.environments.floors import FLOORS
from recombine.renderer.blender.environments.lights import RIGS, Lamp
from recombine.renderer.blender.environments.skies import SKIES, dome
from recombine.renderer.blender.environments.surfaces import Piece
from recombine.renderer.blender.environments.table import ENVIRONMENTS
from recombine.renderer.planning.assets import hdri

if TYPE_CHECKING:
    from recombine.renderer.blender.environments.skies import Panorama

OWN = "own"  # the light that an environment brings along
LAMPS = 2  # a rig has at most so many
PHOTOGRAPH_MEAN = 0.7  # radiance, over the whole sphere

HALF_FLOOR = 60.0


def _strips(name: str, pieces: list[Piece]) -> Any:
    """Return a mesh of strips along x, with UV in metres and one material index per piece."""
    corners, place, owner = [], [], []
    for index, piece in enumerate(pieces):
        section, half = piece.section, piece.half_width
        length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(section, axis=0).T))])
        for i in range(len(section) - 1):
            ring = ((-half, i), (half, i), (half, i + 1), (-half, i + 1))
            corners += [(x, float(section[k, 0]), float(section[k, 1])) for x, k in ring]
            place += [(x, length[k]) for x, k in ring]
            owner.append(index)
    mesh = bpy.data.meshes.new(name)
    faces = np.arange(len(corners)).reshape(-1, 4).tolist()
    mesh.from_pydata(corners, [], faces)
    mesh.polygons.foreach_set("material_index", owner)
    mesh.uv_layers.new(name="UV").data.foreach_set("uv", np.array(place, np.float32).ravel())
    mesh.update()
    return mesh


@cache
def _meshes(name: str, factor: int) -> tuple[Any, Any]:
    """Return floor and backdrop of an environment; their arrays are let go again."""
    recipe = ENVIRONMENTS[name]
    pieces, floor = BACKDROPS[recipe.backdrop](), FLOORS[recipe.floor]()
    # It ends where the backdrop begins, or a painted distance would cover what rays still hit.
    end = min(float(piece.section[0, 0]) for piece in pieces)
    section = np.array([[-HALF_FLOOR, 0.0], [end, 0.0]])
    ground = _strips(f"{name} floor", [Piece(section, HALF_FLOOR, floor)])
    ground.materials.append(covering(f"{name} floor", floor, factor))
    behind = _strips(f"{name} backdrop", pieces)
    for index, piece in enumerate(pieces):
        title = f"{name} backdrop {index}"
        behind.materials.append(covering(title, piece.covering, factor, painted=painted(name)))
    return ground, behind


def floor_mesh(name: str, factor: int) -> Any:
    """Return the floor of an environment as a mesh with its material.

    Parameters
    ----------
    name : str
        A key of `ENVIRONMENTS`.
    factor : int
        Textures are averaged down by it.

    Returns
    -------
    bpy.types.Mesh
        One face in the plane z = 0, up to where the backdrop begins.
    """
    return _meshes(name, factor)[0]


def backdrop_mesh(name: str, factor: int) -> Any:
    """Return the backdrop of an environment as a mesh with its materials.

    Parameters
    ----------
    name : str
        A key of `ENVIRONMENTS`.
    factor : int
        Textures are averaged down by it.

    Returns
    -------
    bpy.types.Mesh
        All pieces in one mesh.
    """
    return _meshes(name, factor)[1]


def painted(name: str) -> bool:
    """Tell whether the backdrop of an environment is a painted distance, not a thing.

    Parameters
    ----------
    name : str
        A key of `ENVIRONMENTS`.

    Returns
    -------
    bool
        True if rays that reach it count as reaching nothing.
    """
    return ENVIRONMENTS[name].backdrop in PAINTED


@cache
def world(environment: str, light: str) -> Any:
    """Return the surroundings that light a scene.

    Parameters
    ----------
    environment : str
        A key of `ENVIRONMENTS`; its own sky is used where the light is its own.
    light : str
        ``"own"``, a key of `RIGS`, or a photograph of a user's ledger.

    Returns
    -------
    bpy.types.World
        With a mapping node "turn" whose rotation turns the light about the vertical.
    """
    if is_photograph(light):
        return _photographed(light)
    return _drawn(environment if light == OWN else light, own=light == OWN)


def is_photograph(light: str) -> bool:
    """Tell whether a light is a photograph of a user's ledger, as in `assets.hdri`.

    Parameters
    ----------
    light : str
        Light of a scene.

    Returns
    -------
    bool
        Neither ``"own"`` nor a rig, but ``"ledger.toml#name"``.
    """
    return "#" in light


@cache
def _drawn(name: str, *, own: bool) -> Any:
    """Return the world of an environment's own light, or of a rig."""
    if own:
        return _world(name, SKIES[ENVIRONMENTS[name].sky](), ENVIRONMENTS[name].strength)
    return _world(name, dome(RIGS[name].zenith, RIGS[name].horizon), 1.0)


@cache
def _photographed(light: str) -> Any:
    """Return the world of a photograph, as bright on the whole as an overcast sky."""
    panorama = photograph(hdri(light))
    height = len(panorama)
    cosine = np.cos((np.arange(height) + 0.5) / height * np.pi - np.pi / 2)
    mean = float(np.average(panorama.mean((1, 2)), weights=cosine))
    return _world(light, panorama, PHOTOGRAPH_MEAN / max(mean, 1e-6))


def _world(name: str, panorama: Panorama, strength: float) -> Any:
    """Return a world that shows a panorama."""
    made = bpy.data.worlds.new(f"{name} world")
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    place = nodes.new("ShaderNodeTexCoord")
    turn = nodes.new("ShaderNodeMapping")
    turn.name = "turn"
    picture = nodes.new("ShaderNodeTexEnvironment")
    picture.image = image(f"{name} sky", panorama, "light")
    background = nodes["Background"]
    background.inputs["Strength"].default_value = strength
    links.new(place.outputs["Generated"], turn.inputs["Vector"])
    links.new(turn.outputs["Vector"], picture.inputs["Vector"])
    links.new(picture.outputs["Color"], background.inputs["Color"])
    # An automatic importance map would be as large as the picture asks for; this one is exact.
    made.cycles.sampling_method = "MANUAL"
    made.cycles.sample_map_resolution = 256
    return made


def lamps(environment: str, light: str) -> tuple[Lamp, ...]:
    """Return the lamps of a scene.

    Parameters
    ----------
    environment : str
        A key of `ENVIRONMENTS`.
    light : str
        ``"own"`` or a key of `RIGS`.

    Returns
    -------
    tuple of Lamp
        At most `LAMPS`.
    """
    if is_photograph(light):
        return ()
    if light != OWN:
        return RIGS[light].lamps
    sun = ENVIRONMENTS[environment].sun
    return () if sun is None else (sun,)


def distance(light: str) -> tuple[float, float, float]:
    """Return what painted distances are multiplied by under a light.

    Parameters
    ----------
    light : str
        ``"own"`` or a key of `RIGS`.

    Returns
    -------
    tuple of float
        Linear colour; white for an environment's own light.
    """
    return (1.0, 1.0, 1.0) if light == OWN or is_photograph(light) else RIGS[light].distance


@cache
def lamp_data(lamp: Lamp) -> Any:
    """Return the Blender lamp of a recipe.

    Parameters
    ----------
    lamp : Lamp
        What it sends.

    Returns
    -------
    bpy.types.Light
        A sun, or a spot lamp of the same irradiance in the middle of the stage.
    """
    near = math.isfinite(lamp.distance)
    made = bpy.data.lights.new("lamp", "SPOT" if near else "SUN")
    made.color = lamp.colour
    if not near:
        made.energy, made.angle = lamp.strength, math.radians(lamp.angle)
        return made
    made.energy = lamp.strength * 4 * math.pi * lamp.distance**2
    made.shadow_soft_size = lamp.distance * math.tan(math.radians(lamp.angle / 2))
    made.spot_size, made.spot_blend = math.radians(lamp.cone), 0.35
    return made
