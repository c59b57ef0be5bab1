"""Sizes of shapes, on arrays alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recombine.renderer.blender.shapes.flat import cube
from recombine.renderer.blender.shapes.solid import (
    Solid,
    footed,
    joined,
    mass_centre,
    normalised,
    placed,
    resting,
)
from recombine.renderer.scenes.library import RADIUS
from tests.renderer.blender.solids import is_closed, volume


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, (12, 3), elements=st.floats(-5, 5)).filter(
        lambda a: np.ptp(a, axis=0).min() > 0.1
    )
)
def test_normalised_fits_the_cube_and_the_cylinder(vertices):
    out = normalised(vertices)
    extent = np.ptp(out, axis=0).max()
    reach = np.hypot(out[:, 0], out[:, 1]).max()
    assert extent <= 1 + 1e-9
    assert reach <= RADIUS + 1e-9
    assert np.isclose(extent, 1) or np.isclose(reach, RADIUS)
    assert np.isclose(out[:, 2].min(), 0)


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, (8, 3), elements=st.floats(-2, 2)).filter(
        lambda a: np.ptp(a, axis=0).min() > 0.1
    ),
    st.floats(0.1, 9),
    arrays(float, 3, elements=st.floats(-4, 4)),
)
def test_normalised_forgets_size_and_position(vertices, factor, shift):
    assert np.allclose(normalised(vertices), normalised(vertices * factor + shift), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(*[arrays(float, 3, elements=st.floats(-3, 3))] * 2, st.floats(0.2, 3))
def test_placing_is_rigid_up_to_size(move, turn, size):
    before, after = cube(), placed(cube(), tuple(move), tuple(turn), size)
    assert after.faces == before.faces
    assert np.allclose(after.vertices.mean(0), move)
    assert np.isclose(
        volume(after.vertices, after.faces), size**3 * volume(before.vertices, before.faces)
    )


def test_turns_follow_the_right_hand():
    for axis, (start, end) in enumerate((("y", "z"), ("z", "x"), ("x", "y"))):
        turn = [0.0, 0.0, 0.0]
        turn[axis] = np.pi / 2
        unit = dict(zip("xyz", np.eye(3), strict=True))
        body = Solid(unit[start][None], ())
        x, y, z = turn
        assert np.allclose(placed(body, turn=(x, y, z)).vertices[0], unit[end])


def test_joining_keeps_every_part():
    one, two = cube(), placed(cube(), (3, 0, 0), size=2)
    both = joined(one, two)
    assert is_closed(both.faces)
    assert both.bevel == one.bevel
    assert np.isclose(volume(both.vertices, both.faces), 9)


@settings(max_examples=40, deadline=None)
@given(*[arrays(float, 3, elements=st.floats(-3, 3))] * 2)
def test_the_centre_of_mass_goes_where_the_body_goes(move, turn):
    """Two boxes of volume 1 and 8: the centre is eight ninths of the way to the large one."""
    both = joined(cube(), placed(cube(), (3, 0, 0), size=2))
    assert np.allclose(mass_centre(both), [8 / 3, 0, 0])
    there = placed(both, tuple(move), tuple(turn))
    back = placed(placed(both, turn=tuple(turn)), tuple(move))
    assert np.allclose(mass_centre(there), mass_centre(back))


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6))
def test_a_tilted_box_falls_back_onto_its_face(a, b):
    box = placed(cube(), turn=(a, b, 0))
    height = resting(box).vertices[:, 2]
    assert np.count_nonzero(np.isclose(height, height.min())) == 4
    assert np.isclose(np.ptp(height), 1)


def test_a_tilted_plate_lies_down():
    plate = placed(cube(), turn=(0, 0.3, 0), size=(1.0, 1.0, 0.2))
    assert np.isclose(np.ptp(resting(plate).vertices[:, 2]), 0.2)


def test_a_foot_is_cut_at_the_share_of_the_height():
    tip = placed(cube(), turn=(0.6, 0.4, 0))
    flat = footed(tip, 0.1)
    low, high = tip.vertices[:, 2].min(), tip.vertices[:, 2].max()
    assert np.isclose(flat.vertices[:, 2].min(), low + 0.1 * (high - low))
    assert np.isclose(flat.vertices[:, 2].max(), high)
