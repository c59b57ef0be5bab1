"""What stored latents mean: the scene they stand for, and the hash that binds pixels to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.scene import Interaction, ObjectSpec, RenderSettings, Scene

OBJECT_FIELDS = ("shape", "material", "x", "y", "yaw", "scale", "hue")
PHYSICS: dict[str, Interaction] = {
    "isolated": "isolated",
    "shadows": "shadows",
    "full": "full",
    "occlusion": "full",
}
"""Levels of ``scene.interaction``: occlusion is a matter of places, not of physics."""


def scene_hash(scene: Scene, settings: RenderSettings) -> str:
    """Return the sha256 (hex) of everything that decides the pixels of an image.

    Parameters
    ----------
    scene : Scene
        What is drawn.
    settings : RenderSettings
        How it is drawn.

    Returns
    -------
    str
        64 hexadecimal digits; equal scenes have equal hashes on every machine, because floats
        are written by their shortest exact representation.
    """
    record = {"scene": asdict(scene), "settings": asdict(settings)}
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def scene_of(
    schema: Schema, constants: Mapping[str, str], latents: Mapping[str, Any], cycles_seed: int
) -> Scene:
    """Build a scene from latents; the single place where slots become objects.

    Parameters
    ----------
    schema : Schema
        Slots; every slot whose name starts with ``"object"`` becomes one object. An object whose
        factor ``present`` is 0 is absent; its latents stay, so that it can be put back.
    constants : mapping of str to str
        Names of what does not vary, for example ``{"object.material": "glaze"}``.
    latents : mapping of str to number
        One value per key of the schema.
    cycles_seed : int
        Seed of the path tracer.

    Raises
    ------
    InvalidInputError
        When neither a latent nor a constant says what an object needs.
    """

    def value(slot: str, name: str, default: Any = None) -> Any:
        key = f"{slot}.{name}"
        if key in constants:
            return constants[key]
        if key not in latents:
            if default is not None:
                return default
            raise InvalidInputError(
                f"scene: expected a latent or constant {key!r}; got neither. Add it to the preset."
            )
        factor = schema.factor(key)
        return factor.values[int(latents[key])] if factor.values else float(latents[key])

    def thing(slot: str) -> ObjectSpec | None:
        if latents.get(f"{slot}.present", 1) == 0:
            return None
        return ObjectSpec(**{f: value(slot, f) for f in OBJECT_FIELDS})

    return Scene(
        objects=tuple(thing(s) for s in schema.objects),
        environment=value("background", "environment"),
        cycles_seed=cycles_seed,
        sun_azimuth=value("light", "azimuth", 0.0),
        light=value("light", "rig", "own"),
        interaction=PHYSICS[value("scene", "interaction", "full")],
    )
