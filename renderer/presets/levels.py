"""Presets that show one scene several times: under other physics, or with one thing changed.

Both are drawn in the exact tier, because their images are compared pixel by pixel.
"""

from __future__ import annotations

from dataclasses import replace

from recombine.renderer.presets.base import (
    EXACT_TIER,
    Preset,
    background_slot,
    categorical,
    check_modulus,
    metres,
    object_slot,
    symmetric_ladder,
)
from recombine.renderer.presets.pairs import PAIR_SCALE, PAIR_X, partner
from recombine.renderer.scenes.arrangements import EDITS
from recombine.renderer.scenes.factors import Schema, Slot
from recombine.renderer.scenes.library import LIGHTS, SHAPES
from recombine.renderer.splits.geometry import Sizes
from recombine.renderer.splits.orbit import OrbitSplit

LEVELS = ("isolated", "shadows", "full", "occlusion")
ANYWHERE = {"x": (-0.9, 0.9), "y": (-0.4, 0.9)}
"""Where a rear object may end up behind the front one; the picture's edge is checked apart."""
GLAZED = (("object0.material", "glaze"), ("object1.material", "glaze"))


def interaction_ladder(values: int = 32) -> Preset:
    """Return the cells of object-object at four levels of physical interaction.

    Isolated objects stand in a contact of their own, drawn on each and on the floor inside its own
    circle, which depends on no other object; the step to `shadows` replaces it by real shadows.
    """
    scale = PAIR_SCALE
    slots = (
        partner("object0", values, y=(-0.4, -0.2), scale=scale),
        partner("object1", values, **ANYWHERE, scale=scale),
        background_slot(),
        Slot(
            "scene",
            (
                categorical("interaction", LEVELS),
                metres("x", PAIR_X),
                metres("y", (-0.3, 0.5)),
            ),
        ),
    )
    ladder = symmetric_ladder(values)
    middle = ladder.ladder[1] if values >= 16 else ladder.ladder[0]
    return Preset(
        name="interaction-ladder",
        version="2.0",
        title="Two objects, four levels of interaction",
        summary="pairs of objects, each isolated, with shadows, fully lit and partly hidden",
        schema=Schema(
            slots,
            ("object0.shape", "object1.shape"),
            crossed=("scene.interaction",),
            derived=("object1.x", "object1.y"),
        ),
        constants=GLAZED,
        split=replace(ladder, ladder=(middle,)),
        sizes=Sizes(train=46, val=2, test=8),
        settings=EXACT_TIER,
        separation="unoccluded",
        arrangement="ladder",
    )


def counterfactual(values: int = 16) -> Preset:
    """Return scenes with their edits: every slot swapped once, every object removed once."""
    n = min(values, 16)
    check_modulus(n, least=8)
    # Mirroring an edited shape must change it: neither equal nor opposite values.
    near, far = range(1, n // 4 + 1), range(3 * n // 8, n // 2)
    ids, ooc = (tuple(sorted(r % n for k in side for r in (k, -k))) for side in (near, far))
    presence = categorical("present", ("absent", "present"))
    shape = categorical("shape", SHAPES[:n])
    slots = (
        *(object_slot(f"object{k}", shape, presence, x=PAIR_X, scale=PAIR_SCALE) for k in (0, 1)),
        background_slot(),
        Slot("light", (categorical("rig", LIGHTS),)),
        Slot("scene", (categorical("edit", EDITS),)),
    )
    return Preset(
        name="counterfactual",
        version="2.0",
        title="Edited scenes",
        summary="scenes with four swaps of one slot and two removals of one object each",
        schema=Schema(
            slots,
            ("object0.shape", "object1.shape"),
            crossed=("scene.edit",),
            derived=("object0.present", "object1.present"),
        ),
        constants=GLAZED,
        split=OrbitSplit(ladder=(ids,), ooc=ooc, modulus=n),
        # One orbit per side and block: a swap then shows a scene that is no other's base.
        sizes=Sizes(train=288, val=32, test=96, cells=n),
        settings=EXACT_TIER,
        separation="apart",
        arrangement="edit",
    )
