"""A preset of two objects side by side, for tests that need several."""

from __future__ import annotations

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
