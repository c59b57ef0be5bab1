"""Pixels depend on the scene and the settings, and on nothing else."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from recombine.renderer.blender.draw import render_scene
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.library import ENVIRONMENTS, MATERIALS, SHAPES
from recombine.renderer.scenes.scene import RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import QUICK, scene, thing

pytestmark = [pytest.mark.blender, pytest.mark.long]
DARK = {"gallery", "hotel", "filmset"}  # black doors and curtains


def jobs():
    """Scenes and settings that differ in everything, three of them with several objects."""
    out = []
    for i, environment in enumerate(ENVIRONMENTS[:4]):
        things = [
            thing(SHAPES[(3 * i + k) % len(SHAPES)], MATERIALS[(i + k) % len(MATERIALS)], k - 0.5)
            for k in range(i % 3 + 1)
        ]
        settings = RenderSettings(32 + 16 * (i % 2), 1 + i, denoise=i % 2 == 0, bounces=3 + i)
        out.append((scene(*things, environment=environment, seed=i, azimuth=0.5 * i), settings))
    return out


def test_same_pixels_in_any_order_and_in_a_fresh_process(blender, fresh):
    """The central promise: nothing that was drawn before leaves a trace."""
    first = blender(blender_side.radiance_hashes, jobs())
    again = blender(blender_side.radiance_hashes, jobs()[::-1])[::-1]
    alone = fresh(blender_side.radiance_hash, *jobs()[2])
    assert first == again
    assert alone == first[2]
    assert len(set(first)) == len(first)


@pytest.mark.parametrize(
    "change",
    [{"samples": 3}, {"denoise": True}, {"bounces": 0}, {"resolution": 24}],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_setting_is_honoured_and_undone(blender, change):
    """An unchanged scene drawn again: Cycles must notice that only a setting is new."""
    picture = scene(thing("bowl", "glaze"), environment="parlour")
    base, other = (
        blender(blender_side.radiance, picture, s) for s in (QUICK, replace(QUICK, **change))
    )
    assert other.shape != base.shape or not np.array_equal(base, other)
    back = blender(blender_side.radiance, picture, QUICK)
    assert np.array_equal(base, back)


@pytest.mark.parametrize(
    "change",
    [
        {"cycles_seed": 6},
        {"sun_azimuth": 1.0},
        {"environment": "courtyard"},
        {"objects": (thing("cube", "rubber"),)},
        {"objects": (thing("bowl", "glaze"),)},
        {"objects": (thing("bowl", hue=2.0),)},
        {"objects": (thing("bowl", yaw=0.5),)},
        {"objects": (thing("bowl", x=0.1),)},
        {"objects": (thing("bowl", scale=0.7),)},
        {"objects": ()},
    ],
    ids=lambda change: str(change)[:60],
)
def test_every_part_of_a_scene_reaches_the_pixels(blender, change):
    base = scene(thing("bowl"), environment="meadow")
    before = blender(blender_side.radiance, base, QUICK)
    after = blender(blender_side.radiance, replace(base, **change), QUICK)
    assert not np.array_equal(before, after)


def test_the_seed_changes_noise_not_the_scene(blender):
    few, many = (RenderSettings(32, samples, denoise=False) for samples in (1, 64))
    base = scene(thing("sphere"))
    difference = []
    for settings in (few, many):
        a, b = (
            blender(blender_side.radiance, replace(base, cycles_seed=s), settings) for s in (0, 1)
        )
        difference.append(np.abs(a - b).mean())
    assert difference[1] < difference[0] / 3


def test_labels_do_not_depend_on_the_picture(blender):
    picture = scene(thing("star", x=-0.4), thing("pawn", x=0.4))
    a = blender(render_scene, picture, QUICK)
    b = blender(
        render_scene, replace(picture, cycles_seed=9), replace(QUICK, samples=4, denoise=True)
    )
    for field in ("mask", "depth", "normal", "visible", "amodal"):
        assert np.array_equal(getattr(a, field), getattr(b, field))


def test_kinds_and_shapes_of_the_result(blender):
    found = blender(render_scene, scene(thing(), thing("cube", x=0.5)), QUICK)
    assert (found.image.shape, found.image.dtype) == ((32, 32, 3), np.uint8)
    assert (found.mask.shape, found.mask.dtype) == ((32, 32), np.uint8)
    assert (found.depth.shape, found.depth.dtype) == ((32, 32), np.float16)
    assert (found.normal.shape, found.normal.dtype) == ((32, 32, 3), np.int8)
    assert (found.visible.shape, found.visible.dtype) == ((2,), np.float16)
    assert (found.amodal.shape, found.amodal.dtype) == ((2,), np.float16)
    assert found.seconds > 0


def test_denoising_brings_a_noisy_picture_closer(blender):
    picture = scene(thing("vase", "glaze"), environment="studio")
    reference = blender(blender_side.radiance, picture, RenderSettings(48, 256, denoise=False))
    error = []
    for denoise in (False, True):
        drawn = blender(blender_side.radiance, picture, RenderSettings(48, 4, denoise=denoise))
        error.append(np.sqrt(((drawn - reference) ** 2).mean()))
    assert error[1] < error[0] / 2


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_well_exposed_with_every_shape(blender, environment):
    """No pixel is burnt out or undefined, and nothing drowns in black."""
    settings = RenderSettings(32, 8, denoise=True)
    dark = environment in DARK
    first = ENVIRONMENTS.index(environment) * 2
    for shape in SHAPES[first : first + 2]:  # all environments together see every shape
        material = MATERIALS[SHAPES.index(shape) * 5 % 16]
        picture = scene(thing(shape, material, hue=first), environment=environment)
        found = blender(render_scene, picture, settings)
        assert (found.image == 255).mean() < 0.01
        assert (found.image.max(-1) < 8).mean() < (0.15 if dark else 0.03)
        assert (25 if dark else 60) < found.image.mean() < 225
        assert np.isfinite(blender(blender_side.radiance, picture, settings)).all()


def test_environments_cannot_be_mixed_up(blender):
    """At 64 pixels any two empty scenes differ in most of the picture."""
    settings = RenderSettings(64, 4, denoise=True)
    looks = [
        blender(render_scene, scene(environment=e), settings).image.astype(float)
        for e in ENVIRONMENTS
    ]
    gaps = {
        f"{ENVIRONMENTS[i]} {ENVIRONMENTS[j]}": np.abs(looks[i] - looks[j]).mean()
        for i, j in itertools.combinations(range(len(looks)), 2)
    }
    assert min(gaps.values()) > 15, min(gaps, key=gaps.__getitem__)


@pytest.mark.parametrize("environment", ENVIRONMENTS[:4])
def test_objects_cast_a_contact_shadow(blender, environment):
    """The floor right beside an object is darker than without the object."""
    settings = RenderSettings(64, 16, denoise=True)
    empty = blender(blender_side.radiance, scene(environment=environment), settings)
    found = blender(render_scene, scene(thing("cube"), environment=environment), settings)
    drawn = blender(blender_side.radiance, scene(thing("cube"), environment=environment), settings)
    rows = np.flatnonzero((found.mask == 1).any(1))
    low = slice(rows[-1] - 3, rows[-1] + 2)
    floor = found.mask[low] == 0
    ratio = (drawn[low][floor] / empty[low][floor]).min()
    assert ratio < 0.8


@pytest.mark.parametrize(
    "wrong",
    [
        scene(thing("dragon")),
        scene(thing(material="glas")),
        scene(environment="moon"),
    ],
)
def test_unknown_names_are_refused(wrong):
    """Before Blender is started, so a typing error costs nothing."""
    with pytest.raises(InvalidInputError, match=r"expected the .* to be one of"):
        render_scene(wrong, QUICK)


def test_stdout_stays_clean(blender):
    assert blender(blender_side.printed, scene(thing()), QUICK) == b""


def test_memory_does_not_grow(blender):
    before, after = blender(blender_side.memory_after, scene(thing("knot")), QUICK, 60)
    assert after - before < 12
