"""Tubes along curves: closed, evenly thick, and of the right volume."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.blender.shapes import swept as shapes_curved
from recombine.renderer.blender.shapes.swept import tube
from tests.renderer.blender.solids import euler, is_closed, volume


def circle(radius, points):
    """Return a circle in the plane z = 0."""
    t = np.arange(points) * 2 * np.pi / points
    return np.stack([radius * np.cos(t), radius * np.sin(t), 0 * t], axis=1)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.5, 3), st.floats(0.05, 0.3))
def test_ring_volume(radius, thickness):
    """Pappus: 2 pi^2 R r^2."""
    solid = tube(circle(radius, 96), thickness, closed=True, sides=48)
    assert is_closed(solid.faces)
    assert euler(solid.vertices, solid.faces) == 0
    exact = 2 * np.pi**2 * radius * thickness**2
    assert np.isclose(volume(solid.vertices, solid.faces), exact, rtol=0.01)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.2, 3), st.floats(0.05, 0.2))
def test_open_tube_is_a_capsule(length, thickness):
    line = np.stack([np.linspace(0, length, 20), np.zeros(20), np.zeros(20)], axis=1)
    solid = tube(line, thickness, closed=False, sides=48)
    assert is_closed(solid.faces)
    assert euler(solid.vertices, solid.faces) == 2
    exact = np.pi * thickness**2 * length + 4 / 3 * np.pi * thickness**3
    assert np.isclose(volume(solid.vertices, solid.faces), exact, rtol=0.03)
    assert np.isclose(np.ptp(solid.vertices[:, 0]), length + 2 * thickness, rtol=0.01)


def test_the_knot_closes_without_a_twist():
    """Neighbouring rings stay aligned, also where the end meets the beginning."""
    solid = shapes_curved.knot()
    rings = solid.vertices.reshape(-1, 20, 3)
    step = np.linalg.norm(rings - np.roll(rings, -1, 0), axis=2)
    assert step.max() < 2.5 * np.median(step)
    assert is_closed(solid.faces)


def test_the_knot_does_not_touch_itself():
    """Strands that are far along the curve keep a distance of two radii."""
    centres = shapes_curved.knot().vertices.reshape(-1, 20, 3).mean(1)
    n = len(centres)
    gap = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    along = np.abs(np.arange(n)[:, None] - np.arange(n)[None])
    far = np.minimum(along, n - along) > n // 8
    assert gap[far].min() > 2 * 0.66


def test_spring_coils_do_not_merge():
    solid = shapes_curved.spring()
    height = solid.vertices[:, 2]
    assert np.ptp(height) > 0.8
    assert volume(solid.vertices, solid.faces) > 0
