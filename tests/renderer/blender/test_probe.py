"""What `recombine doctor` asks."""

import numpy as np
import pytest

from recombine.renderer.blender import worker as probe
from recombine.renderer.scenes.scene import Rendered

pytestmark = pytest.mark.blender


def test_versions(blender):
    found = blender(probe.versions)
    assert found["bpy"].startswith("4.")
    assert found["blenderproc"] == "2.8.0"
    assert found["device"] == "CPU"
    assert found["denoiser"] == "OpenImageDenoise"
    assert all(isinstance(value, str) and value for value in found.values())


def test_the_test_render_shows_two_objects(blender):
    found = blender(probe.test_render)
    assert isinstance(found, Rendered)
    assert set(np.unique(found.mask)) == {0, 1, 2}
    assert found.image.std() > 20
