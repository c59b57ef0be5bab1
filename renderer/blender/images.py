"""NumPy arrays as Blender images, and the nodes that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from recombine.renderer.blender.tonemap import srgb

if TYPE_CHECKING:
    from jaxtyping import Float


def image(name: str, pixels: Float[np.ndarray, "H W 3"], kind: str) -> Any:
    """Return a new Blender image that lives in memory.

    Parameters
    ----------
    name : str
        Name of the image.
    pixels : float array of shape (H, W, 3)
        First row at the bottom.
    kind : str
        "colour" (linear values in [0, 1], stored as 8-bit sRGB), "data" (values in [0, 1],
        stored as 8 bits untouched) or "light" (linear values >= 0, stored as floats).

    Returns
    -------
    bpy.types.Image
        Packed, so that Blender never looks for a file.
    """
    height, width = pixels.shape[:2]
    light = kind == "light"
    made = bpy.data.images.new(name, width, height, alpha=False, float_buffer=light)
    made.colorspace_settings.name = "sRGB" if kind == "colour" else "Non-Color"
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = srgb(pixels) if kind == "colour" else pixels
    made.pixels.foreach_set(rgba.ravel())
    made.pack()
    return made


def texture(tree: Any, made: Any, vector: Any) -> Any:
    """Add a node that reads an image at a coordinate.

    Parameters
    ----------
    tree : bpy.types.NodeTree
        Where the node goes.
    made : bpy.types.Image
        What it reads, repeated beyond its edges.
    vector : bpy.types.NodeSocket
        The coordinate.

    Returns
    -------
    bpy.types.NodeSocket
        The colour.
    """
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = made
    node.extension = "REPEAT"
    tree.links.new(vector, node.inputs["Vector"])
    return node.outputs["Color"]
