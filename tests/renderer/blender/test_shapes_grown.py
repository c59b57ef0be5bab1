"""Soft bodies: one closed skin, where the distances say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.blender.shapes import grown as shapes_grown
from recombine.renderer.blender.shapes.grown import blended, ellipsoid, limb
from tests.renderer.blender.solids import bodies, euler, is_closed, volume


@pytest.mark.parametrize("name", ["duck", "fish", "cactus", "rock"])
def test_one_closed_skin(name):
    solid = getattr(shapes_grown, name)()
    assert is_closed(solid.faces)
    assert len(bodies(solid.faces, len(solid.vertices))) == 1
    assert euler(solid.vertices, solid.faces) == 2
    assert volume(solid.vertices, solid.faces) > 0.05


@pytest.mark.parametrize("name", ["duck", "fish"])
def test_swimmers_are_symmetric(name):
    """Mirrored, they are the same: nothing is left out on one side."""
    xyz = getattr(shapes_grown, name)().vertices
    left, right = xyz[xyz[:, 1] > 0.01], xyz[xyz[:, 1] < -0.01]
    assert np.isclose(left[:, 1].max(), -right[:, 1].min(), atol=1e-3)
    assert np.allclose(left.mean(0), right.mean(0) * [1, -1, 1], atol=0.01)


@settings(max_examples=5, deadline=None)
@given(st.floats(0.2, 0.4), st.floats(0.2, 0.4), st.floats(0.2, 0.4), st.floats(-1, 1))
def test_a_blended_ellipsoid_is_an_ellipsoid(a, b, c, tilt):
    half = (0.5, 0.5, 0.5)
    part = ellipsoid((0, 0, 0), (a, b, c), tilt)
    solid = blended([part], (-0.5, -0.5, -0.5), half, 0.05)
    exact = 4 / 3 * np.pi * a * b * c
    assert np.isclose(volume(solid.vertices, solid.faces), exact, rtol=0.01)


def test_a_limb_is_a_capsule():
    solid = blended(
        [limb((0, 0, 0), (0, 0, 0.5), 0.2, 0.2)], (-0.3, -0.3, -0.3), (0.3, 0.3, 0.8), 0.05
    )
    exact = np.pi * 0.2**2 * 0.5 + 4 / 3 * np.pi * 0.2**3
    assert np.isclose(volume(solid.vertices, solid.faces), exact, rtol=0.01)
    assert np.isclose(solid.vertices[:, 2].max(), 0.7, atol=2e-3)


def test_ribs_cut_ten_grooves():
    part = limb((0, 0, 0), (0, 0, 1), 0.2, 0.2, 0.03)
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ring = np.stack([0.2 * np.cos(angle), 0.2 * np.sin(angle), np.full(400, 0.5)], axis=1)
    depth = part(ring)
    peaks = (depth > np.roll(depth, 1)) & (depth >= np.roll(depth, -1))
    assert np.count_nonzero(peaks) == 10
    assert np.isclose(depth.max(), 0.03, atol=1e-3)


def test_blending_adds_a_neck_between_balls():
    """Two balls that barely miss each other grow together."""
    balls = [ellipsoid((x, 0, 0), (0.2, 0.2, 0.2)) for x in (-0.21, 0.21)]
    for soft, parts in ((0.01, 2), (0.2, 1)):
        solid = blended(balls, (-0.5, -0.3, -0.3), (0.5, 0.3, 0.3), soft)
        assert len(bodies(solid.faces, len(solid.vertices))) == parts


def test_the_rock_has_a_flat_foot_and_facets():
    xyz = shapes_grown.rock().vertices
    foot = np.isclose(xyz[:, 2], xyz[:, 2].min())
    assert np.ptp(xyz[foot][:, 0]) > 0.3
    assert np.isfinite(xyz).all()
