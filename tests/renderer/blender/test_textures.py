"""Floors, backdrops and skies are sane reflectances and radiances, the same in every process."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.blender.environments.backdrops import BACKDROPS
from recombine.renderer.blender.environments.floors import FLOORS
from recombine.renderer.blender.environments.noise import fractal, mix, normals
from recombine.renderer.blender.environments.panoramas import LIT, irradiance, lighting, seen
from recombine.renderer.blender.environments.skies import (
    HEIGHT,
    SKIES,
    dome,
    softbox,
    sphere_angles,
)
from recombine.renderer.blender.environments.surfaces import faded, joint
from recombine.renderer.blender.environments.table import ENVIRONMENTS


def check_covering(covering):
    """A reflectance between coal and fresh snow, and unit normals that point outwards."""
    assert covering.albedo.min() >= 0.0
    assert covering.albedo.max() <= 1.0
    assert 0.02 < covering.albedo.mean() < 0.85
    normal = covering.relief * 2 - 1
    assert np.allclose(np.linalg.norm(normal, axis=-1), 1)
    assert normal[..., 2].min() > 0


@pytest.mark.parametrize("name", FLOORS)
def test_floor(name):
    floor = FLOORS[name]()
    check_covering(floor)
    height, width, _ = floor.albedo.shape
    assert height == width
    assert height % 8 == 0  # textures are averaged over squares of up to 8


@pytest.mark.parametrize("name", FLOORS)
def test_floor_tiles_without_a_seam(name):
    """The step across the edge of a tile is no larger than steps inside it."""
    albedo = FLOORS[name]().albedo.mean(-1)
    for axis in (0, 1):
        steps = np.abs(np.diff(albedo, axis=axis)).mean(1 - axis)
        seam = np.abs(np.take(albedo, 0, axis) - np.take(albedo, -1, axis)).mean()
        assert seam <= steps.max() * 1.05


@pytest.mark.parametrize("name", BACKDROPS)
def test_backdrop(name):
    pieces = BACKDROPS[name]()
    for piece in pieces:
        check_covering(piece.covering)
        assert (np.diff(piece.section[:, 1]) >= 0).all()  # from the floor upwards
        assert piece.section[:, 0].min() > 1.2  # behind every object
    assert min(piece.section[0, 1] for piece in pieces) == 0.0


@pytest.mark.parametrize("name", SKIES)
def test_sky(name):
    sky = SKIES[name]()
    assert sky.shape == (128, 256, 3)
    assert sky.min() >= 0
    assert sky.max() < 100  # nothing that would make fireflies
    _, elevation = sphere_angles()
    above, below = sky[elevation > 0].mean(), sky[elevation < 0].mean()
    assert above > below


def test_softbox_is_where_it_says():
    lamp = softbox(90, 30, 20, 10)[..., 0]
    azimuth, elevation = sphere_angles()
    weight = lamp * np.cos(elevation)
    assert np.isclose(np.degrees((azimuth * weight).sum() / weight.sum()), 90, atol=0.5)
    assert np.isclose(np.degrees((elevation * weight).sum() / weight.sum()), 30, atol=0.5)


def test_environments_use_existing_parts_each_once():
    for part, table in (("floor", FLOORS), ("backdrop", BACKDROPS), ("sky", SKIES)):
        used = [getattr(environment, part) for environment in ENVIRONMENTS.values()]
        used = [name for name in used if name]
        assert set(used) == set(table)
        assert len(set(used)) == len(used)


def test_noise_is_periodic_and_centred():
    field = fractal(64, 3, slope=2.5)
    assert abs(field.mean() - 0.5) < 0.02
    inside = np.abs(np.diff(field, axis=0)).mean()
    assert np.abs(field[0] - field[-1]).mean() < 2 * inside


def test_normals_of_a_slope():
    x = np.arange(32)
    height = np.tile(np.sin(2 * np.pi * x / 32), (32, 1))  # rises along +x at 0
    normal = normals(height, 1.0) * 2 - 1
    assert normal[0, 0, 0] < 0
    assert np.isclose(normal[0, 8, 2], 1, atol=1e-3)


def test_mix_ends():
    t = np.array([[-1.0, 0.0, 1.0, 2.0]])
    assert np.allclose(mix((0, 0, 0), (1, 2, 3), t)[0, :, 2], [0, 0, 3, 3])


def test_textures_are_the_same_in_another_process():
    code = (
        "import hashlib; from recombine.renderer.blender.environments.floors import FLOORS; import "
        "sys; sys.stdout.write(hashlib.sha256(FLOORS['lawn']().albedo.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mine = hashlib.sha256(FLOORS["lawn"]().albedo.tobytes()).hexdigest()
    assert other.stdout == mine


def test_a_floor_fades_with_distance_and_says_so():
    ends = faded(2.0, 5.0, seed=1)
    assert np.allclose(ends.opacity[[0, -1]], 0)
    assert np.allclose(ends.opacity[:, [0, -1]], 0)
    circle = np.stack([np.cos(np.arange(0, 6.3, 0.1)), np.sin(np.arange(0, 6.3, 0.1))], 1)
    assert np.allclose(ends.at(0.9 * circle), 1)
    assert (ends.at(5.05 * circle) < 0.01).all()
    middle = ends.at(3.5 * circle)
    assert 0.2 < middle.mean() < 0.8
    assert np.ptp(middle) > 0.1  # noise, not a circle
    assert ends.at(np.array([[100.0, 0.0]])) == 0


def test_a_photograph_keeps_its_light_when_it_is_reduced():
    """A sun in one pixel, far from the ground: what falls on the floor stays the same."""
    panorama = np.full((512, 1024, 3), 0.2)
    panorama[400, 301] = 30_000
    light = lighting(panorama)
    assert light.shape == (LIT // 2, LIT, 3)
    assert np.isclose(irradiance(light), irradiance(panorama), rtol=0.01)
    assert not light[: LIT // 8].any()  # below the floor
    assert np.isclose(irradiance(np.full((64, 128, 3), 1.0)), 1.0, rtol=1e-3)


def test_the_camera_sees_haze_at_the_horizon_only_and_no_blinding_lamp():
    panorama = np.random.default_rng(0).uniform(0, 2, (512, 1024, 3))
    panorama[300, 500] = 1000
    view = seen(panorama, 0.5, 4.0)
    assert view.shape == panorama.shape
    assert view.max() <= 4
    assert np.ptp(view[256]) < 0.7 * np.ptp(panorama[256])
    assert np.allclose(view[500], panorama[500], atol=0.02)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.02, 0.3))
def test_joints_lie_on_the_grid(across, along, width):
    inside = min(abs(across - round(across)), abs(along - round(along)))
    value = float(joint(np.array(across), np.array(along), width))
    assert 0 <= value <= 1
    if inside < width / 4:
        assert value == 1
    if inside > width:
        assert value == 0


def test_a_dome_fades_from_the_horizon_to_the_zenith():
    sky = dome((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    assert sky[0, 0].argmax() == 2
    assert sky[-1, 0].argmax() == 0
    assert sky[HEIGHT // 2 + 4, 0].argmax() == 1
    assert (np.diff(sky[HEIGHT // 2 + 4 :, 0, 0]) >= 0).all()
