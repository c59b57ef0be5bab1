"""The table of materials, and their Blender node trees, each built once per process.

A material that has a hue reads it from the colour of the object it is on, so one material
serves objects of every hue. A new material is one function here, one line in `MATERIALS` and
its name in `recombine.renderer.library`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import bproc

if TYPE_CHECKING:
    from collections.abc import Callable

LIGHTNESS, CHROMA = 0.66, 0.11


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

    def noise(
        self,
        scale: float,
        detail: float,
        distortion: float = 0.0,
        stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> Any:
        """Return fractal noise in [0, 1] around 0.5, in the object's own space."""
        place = self.node("ShaderNodeMapping", Vector=self.place, Scale=stretch).outputs["Vector"]
        inputs = {"Scale": scale, "Detail": detail, "Distortion": distortion}
        return self.node("ShaderNodeTexNoise", Vector=place, **inputs).outputs["Fac"]

    def blend(self, share: Any, a: Any, b: Any) -> Any:
        """Return the colour a where the share is 0, b where it is 1."""
        node = self.nodes.new("ShaderNodeMix")
        node.data_type = "RGBA"
        for index, value in ((0, share), (6, a), (7, b)):  # sockets of the colour variant
            self.put(node.inputs[index], value)
        return node.outputs[2]

    def scaled(self, value: Any, factor: float) -> Any:
        """Return a value times a factor."""
        return self.remap(value, 0.0, 1.0, 0.0, factor)

    def shade(self, colour: Any, factor: float) -> Any:
        """Return a colour times a factor."""
        node = self.nodes.new("ShaderNodeVectorMath")
        node.operation = "SCALE"
        self.put(node.inputs[0], colour)
        node.inputs["Scale"].default_value = factor
        return node.outputs[0]

    def remap(self, value: Any, low: float, high: float, to_low: float, to_high: float) -> Any:
        """Map [low, high] to [to_low, to_high], clamped."""
        node = self.node("ShaderNodeMapRange", Value=value, From_Min=low, From_Max=high)
        node.inputs["To Min"].default_value, node.inputs["To Max"].default_value = to_low, to_high
        return node.outputs["Result"]

    def ridge(self, value: Any, at: float, width: float) -> Any:
        """Return 1 where the value is `at`, falling to 0 at a distance of `width`."""
        node = self.nodes.new("ShaderNodeMath")
        node.operation = "SUBTRACT"
        self.put(node.inputs[0], value)
        node.inputs[1].default_value = at
        size = self.nodes.new("ShaderNodeMath")
        size.operation = "ABSOLUTE"
        self.links.new(node.outputs[0], size.inputs[0])
        return self.remap(size.outputs[0], 0.0, width, 1.0, 0.0)

    def bump(self, height: Any, metres: float) -> None:
        """Let a height field of this depth tilt the shading normal."""
        node = self.node("ShaderNodeBump", Height=height, Distance=metres)
        self.surface(Normal=node.outputs["Normal"])


def glaze(tree: Tree) -> None:
    """Glazed ceramic: a hue that pools and thins a little, under a clear, smooth coat."""
    pool = tree.noise(scale=2.2, detail=2.0)
    colour = tree.blend(pool, tree.shade(tree.hue, 0.72), tree.shade(tree.hue, 1.12))
    tree.surface(Base_Color=colour, Roughness=0.4, Coat_Weight=1.0, Coat_Roughness=0.05)
    tree.bump(tree.noise(scale=5.0, detail=1.0), 0.012)


def brushed(tree: Tree) -> None:
    """Brushed metal, anodised in a pale tint of the hue."""
    tint = tree.blend(0.42, (0.80, 0.80, 0.80, 1.0), tree.hue)
    scratch = tree.noise(scale=1.0, detail=3.0, stretch=(3.0, 3.0, 90.0))
    rough = tree.remap(scratch, 0.3, 0.7, 0.24, 0.42)
    tree.surface(Base_Color=tint, Metallic=1.0, Roughness=rough)
    tree.bump(scratch, 0.004)


def wood(tree: Tree) -> None:
    """Oak turned on a lathe, with growth rings and an oiled finish; it has no hue."""
    bend = tree.noise(scale=1.4, detail=2.0, stretch=(1.0, 1.0, 0.35))
    rings = tree.node("ShaderNodeTexWave", Vector=tree.place, Scale=4.2, Distortion=5.0, Detail=2.0)
    rings.wave_type, rings.rings_direction = "RINGS", "Z"
    fibre = tree.noise(scale=1.0, detail=2.0, stretch=(70.0, 70.0, 5.0))
    tone = tree.blend(rings.outputs["Fac"], (0.19, 0.085, 0.032, 1.0), (0.43, 0.235, 0.10, 1.0))
    tone = tree.blend(tree.remap(bend, 0.3, 0.7, 0.0, 0.5), tone, (0.33, 0.16, 0.06, 1.0))
    tone = tree.blend(tree.remap(fibre, 0.52, 0.75, 0.0, 0.5), tone, (0.13, 0.055, 0.02, 1.0))
    tree.surface(Base_Color=tone, Roughness=0.42, Coat_Weight=0.25, Coat_Roughness=0.2)
    tree.bump(fibre, 0.006)


def marble(tree: Tree) -> None:
    """Polished white marble with grey veins; it has no hue."""
    warp = tree.noise(scale=2.0, detail=4.0, distortion=1.6)
    sharp = tree.ridge(warp, 0.5, 0.035)
    faint = tree.ridge(tree.noise(scale=3.7, detail=3.0, distortion=0.8), 0.47, 0.02)
    stone = tree.blend(warp, (0.66, 0.65, 0.63, 1.0), (0.84, 0.82, 0.79, 1.0))
    stone = tree.blend(tree.scaled(faint, 0.45), stone, (0.40, 0.39, 0.38, 1.0))
    stone = tree.blend(tree.scaled(sharp, 0.8), stone, (0.17, 0.18, 0.20, 1.0))
    tree.surface(Base_Color=stone, Roughness=0.16, Coat_Weight=0.4, Coat_Roughness=0.05)


def rubber(tree: Tree) -> None:
    """Matte rubber in the hue, with a fine grain."""
    grain = tree.noise(scale=60.0, detail=1.0)
    colour = tree.blend(grain, tree.shade(tree.hue, 0.5), tree.shade(tree.hue, 0.72))
    tree.surface(Base_Color=colour, Roughness=0.78, Specular_IOR_Level=0.3)
    tree.bump(grain, 0.004)


def velvet(tree: Tree) -> None:
    """Velvet: deep in the hue seen head on, bright where the pile is seen from the side."""
    crush = tree.noise(scale=4.0, detail=3.0)
    colour = tree.blend(crush, tree.shade(tree.hue, 0.22), tree.shade(tree.hue, 0.5))
    tree.surface(Base_Color=colour, Roughness=0.95, Specular_IOR_Level=0.1)
    tree.surface(Sheen_Weight=1.0, Sheen_Roughness=0.35, Sheen_Tint=tree.hue)
    tree.bump(crush, 0.02)


MATERIALS: dict[str, Callable[[Tree], None]] = {
    "glaze": glaze,
    "brushed": brushed,
    "wood": wood,
    "marble": marble,
    "rubber": rubber,
    "velvet": velvet,
    "carpaint": glaze,
    "glass": glaze,
    "leather": rubber,
    "bark": wood,
    "terrazzo": marble,
    "checker": rubber,
    "stripes": rubber,
    "knit": velvet,
    "gold": brushed,
    "verdigris": brushed,
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
