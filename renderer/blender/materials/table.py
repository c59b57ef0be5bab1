"""The table of materials, and their Blender node trees, each built once per process.

A material that has a hue reads it from the colour of the object it is on, so one material
serves objects of every hue. A new material is one function of its name in a module of this
folder, and one line in `recombine.renderer.scenes.library`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.materials.nodes import Tree
from recombine.renderer.scenes.library import MATERIAL_MODULES

if TYPE_CHECKING:
    from collections.abc import Callable

LIGHTNESS, CHROMA = 0.66, 0.11


def hue_colour(hue: float) -> tuple[float, float, float]:
    """Return the linear Rec. 709 colour of a hue at constant lightness and chroma."""
    # Source: B. Ottosson, "A perceptual color space for image processing" (2020), inverse of OKLab.
    a, b = CHROMA * np.cos(hue), CHROMA * np.sin(hue)
    cone = LIGHTNESS + np.array([[0.3963377774, 0.2158037573], [-0.1055613458, -0.0638541728],
                                 [-0.0894841775, -1.2914855480]]) @ np.array([a, b])  # fmt: skip
    to_rgb = np.array([[4.0767416621, -3.3077115913, 0.2309699292],
                       [-1.2684380046, 2.6097574011, -0.3413193965],
                       [-0.0041960863, -0.7034186147, 1.7076147010]])  # fmt: skip
    red, green, blue = np.clip(to_rgb @ cone**3, 0.0, 1.0)
    return float(red), float(green), float(blue)


MATERIALS: dict[str, Callable[[Tree], None]] = {
    name: getattr(import_module(f"recombine.renderer.blender.{module}"), name)
    for name, module in MATERIAL_MODULES.items()
}


WEAR: dict[str, tuple[float, float, float]] = {
    # material: change of roughness, share of dust, share of rubbed edges
    "glaze": (0.06, 0.18, 0.25),
    "brushed": (0.08, 0.12, 0.40),
    "wood": (0.12, 0.18, 0.30),
    "marble": (0.10, 0.15, 0.20),
    "rubber": (0.12, 0.30, 0.25),
    "velvet": (0.06, 0.25, 0.20),
    "carpaint": (0.05, 0.15, 0.25),
    "glass": (0.05, 0.10, 0.10),
    "leather": (0.12, 0.15, 0.35),
    "bark": (0.06, 0.25, 0.30),
    "terrazzo": (0.10, 0.15, 0.20),
    "checker": (0.08, 0.15, 0.30),
    "stripes": (0.08, 0.15, 0.25),
    "knit": (0.06, 0.25, 0.20),
    "gold": (0.08, 0.12, 0.10),
    "verdigris": (0.08, 0.12, 0.15),
}


@cache
def material(name: str) -> Any:
    """Return a material."""
    tree = Tree(name)
    MATERIALS[name](tree)
    tree.wear(*WEAR[name])
    return tree.material.blender_obj
