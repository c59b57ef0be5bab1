"""Vessels and turned things: every part is a body of its own, in its place."""

import numpy as np
import pytest

from recombine.renderer.blender.shapes import lathe as shapes_vessels
from tests.renderer.blender.solids import bodies, is_closed, volume

PARTS = {"goblet": 1, "rook": 7, "pear": 2, "barrel": 1, "teapot": 3, "lamp": 3}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_closed_and_faces_outwards(name):
    solid = getattr(shapes_vessels, name)()
    found = bodies(solid.faces, len(solid.vertices))
    assert len(found) == PARTS[name]
    for faces in found:
        assert is_closed(faces)
        assert volume(solid.vertices, faces) > 1e-4


def test_the_goblet_is_hollow():
    solid = shapes_vessels.goblet()
    middle = solid.vertices[-1]
    assert 0.45 < middle[2] < 0.6  # the bottom of the cup, far below the rim at 1
    assert np.isclose(solid.vertices[:, 2].max(), 1, atol=0.01)


def test_the_rook_has_six_teeth_with_gaps():
    """Around the top there is wall and air in turn."""
    xyz = shapes_vessels.rook().vertices
    top = xyz[xyz[:, 2] > 1.0]
    angle = np.sort(np.arctan2(top[:, 1], top[:, 0]))
    gaps = np.diff(np.concatenate([angle, angle[:1] + 2 * np.pi]))
    assert np.count_nonzero(gaps > 0.25) == 6


def test_the_barrel_bulges_and_has_grooves():
    xyz = shapes_vessels.barrel().vertices
    radius = np.hypot(*xyz.T[:2])
    middle, end = np.abs(xyz[:, 2] - 0.5) < 0.02, xyz[:, 2] > 0.99
    assert radius[middle].max() > 1.15 * radius[end].max()
    assert np.ptp(radius[middle]) > 0.01


def test_spout_and_handle_are_on_opposite_sides():
    solid = shapes_vessels.teapot()
    spread = [
        solid.vertices[np.unique(np.concatenate([np.array(f) for f in faces]))].mean(0)[0]
        for faces in bodies(solid.faces, len(solid.vertices))
    ]
    assert abs(spread[0]) < 0.01
    assert spread[1] > 0.2 > -0.2 > spread[2]


def test_the_head_of_the_lamp_is_above_its_foot_and_the_arm_joins_them():
    solid = shapes_vessels.lamp()
    foot, arm, head = (
        solid.vertices[np.unique(np.concatenate([np.array(f) for f in faces]))]
        for faces in bodies(solid.faces, len(solid.vertices))
    )
    assert head[:, 2].min() > foot[:, 2].max() + 0.2
    for other in (foot, head):
        gap = np.linalg.norm(arm[:, None] - other[None], axis=2).min()
        assert gap < 0.05
