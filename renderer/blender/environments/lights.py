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
    # what a painted distance (trees, sky) is multiplied by, so that it fits the light
    distance: Colour


WARM = (1.0, 0.68, 0.36)
LOW = (1.0, 0.74, 0.45)
DUSK = (1.0, 0.53, 0.33)


def _gel(colour: Colour) -> Rig:
    """Return a soft key light from the front left behind a coloured filter."""
    red, green, blue = (0.16 * c + 0.012 for c in colour)
    key = Lamp(-125, 46, 3.2, colour, 24)
    red_far, green_far, blue_far = (0.06 + 0.75 * c for c in colour)
    return Rig((red, green, blue), (red, green, blue), (key,), (red_far, green_far, blue_far))


RIGS: dict[str, Rig] = {
    "noon": Rig(
        (0.14, 0.22, 0.46),
        (0.24, 0.29, 0.36),
        (Lamp(-25, 62, 3.1, (1.0, 0.97, 0.90), 0.8),),
        (0.95, 0.97, 1.0),
    ),
    "sun-left": Rig(
        (0.14, 0.18, 0.30), (0.24, 0.21, 0.20), (Lamp(192, 19, 4.6, LOW, 1.5),), (0.80, 0.66, 0.52)
    ),
    "sun-right": Rig(
        (0.13, 0.14, 0.26), (0.28, 0.18, 0.17), (Lamp(-12, 19, 4.6, DUSK, 1.5),), (0.86, 0.55, 0.46)
    ),
    "sun-back": Rig(
        (0.12, 0.15, 0.24),
        (0.20, 0.19, 0.19),
        (Lamp(66, 36, 3.6, (1.0, 0.86, 0.66), 1.5),),
        (1.0, 0.86, 0.66),
    ),
    "overcast": Rig((0.80, 0.84, 0.88), (0.46, 0.49, 0.53), (), (0.72, 0.75, 0.79)),
    "lamp-left": Rig(
        (0.05, 0.04, 0.035),
        (0.07, 0.055, 0.045),
        (Lamp(208, 40, 4.4, WARM, 16, 2.4, 110),),
        (0.22, 0.15, 0.09),
    ),
    "lamp-right": Rig(
        (0.05, 0.04, 0.035),
        (0.07, 0.055, 0.045),
        (Lamp(-28, 40, 4.4, WARM, 16, 2.4, 110),),
        (0.22, 0.15, 0.09),
    ),
    "moonlight": Rig(
        (0.04, 0.07, 0.17),
        (0.055, 0.085, 0.17),
        (Lamp(140, 42, 1.5, (0.50, 0.68, 1.0), 1.0),),
        (0.06, 0.10, 0.21),
    ),
    "magenta": _gel((1.0, 0.20, 0.68)),
    "cyan": _gel((0.16, 0.76, 1.0)),
    "green": _gel((0.26, 0.92, 0.24)),
    "amber": _gel((1.0, 0.55, 0.12)),
    "rim": Rig(
        (0.05, 0.055, 0.06),
        (0.05, 0.055, 0.06),
        (Lamp(38, 17, 4.2, (0.86, 0.93, 1.0), 6), Lamp(142, 17, 4.2, (0.86, 0.93, 1.0), 6)),
        (0.16, 0.17, 0.19),
    ),
    "spot": Rig(
        (0.05, 0.05, 0.055),
        (0.05, 0.05, 0.055),
        (Lamp(-90, 82, 5.0, (1.0, 0.97, 0.92), 5, 4.5, 27),),
        (0.10, 0.10, 0.11),
    ),
    "candle": Rig(
        (0.012, 0.011, 0.012),
        (0.016, 0.013, 0.012),
        (Lamp(-68, 14, 2.6, (1.0, 0.42, 0.10), 8, 1.45, 170),),
        (0.09, 0.05, 0.03),
    ),
    "two-tone": Rig(
        (0.05, 0.03, 0.07),
        (0.05, 0.03, 0.07),
        (Lamp(195, 30, 3.0, (1.0, 0.10, 0.06), 10), Lamp(-15, 30, 3.2, (0.06, 0.22, 1.0), 10)),
        (0.30, 0.10, 0.34),
    ),
}
