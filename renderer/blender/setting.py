"""Blender meshes, materials and worlds of the environments, each built once per process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from recombine.renderer.blender.backdrops import BACKDROPS, Piece
from recombine.renderer.blender.environments import ENVIRONMENTS
from recombine.renderer.blender.floors import FLOORS, Floor
from recombine.renderer.blender.images import image, texture
from recombine.renderer.blender.materials import Tree
from recombine.renderer.blender.skies import SKIES

if TYPE_CHECKING:
    from jaxtyping import Float

HALF_FLOOR = 60.0


def shrink(resolution: int) -> int:
    """Return by how much textures are averaged down for an image of this size.

    Cycles reads textures without prefiltering, so detail far below a pixel is only noise
    (measured at 64 px: 33.2 dB instead of 35.8 dB on the lawn, from as many paths).

    Parameters
    ----------
    resolution : int
        Edge of the image, pixels.

    Returns
    -------
    int
        1 from 256 px, 2 from 128 px, else 4.
    """
    return 1 if resolution >= 256 else 2 if resolution >= 128 else 4


def averaged(pixels: Float[np.ndarray, "H W 3"], factor: int) -> Float[np.ndarray, "H W 3"]:
    """Average an image over squares; images smaller than 64 pixels stay as they are.

    Parameters
    ----------
    pixels : float array of shape (H, W, 3)
        Edges divisible by `factor`.
    factor : int
        Edge of a square.

    Returns
    -------
    float array of shape (H / factor, W / factor, 3)
        Means.
    """
    height, width, _ = pixels.shape
    if min(height, width) < 64:
        return pixels
    squares = pixels.reshape(height // factor, factor, width // factor, factor, 3)
    return np.asarray(squares.mean((1, 3)))


def covering(name: str, floor: Floor, factor: int, *, painted: bool = False) -> Any:
    """Return a material that shows a covering at the surface's UV coordinates (metres).

    Parameters
    ----------
    name : str
        Name of the material and of its images.
    floor : Floor
        Albedo, relief and gloss.
    factor : int
        Textures are averaged down by it.
    painted : bool
        Show the albedo unlit.

    Returns
    -------
    bpy.types.Material
        A new material.
    """
    tree = Tree(name)
    uv = tree.node("ShaderNodeUVMap").outputs["UV"]
    rows, columns = floor.albedo.shape[:2]
    scale = (1 / floor.metres, columns / rows / floor.metres, 1.0)
    place = tree.node("ShaderNodeMapping", Vector=uv, Scale=scale).outputs["Vector"]
    colour = texture(tree.tree, image(f"{name} albedo", averaged(floor.albedo, factor), "colour"), place)
    if painted:
        tree.surface(Base_Color=(0, 0, 0, 1), Specular_IOR_Level=0.0, Emission_Strength=1.0)
        tree.surface(Emission_Color=colour)
        return tree.material.blender_obj
    relief = texture(tree.tree, image(f"{name} relief", averaged(floor.relief, factor), "data"), place)
    bent = tree.node("ShaderNodeNormalMap", Color=relief)
    tree.surface(
        Base_Color=colour,
        Normal=bent.outputs["Normal"],
        Roughness=floor.roughness,
        Specular_IOR_Level=floor.specular,
    )
    return tree.material.blender_obj


def _strips(name: str, pieces: list[tuple[Float[np.ndarray, "P 2"], float]]) -> Any:
    """Return a mesh of strips along x, with UV in metres and one material index per piece."""
    vertices: list[tuple[float, float, float]] = []
    faces, owner, place = [], [], []
    for index, (section, half) in enumerate(pieces):
        length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(section, axis=0).T))])
        for i in range(len(section) - 1):
            first = len(vertices)
            for (y, z), x in (
                (section[i], -half),
                (section[i], half),
                (section[i + 1], half),
                (section[i + 1], -half),
            ):
                vertices.append((x, float(y), float(z)))
            faces.append((first, first + 1, first + 2, first + 3))
            owner.append(index)
            place += [
                (-half, length[i]),
                (half, length[i]),
                (half, length[i + 1]),
                (-half, length[i + 1]),
            ]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], faces)
    mesh.polygons.foreach_set("material_index", owner)
    mesh.uv_layers.new(name="UV").data.foreach_set("uv", np.array(place, np.float32).ravel())
    mesh.update()
    return mesh


@cache
def _floor(key: str) -> Floor:
    """Draw a floor covering."""
    return FLOORS[key]()


@cache
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
        One face in the plane z = 0.
    """
    key = ENVIRONMENTS[name].floor
    section = np.array([[-HALF_FLOOR, 0.0], [HALF_FLOOR, 0.0]])
    mesh = _strips(f"{name} floor", [(section, HALF_FLOOR)])
    mesh.materials.append(covering(key, _floor(key), factor))
    return mesh


@cache
def _pieces(name: str) -> list[Piece]:
    """Return the backdrop of an environment."""
    return BACKDROPS[ENVIRONMENTS[name].backdrop]()


@cache
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
    pieces = _pieces(name)
    mesh = _strips(f"{name} backdrop", [(p.section, p.half_width) for p in pieces])
    for index, piece in enumerate(pieces):
        mesh.materials.append(
            covering(f"{name} backdrop {index}", piece.covering, factor, painted=piece.painted)
        )
    return mesh


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
    return any(piece.painted for piece in _pieces(name))


@cache
def world(name: str) -> Any:
    """Return the surroundings of an environment.

    Parameters
    ----------
    name : str
        A key of `ENVIRONMENTS`.

    Returns
    -------
    bpy.types.World
        With a mapping node "turn" whose rotation turns the light about the vertical.
    """
    recipe = ENVIRONMENTS[name]
    made = bpy.data.worlds.new(f"{name} world")
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    place = nodes.new("ShaderNodeTexCoord")
    turn = nodes.new("ShaderNodeMapping")
    turn.name = "turn"
    picture = nodes.new("ShaderNodeTexEnvironment")
    picture.image = image(f"{name} sky", SKIES[recipe.sky](), "light")
    background = nodes["Background"]
    background.inputs["Strength"].default_value = recipe.strength
    links.new(place.outputs["Generated"], turn.inputs["Vector"])
    links.new(turn.outputs["Vector"], picture.inputs["Vector"])
    links.new(picture.outputs["Color"], background.inputs["Color"])
    # An automatic importance map would be as large as the picture asks for; this one is exact.
    made.cycles.sampling_method = "MANUAL"
    made.cycles.sample_map_resolution = 256
    return made
