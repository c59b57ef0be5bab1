"""Photographs of surroundings, from a file that the user's ledger names."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from recombine.renderer.blender.draw import render_scene
from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.scenes.assets import Asset
from recombine.renderer.scenes.scene import RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import QUICK, scene, thing
from tests.renderer.own_assets import hdr

pytestmark = pytest.mark.blender
SETTINGS = RenderSettings(24, 8, denoise=True)


def photograph(folder, pixels, name="hall"):
    """Write a Radiance file (top row first); return its asset."""
    data = hdr(pixels)
    (folder / f"{name}.hdr").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return Asset(name, "hdri", "CC0-1.0", "test", digest, folder / f"{name}.hdr")


def side_lit(left=4.0, right=0.05):
    """Return a panorama that is bright at the left of the stage (azimuth pi) only."""
    pixels = np.full((64, 128, 3), right)
    pixels[:, :32] = pixels[:, 96:] = left  # its edges look along -x
    return pixels


def tilt(blender, light, azimuth=0.0):
    """Return how much brighter the right half of a ball is than its left half."""
    picture = replace(
        scene(thing("sphere", "rubber")), light=light.name, assets=(light,), sun_azimuth=azimuth
    )
    found = blender(render_scene, picture, SETTINGS)
    column = np.linspace(-1, 1, 24)[None] * (found.mask == 1)
    return float((found.image.mean(-1) * column).sum())


def test_light_comes_from_where_it_is_in_the_photograph_and_turns(blender, tmp_path):
    light = photograph(tmp_path, side_lit())
    assert tilt(blender, light) < 0 < tilt(blender, light, np.pi)


def test_exposure_does_not_depend_on_the_file(blender, tmp_path):
    """A file in other units gives the same picture."""
    means = []
    for name, factor in (("one", 1.0), ("two", 16.0)):
        light = photograph(tmp_path, side_lit() * factor, name)
        picture = replace(scene(thing()), light=light.name, assets=(light,))
        means.append(blender(blender_side.radiance, picture, QUICK).mean())
    assert np.isclose(means[0], means[1], rtol=1e-3)
    assert 0.2 < means[0] < 2


def test_what_is_no_panorama_is_refused(blender, tmp_path):
    light = photograph(tmp_path, side_lit()[:, :100], "narrow")
    with pytest.raises(InvalidInputError, match="twice as wide as high"):
        blender(render_scene, replace(scene(thing()), light=light.name, assets=(light,)), QUICK)


def test_a_changed_file_is_refused(blender, tmp_path):
    light = photograph(tmp_path, side_lit(), "changed")
    with (tmp_path / "changed.hdr").open("ab") as file:
        file.write(b"x")
    with pytest.raises(IntegrityError, match="asset 'changed'"):
        blender(render_scene, replace(scene(thing()), light=light.name, assets=(light,)), QUICK)
