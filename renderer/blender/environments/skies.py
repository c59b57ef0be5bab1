"""Surroundings that light a scene: equirectangular panoramas of linear radiance.

Rows run from straight down to straight up; the middle column looks along +x, and azimuth
grows counter-clockwise seen from above, so +y (behind the objects) is azimuth pi / 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from jaxtyping import Float

    Panorama: TypeAlias = Float[Array, "H W 3"]

HEIGHT, WIDTH = 128, 256
Colour = tuple[float, float, float]


def sphere_angles() -> tuple[Float[Array, "H W"], Float[Array, "H W"]]:
    """Return azimuth and elevation (radians) of every pixel of a panorama."""
    v = (np.arange(HEIGHT) + 0.5) / HEIGHT
    u = (np.arange(WIDTH) + 0.5) / WIDTH
    azimuth, elevation = np.meshgrid((0.5 - u) * 2 * np.pi, (v - 0.5) * np.pi)
    return azimuth, elevation


def _ramp(x: Float[Array, "H W"], low: float, high: float) -> Float[Array, "H W 1"]:
    """Return a smooth step from 0 at `low` to 1 at `high`, with a channel axis."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray((t * t * (3 - 2 * t))[..., None])


def softbox(azimuth: float, elevation: float, width: float, height: float) -> Float[Array, "H W 1"]:
    """Return the picture of a rectangular lamp, degrees, with edges a little soft."""
    a, e = sphere_angles()
    off = np.degrees(np.angle(np.exp(1j * (a - np.radians(azimuth)))))
    side = np.abs(off) - width / 2
    rise = np.abs(np.degrees(e) - elevation) - height / 2
    return (1 - _ramp(side, -2.0, 2.0)) * (1 - _ramp(rise, -2.0, 2.0))


def _over(base: Panorama, light: Colour, shape: Float[Array, "H W 1"]) -> Panorama:
    """Put a lamp of a colour over a panorama."""
    return np.asarray(base * (1 - shape) + np.array(light) * shape)


def window() -> Panorama:
    """Return a warm room with a large window at the left and a smaller one at the back right."""
    _, e = sphere_angles()
    walls = np.array([0.42, 0.36, 0.29]) * np.ones((HEIGHT, WIDTH, 1))
    room = _over(walls, (0.55, 0.52, 0.47), _ramp(e, 0.75, 0.95))
    room = _over(room, (0.16, 0.10, 0.055), 1 - _ramp(e, -0.35, -0.25))
    room = _over(room, (9.5, 8.6, 7.4), softbox(205, 32, 46, 44))
    return _over(room, (3.2, 2.5, 1.7), softbox(-40, 30, 24, 30))


def overcast() -> Panorama:
    """Return an overcast sky (CIE: three times brighter overhead than at the horizon)."""
    a, e = sphere_angles()
    rise = np.clip(np.sin(e), 0, 1)[..., None]
    sky = np.array([0.86, 0.93, 1.0]) * (1 + 2 * rise) / 3 * 1.9
    sky = sky * (1 + 0.7 * np.cos(a - np.radians(60))[..., None] * np.cos(e)[..., None])
    return _over(sky, (0.12, 0.13, 0.15), 1 - _ramp(e, -0.03, 0.03))


def studio() -> Panorama:
    """Return a photo studio: a big key light, a fill light and a strip above."""
    _, e = sphere_angles()
    room = np.array([0.20, 0.205, 0.21]) * np.ones((HEIGHT, WIDTH, 1))
    room = _over(room, (0.30, 0.30, 0.30), 1 - _ramp(e, -0.1, 0.1))
    room = _over(room, (8.6, 8.45, 8.3), softbox(-28, 50, 44, 34))
    return _over(room, (1.5, 1.6, 1.8), softbox(200, 26, 40, 46))


def dome(zenith: Colour, horizon: Colour, ground: Colour | None = None) -> Panorama:
    """Return a plain dome that fades from one radiance overhead to another at eye level."""
    _, e = sphere_angles()
    rise = np.clip(np.sin(e), 0, 1)[..., None]
    sky = np.array(horizon) * (1 - rise) + np.array(zenith) * rise
    red, green, blue = horizon
    return _over(sky, ground or (red / 2, green / 2, blue / 2), 1 - _ramp(e, -0.03, 0.03))


def panels() -> Panorama:
    """Return a bright hall: rows of white panels in the ceiling."""
    room = dome((0.55, 0.57, 0.58), (0.40, 0.44, 0.45), (0.22, 0.24, 0.24))
    for azimuth, elevation in ((-90, 62), (0, 55), (180, 55), (90, 68)):
        room = _over(room, (5.2, 5.3, 5.4), softbox(azimuth, elevation, 44, 14))
    return room


def skylight() -> Panorama:
    """Return a workshop: a cold window at the right and a warm bulb at the left."""
    room = dome((0.16, 0.14, 0.12), (0.24, 0.19, 0.15), (0.10, 0.08, 0.06))
    room = _over(room, (7.6, 8.8, 10.0), softbox(-22, 34, 40, 40))
    return _over(room, (9.0, 5.2, 2.2), softbox(190, 40, 16, 16))


def spotlights() -> Panorama:
    """Return a gallery: a dim room under a line of warm spotlights."""
    room = dome((0.20, 0.18, 0.17), (0.26, 0.20, 0.18), (0.10, 0.06, 0.05))
    for azimuth in (-140, -105, -75, -40):
        room = _over(room, (25.0, 21.0, 16.5), softbox(azimuth, 54, 13, 11))
    return room


def lampshade() -> Panorama:
    """Return a study in the evening: one warm lamp at the left, the rest dim."""
    room = dome((0.26, 0.22, 0.17), (0.30, 0.25, 0.19), (0.10, 0.05, 0.03))
    room = _over(room, (13.0, 9.8, 6.2), softbox(222, 34, 34, 30))
    return _over(room, (1.6, 1.1, 0.7), softbox(-20, 30, 40, 30))


def veranda() -> Panorama:
    """Return a Japanese room: soft daylight through paper from the right and from above."""
    room = dome((0.46, 0.44, 0.38), (0.42, 0.40, 0.34), (0.22, 0.20, 0.12))
    return _over(room, (4.4, 4.3, 4.0), softbox(-30, 36, 80, 46))


SKIES: dict[str, Callable[[], Panorama]] = {
    "window": window,
    "overcast": overcast,
    "studio": studio,
    "panels": panels,
    "skylight": skylight,
    "spotlights": spotlights,
    "lampshade": lampshade,
    "veranda": veranda,
}
