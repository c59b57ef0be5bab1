"""Light rigs replace an environment's own light, everywhere, and turn with it."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from recombine.renderer.blender.draw import render_scene
from recombine.renderer.blender.environments.lights import RIGS
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.library import LIGHTS
from recombine.renderer.scenes.scene import RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import QUICK, scene, thing

pytestmark = pytest.mark.blender
SETTINGS = RenderSettings(24, 4, denoise=True)


def test_the_table_is_that_of_the_library():
    assert tuple(RIGS) == LIGHTS
    assert all(len(rig.lamps) <= 2 for rig in RIGS.values())
    assert all(lamp.elevation > 0 for rig in RIGS.values() for lamp in rig.lamps)


@pytest.mark.parametrize("environment", ["meadow", "studio"])
def test_rigs_cannot_be_mixed_up(blender, environment):
    """In an open and in a closed place, any two rigs give other pictures of one scene."""
    base = scene(thing("cone"), environment=environment)
    pictures = [
        blender(render_scene, replace(base, light=light), SETTINGS).image.astype(float)
        for light in LIGHTS
    ]
    for a, b in itertools.combinations(pictures, 2):
        assert np.sort(np.abs(a - b).max(-1).ravel())[-50:].mean() > 20  # where it differs most


@pytest.mark.parametrize("light", LIGHTS)
def test_rigs_expose_well(blender, light):
    """On the brightest and on a dark ground, nothing is burnt out and nothing drowns."""
    for environment in ("studio", "dusk"):
        picture = scene(thing("vase", "rubber"), environment=environment)
        image = blender(render_scene, replace(picture, light=light), SETTINGS).image
        assert (image.min(-1) == 255).mean() < 0.02
        assert 12 < image.mean() < 225


def test_a_rig_replaces_the_light_of_the_place(blender):
    """Moonlight over a meadow: far darker, sky and trees included, and back by day."""
    base = scene(thing(), environment="meadow")
    day, night, again = (
        blender(blender_side.radiance, replace(base, light=light), QUICK)
        for light in ("own", "moonlight", "own")
    )
    assert night[:4].mean() < day[:4].mean() / 3
    assert night[-4:].mean() < day[-4:].mean() / 2
    assert np.array_equal(day, again)


@pytest.mark.parametrize("light", ["sun-left", "lamp-left", "overcast"])
def test_rigs_turn_about_the_vertical(blender, light):
    """Half a turn puts a lamp at the left to the right; an even dome stays."""
    base = replace(scene(thing("sphere", "rubber"), environment="studio"), light=light)
    tilt = []
    for azimuth in (0.0, np.pi):
        found = blender(render_scene, replace(base, sun_azimuth=azimuth), SETTINGS)
        column = np.linspace(-1, 1, 24)[None] * (found.mask == 1)
        tilt.append(float((found.image.mean(-1) * column).sum()))
    if light == "overcast":
        assert np.isclose(tilt[0], tilt[1], atol=0.1 * np.abs(tilt).max() + 50)
    else:
        assert tilt[0] < 0 < tilt[1]


def test_unknown_rigs_are_refused():
    with pytest.raises(InvalidInputError, match="expected the light to be one of own, noon"):
        render_scene(replace(scene(thing()), light="disco"), QUICK)
