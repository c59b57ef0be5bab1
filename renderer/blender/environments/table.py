"""The table of environments: which floor, surroundings and light belong together.

A new environment is one entry in `ENVIRONMENTS`, its name in
`recombine.renderer.scenes.library`, and one function for each part that is new.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Environment:
    """Floor, backdrop and light of a scene: a room, or a photograph all around."""

    floor: str  # key of `floors.FLOORS`
    backdrop: str = ""  # key of `backdrops.BACKDROPS`; empty in a photograph
    sky: str = ""  # key of `skies.SKIES`; empty in a photograph
    panorama: str = ""  # photograph of `planning.assets.photographs` that lights and surrounds
    # radiance of a white floor in a photograph; in rooms, what the sky's radiance is multiplied by
    strength: float = 1.0
    # where the floor begins to fade into a photograph and where it is gone, metres from the origin
    fade: tuple[float, float] = (2.2, 5.5)
    haze: float = 0.0  # share of haze at a photograph's horizon
    seamless: bool = False  # whether the wall is of the floor's own material
    # how far the light of a room may turn to either side, radians: windows stay off the wall
    swing: float = 0.6


ENVIRONMENTS: dict[str, Environment] = {
    "meadow": Environment("lawn", panorama="sunrise", strength=1.1, haze=0.25),
    "parlour": Environment("parquet", "plaster", "window"),
    "city": Environment("asphalt", panorama="city", strength=1.7, haze=0.25),
    "hall": Environment("chessboard", "tiles", "panels"),
    "harbour": Environment("flagstones", panorama="quay", strength=0.9, haze=0.2),
    "workshop": Environment("boards", "brick", "skylight", strength=1.25),
    "garden": Environment("gravel", panorama="garden", strength=1.8, fade=(1.8, 5.0)),
    "studio": Environment("paper", "sweep", "studio", strength=1.1, seamless=True),
    "carport": Environment("clinker", panorama="carport", strength=0.8, fade=(1.8, 4.0)),
    "courtyard": Environment("slate", "concrete", "overcast", strength=1.2, swing=math.pi),
    "hotel": Environment("oak", panorama="hotel", strength=1.1, fade=(1.2, 2.4)),
    "gallery": Environment("walnut", "paintings", "spotlights", strength=2.4),
    "dusk": Environment("turf", panorama="dusk", strength=0.9, haze=0.2),
    "dojo": Environment("tatami", "shoji", "veranda"),
    "filmset": Environment("painted", panorama="filmset", strength=1.0, fade=(1.2, 3.0)),
    "study": Environment("rug", "books", "lampshade", strength=2.3),
}
