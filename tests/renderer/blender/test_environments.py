"""Light comes from where the tables say, and turns as a whole."""

import numpy as np
import pytest

from recombine.renderer.blender.environments.table import ENVIRONMENTS
from recombine.renderer.scenes.scene import RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import scene, thing

pytestmark = pytest.mark.blender
SETTINGS = RenderSettings(48, 16, denoise=True)


def shadow_side(blender, environment, azimuth):
    """Return the mean column (-1 left, 1 right) of what an upright post darkens on the floor."""
    post = thing("cylinder", x=0.0, y=0.0, scale=0.6)
    pair = (scene(*t, environment=environment, azimuth=azimuth) for t in ((post,), ()))
    full, empty = (blender(blender_side.radiance, picture, SETTINGS) for picture in pair)
    darker = np.clip(empty - full, 0, None).mean(-1)[24:]
    darker[:, 19:29] = 0  # the post itself
    column = np.linspace(-1, 1, 48)
    return (darker * column).sum() / darker.sum()


def test_the_sun_throws_shadows_away_from_itself(blender):
    sun = ENVIRONMENTS["meadow"].sun
    away = -np.sign(np.cos(np.radians(sun.azimuth)))
    assert away * shadow_side(blender, "meadow", 0.0) > 0.1


def test_turning_the_light_moves_the_shadow(blender):
    """A quarter turn takes the sun from front left to front right."""
    assert shadow_side(blender, "meadow", 0.0) > 0.1
    assert shadow_side(blender, "meadow", np.pi / 2) < -0.1


@pytest.mark.parametrize(("environment", "side"), [("parlour", -1), ("studio", 1)])
def test_lamps_of_a_sky_light_the_side_they_are_on(blender, environment, side):
    """The parlour's window is at the left, the studio's key light at the right."""
    ball = thing("sphere", "rubber", scale=0.9)
    drawn = blender(blender_side.radiance, scene(ball, environment=environment), SETTINGS).mean(-1)
    rows = slice(20, 30)
    left, right = drawn[rows, 17:22].mean(), drawn[rows, 26:31].mean()
    assert side * (right - left) > 0.02 * (right + left)


def test_a_full_turn_changes_nothing(blender):
    base = scene(thing(), environment="studio")
    turned = scene(thing(), environment="studio", azimuth=2 * np.pi)
    settings = RenderSettings(24, 64, denoise=False)
    a, b = (blender(blender_side.radiance, s, settings) for s in (base, turned))
    assert np.isclose(a.mean(), b.mean(), rtol=0.01)
