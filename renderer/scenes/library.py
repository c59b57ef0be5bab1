"""Names, camera and usable space of the procedural assets, readable without Blender.

The order of the names is part of the data format: a planner may store indices into it, so
new names are appended and old ones never move.
"""

from __future__ import annotations

from dataclasses import dataclass

# Name of every shape and material, and the module under `renderer/blender` with its function.
SHAPE_MODULES: dict[str, str] = {
    "sphere": "shapes.lathe",
    "cube": "shapes.flat",
    "vase": "shapes.lathe",
    "torus": "shapes.swept",
    "pawn": "shapes.lathe",
    "star": "shapes.flat",
    "spring": "shapes.swept",
    "pumpkin": "shapes.lathe",
    "cylinder": "shapes.lathe",
    "cone": "shapes.lathe",
    "bowl": "shapes.lathe",
    "hourglass": "shapes.lathe",
    "mushroom": "shapes.lathe",
    "octahedron": "shapes.flat",
    "gear": "shapes.flat",
    "knot": "shapes.swept",
    "goblet": "shapes.lathe",
    "rook": "shapes.lathe",
    "shell": "shapes.built",
    "rock": "shapes.grown",
    "pear": "shapes.lathe",
    "crescent": "shapes.built",
    "chair": "shapes.built",
    "table": "shapes.built",
    "lamp": "shapes.lathe",
    "duck": "shapes.grown",
    "fish": "shapes.grown",
    "cactus": "shapes.grown",
    "crystal": "shapes.built",
    "teapot": "shapes.lathe",
    "barrel": "shapes.lathe",
    "propeller": "shapes.built",
}
SHAPES = tuple(SHAPE_MODULES)
MATERIAL_MODULES: dict[str, str] = {
    "glaze": "materials.plain",
    "brushed": "materials.plain",
    "wood": "materials.plain",
    "marble": "materials.plain",
    "rubber": "materials.plain",
    "velvet": "materials.plain",
    "carpaint": "materials.plain",
    "glass": "materials.plain",
    "leather": "materials.patterned",
    "bark": "materials.plain",
    "terrazzo": "materials.patterned",
    "checker": "materials.patterned",
    "stripes": "materials.patterned",
    "knit": "materials.patterned",
    "gold": "materials.plain",
    "verdigris": "materials.plain",
}
MATERIALS = tuple(MATERIAL_MODULES)
ENVIRONMENTS: tuple[str, ...] = (
    "meadow",
    "parlour",
    "courtyard",
    "studio",
    "snow",
    "desert",
    "night",
    "hall",
    "beach",
    "forest",
    "workshop",
    "gallery",
    "sunset",
    "plaza",
    "study",
    "dojo",
)
LIGHTS: tuple[str, ...] = (
    "noon",
    "sun-left",
    "sun-right",
    "sun-back",
    "overcast",
    "lamp-left",
    "lamp-right",
    "moonlight",
    "magenta",
    "cyan",
    "green",
    "amber",
    "rim",
    "spot",
    "candle",
    "two-tone",
)
"""Light rigs that replace an environment's own light, for presets with a light slot."""

RADIUS = 0.6
"""No part of an object of scale s lies farther than RADIUS * s from its own vertical axis.

Two objects whose centres are at least RADIUS * (s1 + s2) apart therefore never touch,
whatever their yaw.
"""

PLACEMENT: dict[str, tuple[float, float]] = {
    "x": (-0.6, 0.6),
    "y": (-0.4, 0.6),
    "scale": (0.55, 0.9),
}
"""Ranges (metres) in which every object, at any yaw, lies fully inside the frame."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with a square sensor, looking from the front (-y) towards +y."""

    position: tuple[float, float, float]  # metres
    target: tuple[float, float, float]  # the point in the centre of the picture, metres
    focal: float  # millimetres
    sensor: float  # edge, millimetres


CAMERA = Camera(position=(0.0, -3.68, 1.5), target=(0.0, 0.1, 0.49), focal=50.0, sensor=36.0)
"""The one camera of every scene."""
