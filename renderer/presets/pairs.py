"""Presets that recombine two factors: an object and where it is, what it is made of, its partner.

Rungs train on 24,576 images each at full size; a function's argument is the largest number of
values per factor.
"""

from __future__ import annotations

import math

from recombine.renderer.presets.base import (
    TRAIN_TIER,
    Preset,
    Range,
    background_slot,
    categorical,
    object_slot,
    orbit_ladder,
    symmetric_ladder,
)
from recombine.renderer.scenes.factors import Schema, Slot
from recombine.renderer.scenes.library import ENVIRONMENTS, MATERIALS, SHAPES
from recombine.renderer.scenes.scene import RenderSettings
from recombine.renderer.splits.geometry import Sizes
from recombine.renderer.splits.orbit import OrbitSplit
from recombine.renderer.splits.special import BindingSplit

PAIR_SCALE = (0.5, 0.6)
PAIR_X = (-0.55, 0.55)


def smoke(values: int = 4) -> Preset:
    """Return the smallest preset, for the quickstart and continuous integration."""
    named = categorical("shape", ("pawn", "pumpkin", "star", "knot")[:values])
    return Preset(
        name="smoke",
        version="2.0",
        title="Object and background, small",
        summary="4 objects x 4 environments, 64 px: a few minutes on two cores",
        schema=Schema(
            (object_slot("object", named), background_slot(min(values, 4))),
            ("object.shape", "background.environment"),
        ),
        constants=(("object.material", "glaze"),),
        split=OrbitSplit(ladder=((0, 1),), ooc=(2, 3), modulus=4),
        sizes=Sizes(train=128, val=16, test=24),
        settings=RenderSettings(resolution=64, samples=8, denoise=True),
    )


def object_background(values: int = 32) -> Preset:
    """Return one object in front of an environment, which lights and shades it."""
    shapes, environments = SHAPES[:values], ENVIRONMENTS[:values]
    return Preset(
        name="object-background",
        version="2.0",
        title="Object and background",
        summary="32 objects x 16 environments: the background lights the object",
        schema=Schema(
            (
                object_slot("object", categorical("shape", shapes)),
                background_slot(len(environments)),
            ),
            ("object.shape", "background.environment"),
        ),
        constants=(("object.material", "glaze"),),
        split=orbit_ladder(math.gcd(len(shapes), len(environments))),
        sizes=Sizes(train=384, val=16, test=32),
        settings=TRAIN_TIER,
    )


def object_texture(values: int = 32) -> Preset:
    """Return one object in one of many materials: which shape wears which texture."""
    shapes, materials = SHAPES[:values], MATERIALS[:values]
    named = categorical("shape", shapes), categorical("material", materials)
    return Preset(
        name="object-texture",
        version="2.0",
        title="Object and texture",
        summary="32 objects x 16 materials: attributes bound to one object",
        schema=Schema(
            (object_slot("object", *named), background_slot()),
            ("object.shape", "object.material"),
        ),
        constants=(),
        split=orbit_ladder(math.gcd(len(shapes), len(materials))),
        sizes=Sizes(train=384, val=16, test=32),
        settings=TRAIN_TIER,
    )


def object_texture_pair(values: int = 16) -> Preset:
    """Return two objects, each in a material: both bindings seen in training, or both held out."""
    n = min(values, 16)
    ladder = orbit_ladder(n)
    named = categorical("shape", SHAPES[:n]), categorical("material", MATERIALS[:n])
    slots = (
        *(object_slot(f"object{k}", *named, x=PAIR_X, scale=PAIR_SCALE) for k in (0, 1)),
        background_slot(),
    )
    keys = tuple(f"object{k}.{name}" for k in (0, 1) for name in ("shape", "material"))
    return Preset(
        name="object-texture-pair",
        version="2.0",
        title="Two objects and their textures",
        summary="two objects, 16 shapes x 16 materials each: which texture is whose",
        schema=Schema(slots, keys),
        constants=(),
        split=BindingSplit(n, (tuple(range(max(2, n // 4))),), ladder.ooc),
        sizes=Sizes(train=24, val=1, test=4, cells=1024),
        settings=TRAIN_TIER,
        separation="unoccluded",
    )


def object_object(values: int = 32) -> Preset:
    """Return two objects that neither touch nor hide nor light each other: the additive control."""
    objects = partner("object0", values), partner("object1", values)
    slots = (*objects, background_slot())
    return Preset(
        name="object-object",
        version="2.0",
        title="Two objects",
        summary="32 x 32 objects apart, no light between them: the additive control",
        schema=Schema(slots, ("object0.shape", "object1.shape")),
        constants=(
            ("object0.material", "glaze"),
            ("object1.material", "glaze"),
            ("scene.interaction", "isolated"),
        ),
        split=symmetric_ladder(values),
        sizes=Sizes(train=192, val=8, test=16),
        settings=TRAIN_TIER,
        separation="unoccluded",
    )


def partner(name: str, values: int, **ranges: Range) -> Slot:
    """Return one of two exchangeable objects, a little smaller than an object that is alone."""
    return object_slot(
        name, categorical("shape", SHAPES[:values]), **{"x": PAIR_X, "scale": PAIR_SCALE, **ranges}
    )
