from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.library import PLACEMENT
from recombine.renderer.scenes.placement import (
    Stand,
    allowed,
    occluded_fraction,
    occluding_offset,
    proxy,
    screen_box,
)

STANDS = st.builds(
    Stand, st.floats(*PLACEMENT["x"]), st.floats(*PLACEMENT["y"]), st.floats(*PLACEMENT["scale"])
)
SCALES = st.floats(*PLACEMENT["scale"])
SIDES = st.sampled_from([-1, 1])


@given(STANDS, SCALES, st.floats(0, 1), SIDES)
def test_the_stated_fraction_is_hidden(
    front: Stand, scale: float, fraction: float, side: int
) -> None:
    rear = occluding_offset(front, scale, fraction, side=side)
    assume(rear is not None)
    assert occluded_fraction(front, rear) == pytest.approx(fraction, abs=1e-9)
    assert rear.scale == scale
    assert allowed([front, rear], "apart")
    assert rear.y > front.y


@given(STANDS, SCALES, SIDES)
def test_more_to_hide_is_nearer_to_the_line_of_sight(front: Stand, scale: float, side: int) -> None:
    places = [occluding_offset(front, scale, f, side=side) for f in (0.0, 0.1, 0.3)]
    assume(all(places))
    outward = [side * p.x for p in places]
    assert outward[0] > outward[1] > outward[2]


@given(STANDS, STANDS)
def test_proxies_lie_inside_the_boxes_that_hold_any_shape(a: Stand, b: Stand) -> None:
    inner, outer = proxy(a), screen_box(a)
    assert outer.left < inner.left < inner.right < outer.right
    assert outer.bottom < inner.bottom < inner.top < outer.top
    if not screen_box(a).overlaps(screen_box(b)):
        assert occluded_fraction(a, b) == 0


def test_an_object_cannot_be_hidden_by_one_half_its_size() -> None:
    assert occluding_offset(Stand(0, 0, 0.4), 0.8, 0.9) is None
    assert occluding_offset(Stand(0, 0, 0.8), 0.4, 0.9) is not None


def test_an_object_hides_itself() -> None:
    stand = Stand(0.1, 0.2, 0.7)
    assert occluded_fraction(stand, stand) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_refuses_what_is_no_fraction(wrong: float) -> None:
    with pytest.raises(InvalidInputError, match="fraction"):
        occluding_offset(Stand(0, 0, 0.7), 0.7, wrong)
