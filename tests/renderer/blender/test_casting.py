"""Annotations agree with geometry on paper and with Blender's own view of the scene."""

import itertools

import numpy as np
import pytest

from recombine.renderer.blender.draw import cast_labels, render_scene
from recombine.renderer.blender.labels import project, rays
from recombine.renderer.scenes.library import CAMERA, ENVIRONMENTS, SHAPES
from recombine.renderer.scenes.scene import LABELS, RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import QUICK, scene, thing

pytestmark = [pytest.mark.blender, pytest.mark.long]
EYE = np.array(CAMERA.position)


def test_projection_is_blenders_own(blender):
    blender(blender_side.radiance, scene(), QUICK)  # stands the camera up
    points = np.array(list(itertools.product((-0.6, 0.1, 0.6), (-0.4, 0.5), (0.0, 0.9))))
    ours = project(points, 100) / 100
    theirs = blender(blender_side.view_coordinates, points.tolist())
    assert np.allclose(ours[:, 0], theirs[:, 0], atol=1e-5)
    assert np.allclose(1 - ours[:, 1], theirs[:, 1], atol=1e-5)


@pytest.mark.parametrize("denoise", [False, True])
def test_mask_agrees_with_cycles_object_index(blender, denoise):
    things = (
        thing("knot", x=-0.5, y=-0.2, yaw=0.4),
        thing("gear", x=0.1, y=0.5, yaw=1.0, scale=0.9),
        thing("vase", x=0.55, y=-0.1, yaw=2.0, scale=0.7),
    )
    settings = RenderSettings(resolution=96, samples=1, denoise=denoise)
    picture = scene(*things)
    ours = blender(render_scene, picture, settings).mask
    theirs = blender(blender_side.index_pass, picture, settings)
    assert (ours == theirs).mean() > 0.97
    for k in (1, 2, 3):  # edge pixels differ: theirs is a random point of the pixel
        both, either = ((ours == k) & (theirs == k)).sum(), ((ours == k) | (theirs == k)).sum()
        assert both / either > 0.85
        assert set(ours[theirs == k].tolist()) <= {0, 1, 2, 3}


def test_depth_and_normals_of_a_ball(blender):
    """The ray-sphere equation, for a ball of radius 0.4 that stands on the floor."""
    size = 64
    found = blender(render_scene, scene(thing("sphere", x=0.2, y=0.1)), RenderSettings(size, 1))
    centre = np.array([0.2, 0.1, 0.4]) - EYE
    along = rays(size) @ centre
    gap = 0.4**2 - (centre @ centre - along**2)
    hit = gap > 0.01  # away from the outline, where facets matter
    depth = along - np.sqrt(np.maximum(gap, 0))
    normal = (rays(size) * depth[:, None] - centre) / 0.4
    inside = hit.reshape(size, size)
    assert (found.mask[inside] == 1).all()
    assert np.abs(found.depth.ravel()[hit] - depth[hit]).max() < 0.006
    cosine = (found.normal.reshape(-1, 3)[hit] / 127 * normal[hit]).sum(1)
    assert cosine.min() > 0.99


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_depth_of_the_floor(blender, environment):
    found = blender(render_scene, scene(environment=environment), QUICK)
    direction = rays(32).reshape(32, 32, 3)[22:]  # the lower rows see floor only
    depth = -EYE[2] / direction[..., 2]
    assert np.abs(found.depth[22:] - depth).max() < 0.006
    assert (found.normal[22:] == [0, 0, 127]).all()
    assert not found.mask.any()
    assert found.visible.shape == found.amodal.shape == (0,)


def test_a_photograph_is_nowhere_and_its_floor_ends_where_it_is_half_gone(blender):
    """Depth says so where Cycles draws the floor more than half transparent."""
    found = blender(render_scene, scene(environment="meadow"), QUICK)
    assert np.isinf(found.depth[0]).all()
    assert not found.normal[0].any()
    opacity = blender(blender_side.floor_opacity, scene(environment="meadow"), 32)
    seen = np.isfinite(found.depth)
    assert (opacity[seen] > 0.4).all()
    assert (opacity[~seen] < 0.6).all()
    assert ((opacity > 0.1) & (opacity < 0.9)).any()  # it fades, and has no edge
    inside = blender(render_scene, scene(environment="parlour"), QUICK)
    assert np.isfinite(inside.depth).all()


def test_occlusion_is_counted(blender):
    """A ball right behind a cube is hidden in part; the cube is whole, and so is the ball alone."""
    settings = RenderSettings(64, 1)
    cube, ball = thing("cube", y=-0.4, scale=0.7), thing("sphere", y=0.6, scale=0.9)
    both = blender(render_scene, scene(cube, ball), settings)
    alone = blender(render_scene, scene(ball), settings)
    assert both.visible[0] == 1
    assert both.amodal[1] == alone.amodal[0]
    hidden = 1 - (both.mask == 2).sum() / (alone.mask == 1).sum()
    assert np.isclose(both.visible[1], 1 - hidden, atol=1e-3)
    assert 0.2 < hidden < 0.9


def test_an_object_fully_hidden_has_no_visible_share(blender):
    front, back = thing("cylinder", y=-0.4, scale=0.9), thing("sphere", y=0.6, scale=0.3)
    found = blender(render_scene, scene(front, back), RenderSettings(64, 1))
    assert found.visible.tolist() == [1, 0]
    assert found.amodal[1] > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_touches_the_floor_and_is_seen_whole(blender, shape):
    found = blender(render_scene, scene(thing(shape, x=0.1, y=-0.1, scale=0.8, yaw=0.7)), QUICK)
    edge = np.concatenate([found.mask[0], found.mask[-1], found.mask[:, 0], found.mask[:, -1]])
    assert not edge.any()
    assert found.visible[0] == 1
    assert found.amodal[0] > 0.01


def test_labels_without_drawing_are_those_of_the_drawn_image(blender, fresh):
    picture = scene(thing("knot", x=-0.4, yaw=0.4), thing("vase", x=0.5, scale=0.8))
    alone = fresh(cast_labels, picture, 48)  # in a process that has drawn nothing
    drawn = blender(render_scene, picture, RenderSettings(48, 1))
    assert alone.keys() == set(LABELS)
    for name, values in alone.items():
        assert values.dtype == getattr(drawn, name).dtype
        assert np.array_equal(values, getattr(drawn, name)), name
