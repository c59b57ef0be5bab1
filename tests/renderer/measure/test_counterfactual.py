from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.measure.influence import edit_between, find_pairs, influence_mask
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.scenes.scene import ObjectSpec, Scene
from tests.renderer.two_objects import two_objects

BALL = ObjectSpec("sphere", "rubber", 0.0, 0.0, 0.0, 0.7, 0.0)
BASE = Scene((BALL, replace(BALL, x=0.5)), "studio", 3)
PICTURES = arrays(np.float32, (3, 4, 3), elements=st.floats(0, 8, width=32))


@given(PICTURES, PICTURES, st.floats(0, 1))
def test_mask_is_where_any_channel_differs(a: np.ndarray, b: np.ndarray, limit: float) -> None:
    exact = influence_mask(a, b)
    assert np.array_equal(exact, (a != b).any(-1))
    strong = influence_mask(a, b, threshold=limit)
    assert not (strong & ~exact).any()
    assert np.array_equal(strong, influence_mask(b, a, threshold=limit))


def test_the_last_bit_counts_and_a_threshold_is_exceeded_not_met() -> None:
    a = np.full((2, 2, 3), 0.5, np.float32)
    b = a.copy()
    b[0, 0, 1] = np.nextafter(np.float32(0.5), np.float32(1))
    b[1, 1, 2] = 0.75
    assert influence_mask(a, b).tolist() == [[True, False], [False, True]]
    assert not influence_mask(a, b, threshold=0.25).any()
    assert influence_mask(a, b, threshold=0.2).sum() == 1


def test_wrong_shapes_and_thresholds_are_refused() -> None:
    a = np.zeros((2, 2, 3))
    for b, threshold in ((np.zeros((2, 3, 3)), 0.0), (a, -1.0), (a, float("nan"))):
        with pytest.raises(InvalidInputError, match="influence_mask"):
            influence_mask(a, b, threshold=threshold)


@pytest.mark.parametrize(
    ("change", "edit"),
    [
        ({"objects": (BALL, BALL)}, "object1"),
        ({"objects": (replace(BALL, shape="cube", hue=1.0), BASE.objects[1])}, "object0"),
        ({"objects": (None, BASE.objects[1])}, "without-object0"),
        ({"environment": "meadow"}, "background"),
        ({"light": "noon"}, "light"),
        ({"sun_azimuth": 1.0}, "light"),
        ({"interaction": "shadows"}, "interaction"),
        ({}, None),
        ({"objects": (None, None)}, None),
        ({"environment": "meadow", "sun_azimuth": 1.0}, None),
        ({"cycles_seed": 4, "environment": "meadow"}, None),
        ({"objects": (BALL,)}, None),
    ],
)
def test_the_one_difference_is_named(change: dict, edit: str | None) -> None:
    other = replace(BASE, **change)
    assert edit_between(BASE, other) == edit
    assert edit_between(other, BASE) == edit


def test_pairs_stay_in_their_block_and_differ_in_one_thing() -> None:
    plan = make_plan(two_objects())
    tested = np.flatnonzero(plan.split >= 2)
    pairs = find_pairs(plan, tested)
    assert pairs
    for a, b, edit in pairs:
        assert a < b
        assert plan.block[a] == plan.block[b]
        assert edit_between(plan.scene(a), plan.scene(b)) == edit
        assert edit in ("object0", "object1")
    seconds = [b for _, b, _ in pairs]
    assert len(set(seconds)) == len(seconds)


def test_edits_are_paired_with_unedited_scenes_only() -> None:
    plan = make_plan(two_objects())
    tested = np.flatnonzero(plan.split >= 2)
    edits = np.ones(len(plan), np.int64)
    bases = tested[::8]
    edits[bases] = 0
    pairs = find_pairs(replace(plan, latents={**plan.latents, "scene.edit": edits}), tested)
    assert pairs
    assert {a for a, _, _ in pairs} <= set(bases.tolist())
    assert not {b for _, b, _ in pairs} & set(bases.tolist())
