from __future__ import annotations

import math

import pytest

from recombine.renderer.scenes.arrangements import (
    ARRANGEMENTS,
    EDITS,
    OCCLUDED,
    OCCLUSION_SHARE,
    Rejection,
    edit,
    ladder,
    sun,
    zones,
)
from recombine.renderer.scenes.placement import Stand, occluded_fraction
from tests.renderer.evidence_fixture import SMALL, small

PLACED = {
    "object0.x": -0.1,
    "object0.y": -0.3,
    "object0.scale": 0.55,
    "object1.scale": 0.55,
    "scene.x": 0.5,
    "scene.y": 0.1,
}


def test_every_arrangement_serves_a_preset() -> None:
    assert {small(n).arrangement for n in SMALL} - {""} == set(ARRANGEMENTS)


def test_rear_object_is_hidden_by_the_stated_share() -> None:
    schema = small("interaction-ladder").schema
    open_place = ladder(schema, {**PLACED, "scene.interaction": 2})
    assert open_place == {"object1.x": 0.5, "object1.y": 0.1}
    behind = ladder(schema, {**PLACED, "scene.interaction": OCCLUDED})
    rear = Stand(behind["object1.x"], behind["object1.y"], 0.55)
    assert math.isclose(occluded_fraction(Stand(-0.1, -0.3, 0.55), rear), OCCLUSION_SHARE)


def test_share_that_cannot_be_reached_is_named() -> None:
    tiny = {**PLACED, "object0.scale": 0.05, "scene.interaction": OCCLUDED}
    with pytest.raises(Rejection, match="object0 must hide 30% of object1"):
        ladder(small("interaction-ladder").schema, tiny)


@pytest.mark.parametrize(
    ("variant", "first", "second"), [(0, 2, 3), (1, 8, 7), (2, 2, 7), (3, 8, 3)]
)
def test_variants_mirror_offsets_inside_their_zones(variant: int, first: int, second: int) -> None:
    schema = small("position-band").schema
    low, high = schema.factor("object0.x").bounds
    latents = {"object0.zone": 1, "object1.zone": 4, "variant": variant}
    found = zones(schema, {**latents, "object0.offset": 0.2, "object1.offset": 0.3})
    steps = [(found[f"object{k}.x"] - low) / (high - low) * 8 for k in (0, 1)]
    assert steps == pytest.approx([1 + first / 10, 4 + second / 10])


def test_last_sector_ends_at_a_full_turn() -> None:
    schema = small("object-light").schema
    found = sun(schema, {"light.sector": 7, "light.offset": 0.5})
    assert found["light.azimuth"] == pytest.approx(2 * math.pi * 7.5 / 8)


def test_edited_shape_keeps_the_difference_up_to_its_sign() -> None:
    schema = small("counterfactual").schema
    for a, b in ((1, 2), (6, 0), (3, 5)):
        for which in ("object0", "object1"):
            latents = {"object0.shape": a, "object1.shape": b, "scene.edit": EDITS.index(which)}
            now = {**latents, **edit(schema, latents)}
            assert (now["object1.shape"] - now["object0.shape"] + b - a) % 8 == 0
            assert now[f"{which}.shape"] != latents[f"{which}.shape"]
