"""Light comes from where the tables say, and turns as a whole."""

from dataclasses import replace

import numpy as np
import pytest

from recombine.renderer.blender.draw import render_scene
from recombine.renderer.scenes.library import camera_at
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


def test_the_sun_of_a_photograph_throws_shadows_away_from_itself_and_turns(blender):
    """Wherever the sun is turned to, left and right are opposite to their shadows."""
    sun = blender(blender_side.sun_azimuth, "sunrise")
    for side in (-1, 1):
        turn = np.pi / 2 + side * 0.9 - sun  # behind the objects, to the left and to the right
        assert np.sign(np.cos(sun + turn)) == -side
        assert side * shadow_side(blender, "meadow", turn) > 0.1


def test_the_photograph_turns_with_its_light(blender):
    """A full circle brings it back; half of one shows what lay behind the camera."""
    base = scene(environment="harbour")
    views = [
        blender(render_scene, replace(base, turn=turn), SETTINGS).image.astype(float)
        for turn in (0.0, 2 * np.pi, np.pi)
    ]
    assert np.abs(views[0] - views[1]).mean() < 3
    assert np.abs(views[0] - views[2])[:16].mean() > 15


def test_windows_of_a_room_never_stand_behind_its_wall(blender):
    """Whatever the turn, the parlour's window stays at the left of the stage."""
    ball = thing("sphere", "rubber", scale=0.9)
    for turn in np.arange(0, 2 * np.pi, np.pi / 2):
        picture = replace(scene(ball, environment="parlour"), turn=turn)
        drawn = blender(blender_side.radiance, picture, SETTINGS).mean(-1)[20:30]
        assert drawn[:, 17:22].mean() > drawn[:, 26:31].mean()


def test_lamps_of_a_rig_stay_where_they_are_in_the_picture(blender):
    ball = thing("sphere", "rubber", scale=0.9)
    for azimuth in (0.0, 2.0, 4.0):
        picture = replace(
            scene(ball, environment="city"), light="sun-left", camera=camera_at(azimuth)
        )
        drawn = blender(blender_side.radiance, picture, SETTINGS).mean(-1)[20:30]
        assert drawn[:, 17:22].mean() > 1.1 * drawn[:, 26:31].mean()


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
