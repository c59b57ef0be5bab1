"""A preset of two objects side by side, for tests that need several."""

from __future__ import annotations

from dataclasses import replace

from recombine.renderer.presets.table import Preset
from recombine.renderer.scenes.factors import Factor, Schema, Slot
from recombine.renderer.scenes.scene import RenderSettings
from recombine.renderer.splits.geometry import Sizes
from recombine.renderer.splits.orbit import OrbitSplit


def _object(name: str, low: float, high: float) -> Slot:
    return Slot(
        name,
        (
            Factor("shape", "categorical", values=("sphere", "cube", "vase", "cone")),
            Factor("x", "continuous", low=low, high=high, unit="m"),
            Factor("y", "continuous", low=-0.3, high=0.3, unit="m"),
            Factor("yaw", "periodic"),
            Factor("scale", "continuous", low=0.6, high=0.7, unit="m"),
            Factor("hue", "periodic"),
        ),
    )


def two_objects(resolution: int = 16) -> Preset:
    """Two test blocks of 8 ID and 8 OOC cells, two objects that do not hide one another."""
    slots = (_object("object_a", -0.5, -0.4), _object("object_b", 0.4, 0.5))
    background = Slot("background", (Factor("environment", "categorical", values=("studio",)),))
    materials = (("object_a.material", "rubber"), ("object_b.material", "glaze"))
    return Preset(
        name="two",
        version="1.0",
        summary="two objects",
        schema=Schema((*slots, background), ("object_a.shape", "object_b.shape")),
        constants=materials,
        split=OrbitSplit(ladder=((0, 1),), ooc=(2, 3)),
        sizes=Sizes(1, 1, 2),
        settings=RenderSettings(resolution, 2, denoise=True),
        separation="unoccluded",
    )


def one_behind_the_other() -> Preset:
    """As above, but one object hides part of the other, which some blocks do not have."""
    slots = []
    for name, low in (("object_a", -0.366), ("object_b", 0.361)):
        places = {"x": (-0.02, 0.02), "y": (low, low + 0.005), "scale": (0.6, 0.601)}
        factors = [
            replace(f, low=places[f.name][0], high=places[f.name][1]) if f.name in places else f
            for f in _object(name, 0, 1).factors
        ]
        slots.append(Slot(name, tuple(factors)))
    there = Factor("present", "categorical", values=("no", "yes"))
    slots[1] = Slot("object_b", (*slots[1].factors, there))
    preset = two_objects(64)
    schema = replace(preset.schema, slots=(*slots, preset.schema.slots[-1]))
    return replace(preset, schema=schema, separation="apart", sizes=Sizes(2, 1, 2))
