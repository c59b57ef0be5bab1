"""Textures are averaged down to what an image of that size can show."""

import numpy as np
import pytest

from recombine.renderer.scenes.scene import RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import scene

pytestmark = pytest.mark.blender


def test_averaging_keeps_the_mean(blender):
    pixels = np.random.default_rng(0).random((64, 128, 3))
    small = blender(blender_side.averaged, pixels, 4)
    assert small.shape == (16, 32, 3)
    assert np.allclose(small.mean((0, 1)), pixels.mean((0, 1)))
    assert np.isclose(small[0, 0, 0], pixels[:4, :4, 0].mean())
    assert np.array_equal(blender(blender_side.averaged, pixels, 1), pixels)


def test_tiny_images_stay_as_they_are(blender):
    pixels = np.random.default_rng(0).random((8, 8, 3))
    assert blender(blender_side.averaged, pixels, 4).shape == (8, 8, 3)


def test_the_same_scene_at_two_sizes_looks_the_same(blender):
    """Coarser textures change detail only: a small image is a large one, averaged."""
    for environment in ("meadow", "courtyard"):
        small, large = (
            blender(
                blender_side.radiance,
                scene(environment=environment),
                RenderSettings(size, 32, denoise=False),
            )
            for size in (32, 128)
        )
        reduced = large.reshape(32, 4, 32, 4, 3).mean((1, 3))
        assert np.isclose(small.mean(), reduced.mean(), rtol=0.05)
        assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.9
