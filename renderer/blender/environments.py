"""The table of environments: which floor, backdrop, surroundings and sun belong together.

A new environment is one entry in `ENVIRONMENTS`, its name in `recombine.renderer.library`, and
one function for each part that is new.
"""

from __future__ import annotations

from dataclasses import dataclass

from recombine.renderer.blender.lights import Lamp


@dataclass(frozen=True)
class Environment:
    """Floor, backdrop and light of a scene.

    Attributes
    ----------
    floor : str
        Key of `floors.FLOORS`.
    backdrop : str
        Key of `backdrops.BACKDROPS`.
    sky : str
        Key of `skies.SKIES`.
    strength : float
        Multiplier of the sky's radiance.
    sun : Lamp or None
        The lamp beside the sky.
    """

    floor: str
    backdrop: str
    sky: str
    strength: float = 1.0
    sun: Lamp | None = None


ENVIRONMENTS: dict[str, Environment] = {
    "meadow": Environment(
        "lawn", "treeline", "clear", sun=Lamp(-125, 44, 4.2, (1.0, 0.93, 0.80), 1.5)
    ),
    "parlour": Environment("parquet", "plaster", "window"),
    "courtyard": Environment("slate", "concrete", "overcast"),
    "studio": Environment("paper", "sweep", "studio"),
    "snow": Environment("paper", "treeline", "overcast"),
    "desert": Environment("slate", "treeline", "clear"),
    "night": Environment("slate", "concrete", "overcast"),
    "hall": Environment("slate", "plaster", "studio"),
    "beach": Environment("paper", "treeline", "clear"),
    "forest": Environment("lawn", "treeline", "overcast"),
    "workshop": Environment("parquet", "concrete", "window"),
    "gallery": Environment("parquet", "plaster", "studio"),
    "sunset": Environment("lawn", "treeline", "overcast"),
    "plaza": Environment("slate", "treeline", "clear"),
    "study": Environment("parquet", "plaster", "overcast"),
    "dojo": Environment("parquet", "sweep", "window"),
}
