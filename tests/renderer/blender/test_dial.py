"""The dial of interaction: what each level lets through, measured by mixed differences."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from recombine.renderer.blender.draw import render_scene
from recombine.renderer.blender.labels import project
from recombine.renderer.scenes.scene import RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import scene, thing

pytestmark = pytest.mark.blender
SETTINGS = RenderSettings(32, 8, denoise=False)
PAIR = scene(
    thing("sphere", "brushed", x=-0.42, scale=0.7), thing("vase", "glaze", x=0.42, scale=0.7)
)


def mixed(blender, level):
    """Return both - left - right + none of a level, and both."""
    left, right = PAIR.objects
    subsets = ((None, None), (left, None), (None, right), (left, right))
    none, a, b, both = (
        blender(blender_side.radiance, replace(PAIR, objects=s, interaction=level), SETTINGS)
        for s in subsets
    )
    return (both.astype(float) - a) - (b.astype(float) - none), both


@pytest.fixture(scope="module")
def levels(blender):
    """The mixed difference and the picture of every level."""
    return {level: mixed(blender, level) for level in ("isolated", "shadows", "full")}


def test_isolated_objects_do_not_interact_at_all(levels):
    assert np.abs(levels["isolated"][0]).max() < 1e-5  # a pixel may show the rims of both contacts


def test_levels_are_strictly_ordered(levels):
    energy = {level: (second**2).mean() for level, (second, _) in levels.items()}
    assert energy["isolated"] < energy["shadows"] < energy["full"]


def test_shadows_only_take_light_away(blender, levels):
    """The floor beside the objects is darker with shadows, and never brighter than without."""
    empty = blender(blender_side.radiance, replace(PAIR, objects=(None, None)), SETTINGS)
    floor = np.s_[28:]  # below the objects and their contacts
    assert np.array_equal(levels["isolated"][1][floor], empty[floor])
    change = levels["shadows"][1][floor] - empty[floor]
    assert change.mean() < -0.01
    assert change.max() <= 1e-6


def test_isolated_objects_stand_in_a_contact_of_their_own(blender):
    """The floor is darker right before an object, and nowhere beyond the circle that it owns."""
    alone = scene(thing("chair", scale=0.7))
    drawn, empty = (
        blender(blender_side.radiance, replace(alone, objects=o, interaction="isolated"), SETTINGS)
        for o in (alone.objects, (None,))
    )
    angle = np.arange(0, 6.3, 0.1)
    ring = 0.6 * 0.7 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    lowest = project(ring, 32)[:, 1].max()
    changed = np.flatnonzero((drawn != empty).any((1, 2)))
    found = blender(render_scene, alone, SETTINGS)
    foot = np.flatnonzero((found.mask == 1).any(1)).max()
    assert foot - 1 < changed.max() <= np.ceil(lowest) + 1  # the filter of pixels is 1.5 wide
    beside = ~binary_dilation(found.mask == 1, iterations=2)  # pixels without any of the object
    assert (drawn.mean(-1) / empty.mean(-1))[beside].min() < 0.9


def test_overlapping_objects_interact_by_occlusion_even_when_isolated(blender):
    behind = scene(thing("sphere", y=-0.3, scale=0.7), thing("cube", y=0.6, scale=0.9))
    subsets = (behind.objects, (behind.objects[0], None), (None, behind.objects[1]), (None, None))
    both, a, b, none = (
        blender(blender_side.radiance, replace(behind, objects=s, interaction="isolated"), SETTINGS)
        for s in subsets
    )
    assert np.abs((both - a) - (b - none)).max() > 0.05


def test_a_level_leaves_no_trace(blender):
    """The full picture is the same before and after the other levels."""
    before = blender(blender_side.radiance, PAIR, SETTINGS)
    for level in ("isolated", "shadows"):
        blender(blender_side.radiance, replace(PAIR, interaction=level), SETTINGS)
    assert np.array_equal(before, blender(blender_side.radiance, PAIR, SETTINGS))
