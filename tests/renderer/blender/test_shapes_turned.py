"""The lathe: closed bodies of the right volume, from any profile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.blender.shapes import lathe as shapes_turned
from recombine.renderer.blender.shapes.lathe import flowing, rounded, turned
from tests.renderer.blender.solids import euler, is_closed, volume

radii = st.lists(st.floats(0.1, 1), min_size=2, max_size=6)


def profile(radii):
    """Return a profile through these radii at even heights, with poles at both ends."""
    heights = np.linspace(0, 1, len(radii))
    inner = np.stack([np.array(radii), heights], axis=1)
    return np.concatenate([[[0.0, 0.0]], inner, [[0.0, 1.0]]])


@settings(max_examples=40, deadline=None)
@given(radii, st.integers(3, 24))
def test_any_profile_gives_a_closed_ball(radii, segments):
    solid = turned(profile(radii), segments)
    assert is_closed(solid.faces)
    assert euler(solid.vertices, solid.faces) == 2


@settings(max_examples=40, deadline=None)
@given(radii)
def test_volume_is_that_of_stacked_frustums(radii):
    """Cones between rings, by the frustum formula; the polygon around is a little smaller."""
    solid = turned(profile(radii), 64)
    r, step = np.array(radii), 1 / (len(radii) - 1)
    exact = np.pi / 3 * step * (r[:-1] ** 2 + r[:-1] * r[1:] + r[1:] ** 2).sum()
    polygon = np.sin(2 * np.pi / 64) * 64 / (2 * np.pi)
    assert np.isclose(volume(solid.vertices, solid.faces), exact * polygon, rtol=1e-6)


def test_the_sphere_is_a_sphere():
    solid = shapes_turned.sphere()
    assert np.allclose(np.linalg.norm(solid.vertices, axis=1), 1)
    assert np.isclose(volume(solid.vertices, solid.faces), 4 / 3 * np.pi, rtol=0.01)


def test_rounded_keeps_ends_and_stays_inside_the_corner():
    out = rounded([(0, 0, 0), (1, 0, 0.2), (1, 1, 0), (0, 1, 0)], 5)
    assert out[0].tolist() == [0, 0]
    assert out[-1].tolist() == [0, 1]
    assert out[:, 0].max() <= 1
    assert not (out == [1, 0]).all(1).any()  # the rounded corner is gone
    assert (out == [1, 1]).all(1).any()  # the sharp one is not
    assert np.isclose(out[1], [0.8, 0]).all()
    assert np.isclose(out[5], [1, 0.2]).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.05, 1), min_size=3, max_size=6))
def test_flowing_passes_through_its_ends_and_is_never_negative(radii):
    points = [(r, 0.3 * i) for i, r in enumerate(radii)]
    curve = flowing(points, 40)
    assert curve.shape == (40, 2)
    assert np.allclose(curve[[0, -1]], [points[0], points[-1]])
    assert curve[:, 0].min() >= 0


@pytest.mark.parametrize("hollow", ["vase", "bowl"])
def test_hollow_bodies_are_hollow(hollow):
    """Much less volume than the hull of the same outline."""
    solid = getattr(shapes_turned, hollow)()
    radius = np.hypot(*solid.vertices[:, :2].T)
    height = np.ptp(solid.vertices[:, 2])
    assert volume(solid.vertices, solid.faces) < 0.5 * np.pi * radius.max() ** 2 * height
    top = solid.vertices[-1]  # the pole inside
    assert top[2] < solid.vertices[:, 2].max() - 0.2


@pytest.mark.parametrize(("name", "ribbed"), [("pumpkin", True), ("sphere", False)])
def test_only_the_pumpkin_has_ribs(name, ribbed):
    """How much the radius varies around the widest ring."""
    solid = getattr(shapes_turned, name)()
    radius = np.hypot(*solid.vertices.T[:2])
    ring = np.isclose(solid.vertices[:, 2], solid.vertices[radius.argmax(), 2], atol=1e-6)
    spread = np.ptp(radius[ring]) / radius.max()
    assert (spread > 0.1) == ribbed
