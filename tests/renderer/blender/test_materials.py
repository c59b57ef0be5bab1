"""Hues are pure: a change of hue changes neither lightness nor chroma."""

import itertools

import numpy as np
import pytest

from recombine.renderer.blender.draw import render_scene
from recombine.renderer.scenes.library import MATERIALS
from recombine.renderer.scenes.scene import RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import scene, thing

pytestmark = [pytest.mark.blender, pytest.mark.long]
WITH_HUE = {"glaze", "brushed", "rubber", "velvet", "carpaint", "glass"}
WITH_HUE |= {"terrazzo", "checker", "stripes", "knit"}


def oklab(rgb):
    """Return OKLab of linear Rec. 709 (B. Ottosson, 2020)."""
    lms = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                    [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]]) @ rgb  # fmt: skip
    return np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                     [1.9779984951, -2.4285922050, 0.4505937099],
                     [0.0259040371, 0.7827717662, -0.8086757660]]) @ np.cbrt(lms)  # fmt: skip


def test_hue_colour_is_a_circle_in_oklab(blender):
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for hue in angles:
        lightness, a, b = oklab(np.array(blender(blender_side.hue_colour, float(hue))))
        assert np.isclose(lightness, 0.66, atol=2e-3)
        assert np.isclose(np.hypot(a, b), 0.11, atol=2e-3)
        assert np.isclose(np.angle(np.exp(1j * (np.arctan2(b, a) - hue))), 0, atol=2e-2)


@pytest.mark.parametrize("material", MATERIALS)
def test_materials_follow_their_hue_or_ignore_it(blender, material):
    settings = RenderSettings(24, 4, denoise=False)
    one, two = (
        blender(blender_side.radiance, scene(thing(material=material, hue=h)), settings)
        for h in (0.5, 3.6)
    )
    assert np.array_equal(one, two) == (material not in WITH_HUE)


@pytest.mark.parametrize("material", MATERIALS)
def test_every_material_is_worn(blender, material):
    """Dust on what faces up, rubbed edges, uneven gloss: the picture is not that of new things."""
    settings, seen = RenderSettings(32, 8, denoise=False), scene(thing("rook", material))
    old, new = (blender(blender_side.radiance_worn, seen, settings, worn) for worn in (True, False))
    change = np.abs(old - new)[blender(blender_side.mask, seen, 32) == 1].mean()
    assert 0.002 < change < 0.05


@pytest.mark.parametrize("hue", [0.5, 3.6])
def test_materials_cannot_be_mixed_up(blender, hue):
    """On one body of one hue, any two materials differ in most pixels."""
    settings, looks = RenderSettings(64, 4, denoise=True), []
    for material in MATERIALS:
        found = blender(render_scene, scene(thing("cylinder", material, hue=hue)), settings)
        pixels = found.image[found.mask == 1].astype(float)
        looks.append(pixels)
    gaps = {
        f"{MATERIALS[i]} {MATERIALS[j]}": np.abs(looks[i] - looks[j]).mean()
        for i, j in itertools.combinations(range(len(looks)), 2)
    }
    assert min(gaps.values()) > 14, min(gaps, key=gaps.__getitem__)


def test_a_glass_body_is_seen_through(blender):
    """What stands behind glass shows: a dark block darkens it, but not a rubber one."""
    settings, change = RenderSettings(48, 8, denoise=True), []
    for material in ("glass", "rubber"):
        front = thing("cube", material, y=-0.3, yaw=0.0)
        alone, before = (
            blender(render_scene, scene(front, *behind), settings)
            for behind in ((), (thing("cube", "leather", y=0.55, scale=0.9),))
        )
        inside = alone.mask == 1
        change.append(np.abs(alone.image.astype(float) - before.image)[inside].mean())
    assert change[0] > 3 * change[1]
