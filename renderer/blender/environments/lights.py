"""The table of light rigs: lamps and a dome that replace an environment's own light.

A new rig is one entry in `RIGS` and its name in `recombine.renderer.scenes.library`.
"""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Lamp:
    """A lamp that points at the middle of the stage."""

    # where it stands, degrees; azimuth counter-clockwise from +x, -90 is behind the camera
    azimuth: float
    # where it stands, degrees; azimuth counter-clockwise from +x, -90 is behind the camera
    elevation: float
    # irradiance on a facing surface in the middle of the stage, radiance scale times steradian
    strength: float
    colour: Colour  # linear colour
    angle: float  # angular diameter seen from the middle, degrees; larger is softer
    distance: float = float("inf")  # metres from the middle; infinite is a sun
    cone: float = 90.0  # full opening angle of a near lamp's light, degrees


@dataclass(frozen=True)
class Rig:
    """Everything that lights a scene in place of the environment's own light."""

    # linear radiance of the dome above and at eye level; below it is half the latter
    zenith: Colour
    # linear radiance of the dome above and at eye level; below it is half the latter
    horizon: Colour
    lamps: tuple[Lamp, ...]  # at most two
    # what the camera's view of a photograph is multiplied by, so that it fits the light
    distance: Colour


WARM = (1.0, 0.68, 0.36)
LOW = (1.0, 0.74, 0.45)
DUSK = (1.0, 0.53, 0.33)
WHITE = (1.0, 0.97, 0.92)


def _beside(colour: Colour, side: float, far: Colour) -> Rig:
    """Return a white key light, and a coloured one low at the other side."""
    lamps = Lamp(-90 - side, 44, 1.9, WHITE, 20), Lamp(-90 + 1.4 * side, 20, 2.6, colour, 16)
    dim = (0.17, 0.17, 0.175)
    return Rig(dim, dim, lamps, far)


RIGS: dict[str, Rig] = {
    "noon": Rig(
        (0.14, 0.22, 0.46),
        (0.24, 0.29, 0.36),
        (Lamp(-25, 62, 3.1, (1.0, 0.97, 0.90), 0.8),),
        (0.95, 0.97, 1.0),
    ),
    "sun-left": Rig(
        (0.17, 0.21, 0.33), (0.27, 0.24, 0.23), (Lamp(192, 24, 4.2, LOW, 2.5),), (0.80, 0.66, 0.52)
    ),
    "sun-right": Rig(
        (0.16, 0.17, 0.29), (0.30, 0.21, 0.20), (Lamp(-12, 24, 4.2, DUSK, 2.5),), (0.86, 0.55, 0.46)
    ),
    "sun-back": Rig(
        (0.17, 0.20, 0.29),
        (0.25, 0.24, 0.24),
        (Lamp(66, 40, 2.6, (1.0, 0.86, 0.66), 3),),
        (0.86, 0.74, 0.58),
    ),
    "overcast": Rig((0.80, 0.84, 0.88), (0.46, 0.49, 0.53), (), (0.72, 0.75, 0.79)),
    "lamp-left": Rig(
        (0.09, 0.08, 0.075),
        (0.11, 0.095, 0.085),
        (Lamp(208, 40, 4.4, WARM, 16, 2.4, 110),),
        (0.26, 0.19, 0.13),
    ),
    "lamp-right": Rig(
        (0.09, 0.08, 0.075),
        (0.11, 0.095, 0.085),
        (Lamp(-28, 40, 4.4, WARM, 16, 2.4, 110),),
        (0.26, 0.19, 0.13),
    ),
    "moonlight": Rig(
        (0.09, 0.13, 0.25),
        (0.10, 0.14, 0.25),
        (Lamp(140, 46, 2.2, (0.55, 0.72, 1.0), 3),),
        (0.11, 0.16, 0.28),
    ),
    "neon": Rig(
        (0.11, 0.10, 0.13),
        (0.11, 0.10, 0.13),
        (Lamp(200, 30, 2.8, (1.0, 0.16, 0.52), 18), Lamp(-35, 34, 2.2, (0.30, 0.86, 1.0), 18)),
        (0.30, 0.22, 0.34),
    ),
    "teal": _beside((0.04, 0.80, 0.88), -62, (0.36, 0.46, 0.48)),
    "lime": _beside((0.36, 0.92, 0.08), 62, (0.42, 0.46, 0.34)),
    "sunset": Rig(
        (0.12, 0.13, 0.30),
        (0.34, 0.20, 0.22),
        (Lamp(20, 16, 4.6, (1.0, 0.40, 0.12), 4), Lamp(-130, 50, 0.7, (0.55, 0.55, 1.0), 40)),
        (0.80, 0.44, 0.34),
    ),
    "rim": Rig(
        (0.10, 0.105, 0.11),
        (0.10, 0.105, 0.11),
        (Lamp(58, 34, 2.8, (0.86, 0.93, 1.0), 14), Lamp(122, 34, 2.8, (0.86, 0.93, 1.0), 14)),
        (0.20, 0.21, 0.23),
    ),
    "spot": Rig(
        (0.075, 0.075, 0.08),
        (0.075, 0.075, 0.08),
        (Lamp(-90, 78, 5.0, WHITE, 6, 4.5, 27),),
        (0.12, 0.12, 0.13),
    ),
    "candle": Rig(
        (0.055, 0.045, 0.040),
        (0.065, 0.050, 0.042),
        (Lamp(-58, 20, 3.0, (1.0, 0.45, 0.13), 10, 1.6, 170),),
        (0.13, 0.085, 0.055),
    ),
    "two-tone": Rig(
        (0.10, 0.10, 0.12),
        (0.10, 0.10, 0.12),
        (Lamp(195, 34, 2.8, (0.16, 0.36, 1.0), 14), Lamp(-15, 34, 3.0, (1.0, 0.42, 0.12), 14)),
        (0.24, 0.21, 0.27),
    ),
}
