from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.library import CAMERA, PLACEMENT, RADIUS
from recombine.renderer.scenes.placement import (
    Box,
    Separation,
    Stand,
    draw_allowed,
    occluded_fraction,
    occluding_offset,
    outside,
    proxy,
    screen_box,
    violation,
)

STANDS = st.builds(
    Stand, st.floats(*PLACEMENT["x"]), st.floats(*PLACEMENT["y"]), st.floats(*PLACEMENT["scale"])
)


def allowed(stands: Sequence[Stand], separation: Separation) -> bool:
    return not violation({str(k): s for k, s in enumerate(stands)}, separation)


def through_matrix(point: tuple[float, float, float]) -> tuple[float, float]:
    """Project by inverting a camera-to-world matrix, independently of the code under test."""
    eye, target = np.array(CAMERA.position), np.array(CAMERA.target)
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    world = np.stack([right, np.cross(back, right), back], axis=1)
    local = np.linalg.inv(world) @ (np.array(point) - eye)
    zoom = CAMERA.focal / CAMERA.sensor / -local[2]
    return local[0] * zoom, local[1] * zoom


@given(STANDS)
def test_box_holds_the_projected_cylinder(stand: Stand) -> None:
    box = screen_box(stand)
    for angle, height in itertools.product(np.linspace(0, 2 * math.pi, 12), (0, 0.5, 1)):
        radius = RADIUS * stand.scale
        point = (
            stand.x + radius * math.cos(angle),
            stand.y + radius * math.sin(angle),
            height * stand.scale,
        )
        across, rise = through_matrix(point)
        assert box.left - 1e-9 <= across <= box.right + 1e-9
        assert box.bottom - 1e-9 <= rise <= box.top + 1e-9


@given(STANDS, STANDS)
def test_unoccluded_is_stricter_than_apart_and_symmetric(a: Stand, b: Stand) -> None:
    for kind in ("apart", "unoccluded"):
        assert allowed([a, b], kind) == allowed([b, a], kind)
    if allowed([a, b], "unoccluded"):
        assert allowed([a, b], "apart")
        assert not screen_box(a).overlaps(screen_box(b))


def test_objects_on_one_spot_touch() -> None:
    spot = Stand(0, 0, 0.6)
    assert not allowed([spot, spot], "apart")
    assert allowed([spot], "unoccluded")
    assert allowed([Stand(-0.5, 0, 0.6), Stand(0.5, 0, 0.6)], "unoccluded")


def test_boxes_that_share_an_edge_do_not_overlap() -> None:
    assert not Box(0, 1, 0, 1).overlaps(Box(1, 2, 0, 1))
    assert Box(0, 1, 0, 1).overlaps(Box(0.9, 2, 0.5, 1))


def fault(vector: Mapping[str, float]) -> str:
    names = sorted({key[0] for key in vector})
    return violation(
        {n: Stand(*(vector[f"{n}.{f}"] for f in ("x", "y", "scale"))) for n in names}, "apart"
    )


def test_first_allowed_vector_is_taken_and_tries_are_counted() -> None:
    near = {"a.x": 0.0, "a.y": 0.0, "a.scale": 0.6, "b.x": 0.1, "b.y": 0.0, "b.scale": 0.6}
    stream = iter([near, near, near | {"b.x": 0.9}, near])
    vector, tries = draw_allowed(lambda: next(stream), fault, "test")
    assert vector["b.x"] == 0.9
    assert tries == 3


def test_impossible_placement_names_the_constraint() -> None:
    crowd = {f"{n}.{f}": v for n in "abcd" for f, v in (("x", 0), ("y", 0), ("scale", 1))}
    with pytest.raises(
        InvalidInputError, match=r"preset p, block 0.*a and b must not touch.*Widen"
    ):
        draw_allowed(lambda: crowd, fault, "preset p, block 0")


def test_object_that_leaves_the_picture_is_named() -> None:
    assert outside({"a": Stand(0, 0, 0.5), "b": Stand(1.4, 0, 0.5)}).startswith(
        "b must stay inside"
    )
    assert not outside({"a": Stand(0, 0, 0.5)})


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
