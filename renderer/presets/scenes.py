"""Presets about the scene as a whole: how many objects there are, and how two stand."""

from __future__ import annotations

from recombine.renderer.presets.base import (
    TRAIN_TIER,
    Preset,
    background_slot,
    categorical,
    check_modulus,
    metres,
    object_slot,
)
from recombine.renderer.presets.slots import ABOVE
from recombine.renderer.scenes.factors import Schema, Slot
from recombine.renderer.scenes.library import MATERIALS, SHAPES
from recombine.renderer.splits.geometry import Sizes
from recombine.renderer.splits.special import (
    RELATIONS,
    CountSplit,
    RelationSplit,
    relation_residues,
)

MOST, OBJECTS = 4, 8


def count(values: int = OBJECTS) -> Preset:
    """Return scenes of 1 to 4 objects for training and of 5 to 8 for testing."""
    # A block shows the first n of the same eight objects, for every n: what is added never moves
    # what was there. The count itself is extrapolated, so coverage and marginals differ by design.
    del values  # eight counts are few already
    presence = categorical("present", ("absent", "present"))
    named = categorical("shape", SHAPES), categorical("material", MATERIALS), presence
    room = {"x": (-0.8, 0.8), "y": (-0.9, 1.4), "scale": (0.48, 0.52)}
    slots = (
        *(object_slot(f"object{k}", *named, **room) for k in range(OBJECTS)),
        background_slot(camera=ABOVE),
        Slot("scene", (categorical("count", tuple(str(k + 1) for k in range(OBJECTS))),)),
    )
    return Preset(
        name="count",
        version="2.0",
        title="Number of objects",
        summary="1 to 4 objects in training, 5 to 8 in testing: extrapolation, reported apart",
        schema=Schema(
            slots,
            ("scene.count",),
            derived=tuple(f"object{k}.present" for k in range(OBJECTS)),
        ),
        constants=(),
        split=CountSplit(MOST, OBJECTS),
        sizes=Sizes(train=4608, val=256, test=640),
        settings=TRAIN_TIER,
        separation="apart",
        arrangement="count",
    )


def relation(values: int = 16) -> Preset:
    """Return two objects in one of four relations; pairs are held out per relation."""
    n = min(values, 16)
    check_modulus(n, least=8)
    shape = categorical("shape", SHAPES[:n])
    room = {"x": (-0.7, 0.7), "y": (-1.2, 1.2), "scale": (0.44, 0.48)}
    scene = Slot(
        "scene",
        (
            categorical("relation", RELATIONS),
            metres("x", (-0.12, 0.12)),
            metres("y", (0.0, 0.1)),
            metres("gap", (0.74, 0.8)),
            metres("slip", (-0.1, 0.1)),
        ),
    )
    slots = (
        object_slot("object0", shape, **room),
        object_slot("object1", shape, **room),
        background_slot(camera=ABOVE),
        scene,
    )
    *quarters, ooc = relation_residues(n)
    ladder = tuple(tuple(sum(quarters[: k + 1], ())) for k in range(3))
    return Preset(
        name="relation",
        version="2.0",
        title="Two objects and their relation",
        summary="16 x 16 objects x 4 relations: pairs held out per relation",
        schema=Schema(
            slots,
            ("object0.shape", "scene.relation", "object1.shape"),
            derived=tuple(f"object{k}.{axis}" for k in (0, 1) for axis in "xy"),
        ),
        constants=(("object0.material", "glaze"), ("object1.material", "glaze")),
        split=RelationSplit(n, ladder, ooc),
        sizes=Sizes(train=96, val=5, test=16),
        settings=TRAIN_TIER,
        separation="unoccluded",
        arrangement="relation",
    )
