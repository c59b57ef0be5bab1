"""NumPy arrays as Blender images, and the materials of floors and walls that show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import bpy
from recombine.renderer.blender.materials.nodes import Tree
from recombine.renderer.blender.tonemap import srgb
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.renderer.blender.environments.surfaces import Fade, Floor
    from recombine.renderer.scenes.assets import Asset


PHOTOGRAPHS: dict[str, Asset] = {}
"""Users' photographs that scenes of this process have named, by the name that the stage gives."""


def image(name: str, pixels: Float[Array, "H W 3"], kind: str) -> Any:
    """Return a new Blender image that lives in memory."""
    height, width = pixels.shape[:2]
    light = kind == "light"
    made = bpy.data.images.new(name, width, height, alpha=False, float_buffer=light)
    made.colorspace_settings.name = "sRGB" if kind == "colour" else "Non-Color"
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = srgb(pixels) if kind == "colour" else pixels
    made.pixels.foreach_set(rgba.ravel())
    made.pack()
    return made


def _texture(tree: Tree, made: Any, vector: Any, extension: str = "REPEAT") -> Any:
    """Return the colour of an image, repeated beyond its edges, at a coordinate."""
    node = tree.node("ShaderNodeTexImage", Vector=vector)
    node.image = made
    node.extension = extension
    return node.outputs["Color"]


def photograph(asset: Asset) -> Float[Array, "H W 3"]:
    """Return the panorama in a file."""
    loaded = bpy.data.images.load(str(asset.file))
    width, height = loaded.size
    if width == 0 or width != 2 * height:
        raise InvalidInputError(
            f"asset {asset.name!r}: expected a panorama twice as wide as high; got {width} x "
            f"{height}. Choose an equirectangular image."
        )
    rgba = np.empty(width * height * 4, np.float32)
    loaded.pixels.foreach_get(rgba)
    bpy.data.images.remove(loaded)
    return np.maximum(rgba.reshape(height, width, 4)[..., :3].astype(float), 0)


def shrink(resolution: int) -> int:
    """Return by how much textures are averaged down for an image of this size."""
    # Cycles reads textures without prefiltering, so detail far below a pixel is only noise
    # (measured at 64 px: 33.2 dB instead of 36.6 dB on the lawn, from as many paths).
    return 1 if resolution >= 512 else 2 if resolution >= 256 else 4 if resolution >= 128 else 8


def averaged(pixels: Float[Array, "H W 3"], factor: int) -> Float[Array, "H W 3"]:
    """Average an image over squares; images smaller than 64 pixels stay as they are."""
    height, width, _ = pixels.shape
    if min(height, width) < 64:
        return pixels
    squares = pixels.reshape(height // factor, factor, width // factor, factor, 3)
    return np.asarray(squares.mean((1, 3)))


def covering(name: str, floor: Floor, factor: int, fade: Fade | None = None) -> Any:
    """Return a material that shows a covering at the surface's UV coordinates (metres)."""
    tree = Tree(name)
    uv = tree.node("ShaderNodeUVMap").outputs["UV"]
    rows, columns = floor.albedo.shape[:2]
    scale = (1 / floor.metres, columns / rows / floor.metres, 1.0)
    place = tree.node("ShaderNodeMapping", Vector=uv, Scale=scale).outputs["Vector"]
    albedo = image(f"{name} albedo", averaged(floor.albedo, factor), "colour")
    colour = tree.product(_texture(tree, albedo, place), tree.hue)  # the tone of the scene
    relief = image(f"{name} relief", averaged(floor.relief, factor), "data")
    bent = tree.node("ShaderNodeNormalMap", Color=_texture(tree, relief, place))
    if not floor.specular:  # a sixth less time than the principled shader
        matte = tree.node("ShaderNodeBsdfDiffuse", Color=colour, Normal=bent.outputs["Normal"])
        tree.put(tree.nodes["Material Output"].inputs["Surface"], matte.outputs["BSDF"])
    else:
        tree.surface(
            Base_Color=colour,
            Normal=bent.outputs["Normal"],
            Roughness=floor.roughness,
            Specular_IOR_Level=floor.specular,
        )
    if fade is not None:
        _let_through(tree, name, fade)
    return tree.material.blender_obj


def _let_through(tree: Tree, name: str, fade: Fade) -> None:
    """Make a surface as transparent as a fade says at each place of the world."""
    scale = 1 / (2 * fade.half)
    place = tree.node("ShaderNodeNewGeometry").outputs["Position"]
    inputs = {"Vector": place, "Scale": (scale, scale, scale), "Location": (0.5, 0.5, 0.0)}
    vector = tree.node("ShaderNodeMapping", **inputs).outputs["Vector"]
    grey = np.repeat(fade.opacity[..., None], 3, axis=2)
    opacity = _texture(tree, image(f"{name} opacity", grey, "data"), vector, "CLIP")
    socket = tree.nodes["Material Output"].inputs["Surface"]
    mix = tree.node("ShaderNodeMixShader", Fac=opacity)
    tree.put(mix.inputs[2], socket.links[0].from_socket)
    tree.put(mix.inputs[1], tree.node("ShaderNodeBsdfTransparent").outputs["BSDF"])
    tree.put(socket, mix.outputs["Shader"])
