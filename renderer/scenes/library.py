"""Names, camera and usable space of the procedural assets, readable without Blender.

The order of each tuple is part of the data format: a planner may store indices into it, so
new names are appended and old ones never move.
"""

from __future__ import annotations

from dataclasses import dataclass

SHAPES: tuple[str, ...] = (
    "sphere",
    "cube",
    "vase",
    "torus",
    "pawn",
    "star",
    "spring",
    "pumpkin",
    "cylinder",
    "cone",
    "bowl",
    "hourglass",
    "mushroom",
    "octahedron",
    "gear",
    "knot",
    "goblet",
    "rook",
    "shell",
    "rock",
    "pear",
    "crescent",
    "chair",
    "table",
    "lamp",
    "duck",
    "fish",
    "cactus",
    "crystal",
    "teapot",
    "barrel",
    "propeller",
)
MATERIALS: tuple[str, ...] = (
    "glaze",
    "brushed",
    "wood",
    "marble",
    "rubber",
    "velvet",
    "carpaint",
    "glass",
    "leather",
    "bark",
    "terrazzo",
    "checker",
    "stripes",
    "knit",
    "gold",
    "verdigris",
)
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

    # where it stands and the point in the centre of the picture, metres
    position: tuple[float, float, float]
    # where it stands and the point in the centre of the picture, metres
    target: tuple[float, float, float]
    focal: float  # focal length and edge of the sensor, millimetres
    sensor: float  # focal length and edge of the sensor, millimetres


CAMERA = Camera(position=(0.0, -3.68, 1.5), target=(0.0, 0.1, 0.49), focal=50.0, sensor=36.0)
"""The one camera of every scene."""
