"""Names, camera and usable space of the assets, readable without Blender.

The order of the names is part of the data format: plans store indices into it. Presets take the
first so many, so a change of the order is a new version of every preset.
"""

from __future__ import annotations

import math
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
    "city",
    "hall",
    "harbour",
    "workshop",
    "garden",
    "studio",
    "carport",
    "courtyard",
    "hotel",
    "gallery",
    "dusk",
    "dojo",
    "filmset",
    "study",
)
"""Photographs and rooms in turn, so that the first few of them differ as much as all do."""
PHOTOGRAPHS = ENVIRONMENTS[::2]
"""Environments that surround the stage on all sides."""
LIGHTS: tuple[str, ...] = (
    "noon",
    "sun-left",
    "sun-right",
    "sun-back",
    "overcast",
    "lamp-left",
    "lamp-right",
    "moonlight",
    "neon",
    "teal",
    "lime",
    "sunset",
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
    "x": (-0.25, 0.25),
    "y": (-0.3, 0.3),
    "scale": (0.65, 0.85),
}
"""Ranges (metres) for an object that stands alone; what leaves the frame is drawn again."""

VIEW: dict[str, tuple[float, float]] = {
    "azimuth": (-0.3, 0.3),
    "elevation": (0.12, 0.30),
    "distance": (2.4, 2.8),
    "aim_x": (-0.05, 0.05),
    "aim_z": (0.28, 0.36),
}
"""Where the camera may be: angles in radians, lengths in metres; see `camera_at`."""

FOCAL, SENSOR = 50.0, 36.0
"""Focal length and edge of the square sensor, millimetres."""
F_STOP = 1.0
"""Aperture, seen from a stage of two metres about as shallow as f/16 seen from a table top."""


@dataclass(frozen=True)
class Camera:
    """A camera with a square sensor and no roll."""

    position: tuple[float, float, float]  # metres
    target: tuple[float, float, float]  # the point in the centre of the picture, metres
    focal: float = FOCAL  # millimetres
    sensor: float = SENSOR  # edge, millimetres
    f_stop: float = F_STOP  # of the depth of field; inf is a pinhole


def sine_cosine(angle: float) -> tuple[float, float]:
    """Return sine and cosine of an angle (radians), the same to the last bit on every machine."""
    # Poses and scenes are part of what a dataset is known by. Libraries of mathematics differ in
    # the last bit from one processor to another; sums, products and quotients do not.
    quarters = round(angle / (math.pi / 2))
    rest = angle - quarters * (math.pi / 2)
    square = rest * rest
    sine = cosine = 1.0
    for n in range(17, 0, -2):  # the series about 0, from its smallest term
        cosine = 1.0 - square / (n * (n + 1)) * cosine
        sine = 1.0 - square / ((n + 1) * (n + 2)) * sine
    sine *= rest
    turns = ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))
    return turns[quarters % 4]


def turned(x: float, y: float, angle: float) -> tuple[float, float]:
    """Return a point of the floor turned about the origin, counter-clockwise seen from above."""
    # Rounded far below any pixel: the text of a scene, which is hashed, stays short.
    s, c = sine_cosine(angle)
    return round(x * c - y * s, 9), round(x * s + y * c, 9)


def camera_at(
    azimuth: float = 0.0,
    elevation: float = 0.21,
    distance: float = 2.6,
    aim_x: float = 0.0,
    aim_z: float = 0.32,
) -> Camera:
    """Return the camera at some distance (metres) from its aim.

    At azimuth 0 it looks from the front (-y) towards +y; a positive azimuth (radians) moves it
    counter-clockwise seen from above. The elevation is the angle (radians) under which it looks
    down. The aim lies in the plane x = aim_x of the camera's own frame, aim_z above the floor.
    """
    rise, run = sine_cosine(elevation)
    x, y = turned(aim_x, -distance * run, azimuth)
    z = round(aim_z + distance * rise, 9)
    return Camera((x, y, z), (*turned(aim_x, 0.0, azimuth), aim_z))


CAMERA = camera_at()
"""The camera in the middle of its range."""
