"""Interaction measured on real renders."""

from dataclasses import replace

import numpy as np
import pytest

from recombine.renderer.measure.interaction import measure_scene
from recombine.renderer.scenes.scene import RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import scene, thing

pytestmark = pytest.mark.blender
SETTINGS = RenderSettings(32, 16, denoise=False)
NEAR = scene(
    thing("cube", "brushed", x=-0.36, scale=0.7), thing("vase", "glaze", x=0.36, scale=0.7)
)


def measured(blender, picture):
    mask = blender(blender_side.mask, picture, SETTINGS.resolution)
    return blender(measure_scene, picture, SETTINGS, mask)


def test_zero_is_a_measured_zero(blender):
    found = measured(blender, replace(NEAR, interaction="isolated"))
    assert found.energy[0] > 1e-4
    assert found.energy[1] == found.floor[1] == found.energy_se[1] == 0
    assert found.zero == 1
    assert found.outside < 0.01
    assert np.array_equal(found.scene, found.parts)


def test_interaction_stands_clear_of_its_noise(blender):
    found = measured(blender, NEAR)
    assert found.energy[1] > 5 * found.energy_se[1] > 0
    assert found.energy[1] < found.energy[0]
    assert found.share > found.share_floor
    assert 0 < found.zero < 1
    assert found.outside > 0.01


def test_three_objects_have_a_third_order(blender):
    third = thing("sphere", "brushed", x=0.0, y=0.55, scale=0.6)
    found = measured(blender, replace(NEAR, objects=(*NEAR.objects, third)))
    assert found.objects == 3
    assert found.energy[2] != 0
    assert found.floor[2] > 0
