"""Rays and annotations, on arrays alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recombine.renderer.blender.labels import Hits, camera_axes, label, project, rays
from recombine.renderer.scenes.library import CAMERA

NORTH = np.array([0.0, 0.0, 1.0])


def hits(pixels, depth):
    """Return hits of these pixels, all at one depth, facing up."""
    pixels = np.array(pixels, dtype=int)
    return Hits(pixels, np.full(len(pixels), float(depth)), np.tile(NORTH, (len(pixels), 1)))


def test_camera_axes_are_a_right_handed_frame():
    axes = camera_axes()
    assert np.allclose(axes @ axes.T, np.eye(3))
    assert np.allclose(np.cross(axes[0], axes[1]), -axes[2])  # x right, y up, looking forward
    assert axes[0] @ [1, 0, 0] > 0.99


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([7, 32, 64]), st.floats(0.5, 20))
def test_a_point_on_a_pixels_ray_projects_to_its_centre(resolution, distance):
    seen = project(np.array(CAMERA.position) + distance * rays(resolution), resolution)
    row, column = np.divmod(np.arange(resolution**2), resolution)
    assert np.allclose(seen, np.stack([column + 0.5, row + 0.5], axis=1))


def test_rays_are_unit_and_start_at_the_upper_left():
    directions = rays(16)
    assert np.allclose(np.linalg.norm(directions, axis=1), 1)
    assert directions[0, 0] < 0 < directions[15, 0]
    assert directions[0, 2] > directions[-1, 2]


def test_the_nearest_surface_decides():
    found = label([hits([0, 1, 2], 3), hits([1, 2, 3], 2)], [hits(range(16), 9)], 4)
    assert found.mask.ravel()[:5].tolist() == [1, 2, 2, 2, 0]
    assert found.depth.ravel()[:5].tolist() == [3, 2, 2, 2, 9]
    assert np.allclose(found.visible, [1 / 3, 1], atol=1e-3)
    assert np.allclose(found.amodal, [3 / 16, 3 / 16], atol=1e-3)


def test_nothing_hit_is_infinitely_far_without_normal():
    found = label([hits([5], 3)], [], 4)
    assert np.isinf(found.depth.ravel()[0])
    assert not found.normal[0, 0].any()
    assert found.normal[1, 1].tolist() == [0, 0, 127]


def test_an_object_out_of_sight_has_share_zero_not_nan():
    found = label([hits([], 3), hits([2], 4)], [hits(range(4), 3)], 2)
    assert found.visible.tolist() == [0, 0]
    assert found.amodal.tolist() == [0, 0.25]


@settings(max_examples=40, deadline=None)
@given(st.lists(arrays(bool, 25), min_size=1, max_size=4), st.randoms())
def test_masks_partition_the_image(stencils, random):
    """Whatever the depths, modal masks are disjoint, inside the amodal ones and cover them."""
    things = [hits(np.flatnonzero(s), random.uniform(1, 5)) for s in stencils]
    found = label(things, [hits(range(25), 6)], 5)
    flat = found.mask.ravel()
    assert np.array_equal(flat > 0, np.any(stencils, axis=0))
    for index, stencil in enumerate(stencils):
        assert not (flat == index + 1)[~stencil].any()
        expected = np.count_nonzero(flat == index + 1) / max(stencil.sum(), 1)
        assert np.isclose(found.visible[index], expected, atol=1e-3)
