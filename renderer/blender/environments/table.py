"""The table of environments: which floor, backdrop, surroundings and sun belong together.

A new environment is one entry in `ENVIRONMENTS`, its name in
`recombine.renderer.scenes.library`, and one function for each part that is new.
"""

from __future__ import annotations

from dataclasses import dataclass

from recombine.renderer.blender.environments.lights import Lamp


@dataclass(frozen=True)
class Environment:
    """Floor, backdrop and light of a scene."""

    floor: str  # key of `floors.FLOORS`
    backdrop: str  # key of `backdrops.BACKDROPS`
    sky: str  # key of `skies.SKIES`
    strength: float = 1.0  # multiplier of the sky's radiance
    sun: Lamp | None = None  # the lamp beside the sky


ENVIRONMENTS: dict[str, Environment] = {
    "meadow": Environment(
        "lawn", "treeline", "clear", sun=Lamp(-125, 44, 4.2, (1.0, 0.93, 0.80), 1.5)
    ),
    "parlour": Environment("parquet", "plaster", "window"),
    "courtyard": Environment("slate", "concrete", "overcast"),
    "studio": Environment("paper", "sweep", "studio"),
    "snow": Environment(
        "snowfield", "spruces", "winter", sun=Lamp(-150, 27, 3.2, (1.0, 0.88, 0.72), 1.5)
    ),
    "desert": Environment(
        "sand", "dunes", "desert", sun=Lamp(-48, 50, 4.0, (1.0, 0.94, 0.82), 0.8)
    ),
    "night": Environment(
        "asphalt", "city", "night", sun=Lamp(-115, 66, 8.0, (1.0, 0.74, 0.44), 5, 4.5, 64)
    ),
    "hall": Environment("chessboard", "tiles", "panels"),
    "beach": Environment(
        "shore", "sea", "seaside", sun=Lamp(-150, 50, 3.6, (1.0, 0.96, 0.88), 0.8)
    ),
    "forest": Environment(
        "litter", "trunks", "canopy", sun=Lamp(-35, 55, 4.2, (1.0, 0.92, 0.70), 3)
    ),
    "workshop": Environment("boards", "brick", "skylight"),
    "gallery": Environment("walnut", "paintings", "spotlights"),
    "sunset": Environment(
        "stubble", "evening", "evening", sun=Lamp(38, 14, 5.0, (1.0, 0.52, 0.22), 2)
    ),
    "plaza": Environment(
        "pavers", "arcade", "south", sun=Lamp(-142, 52, 3.0, (1.0, 0.95, 0.85), 0.8)
    ),
    "study": Environment("carpet", "books", "lampshade"),
    "dojo": Environment("tatami", "shoji", "veranda"),
}
