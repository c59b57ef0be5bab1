"""The table of materials, and their Blender node trees, each built once per process.

A material that has a hue reads it from the colour of the object it is on, so one material
serves objects of every hue.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import blenderproc as bproc
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

LIGHTNESS, CHROMA = 0.66, 0.115


def hue_colour(hue: float) -> tuple[float, float, float]:
    """Return the linear Rec. 709 colour of a hue at constant lightness and chroma.

    Parameters
    ----------
    hue : float
        Radians in the OKLCH space (0 is pink-red, growing through yellow and green to blue).

    Returns
    -------
    tuple of float
        Inside [0, 1] for every hue, so a change of hue changes nothing else.

    References
    ----------
    B. Ottosson, "A perceptual color space for image processing" (2020), inverse of OKLab.
    """
    a, b = CHROMA * np.cos(hue), CHROMA * np.sin(hue)
    cone = LIGHTNESS + np.array([[0.3963377774, 0.2158037573], [-0.1055613458, -0.0638541728],
                                 [-0.0894841775, -1.2914855480]]) @ np.array([a, b])  # fmt: skip
    to_rgb = np.array([[4.0767416621, -3.3077115913, 0.2309699292],
                       [-1.2684380046, 2.6097574011, -0.3413193965],
                       [-0.0041960863, -0.7034186147, 1.7076147010]])  # fmt: skip
    red, green, blue = np.clip(to_rgb @ cone**3, 0.0, 1.0)
    return float(red), float(green), float(blue)


class Tree:
    """A new material's node tree, with the few operations that the recipes need."""

    def __init__(self, name: str) -> None:
        self.material = bproc.material.create(name)
        self.tree = self.material.blender_obj.node_tree
        self.nodes, self.links = self.tree.nodes, self.tree.links
        self.hue = self.node("ShaderNodeObjectInfo").outputs["Color"]
        self.place = self.node("ShaderNodeTexCoord").outputs["Object"]

    def node(self, kind: str, **inputs: Any) -> Any:
        """Add a node and set inputs by name, to values or to sockets."""
        made = self.nodes.new(kind)
        for name, value in inputs.items():
            self.put(made.inputs[name.replace("_", " ")], value)
        return made

    def put(self, socket: Any, value: Any) -> None:
        """Give an input a value, or link it to an output."""
        if hasattr(value, "links"):
            self.links.new(value, socket)
        else:
            socket.default_value = value

    def surface(self, **inputs: Any) -> None:
        """Set the inputs of the material's principled shader, by name."""
        for name, value in inputs.items():
            self.material.set_principled_shader_value(name.replace("_", " "), value)


def glaze(tree: Tree) -> None:
    """Glazed ceramic: a hue under a clear, smooth coat."""
    tree.surface(Base_Color=tree.hue, Roughness=0.42, Coat_Weight=1.0, Coat_Roughness=0.06)


MATERIALS: dict[str, Callable[[Tree], None]] = {
    "glaze": glaze,
}


@cache
def material(name: str) -> Any:
    """Return a material.

    Parameters
    ----------
    name : str
        A key of `MATERIALS`.

    Returns
    -------
    bpy.types.Material
        Shared by every object that wears it.
    """
    tree = Tree(name)
    MATERIALS[name](tree)
    return tree.material.blender_obj
