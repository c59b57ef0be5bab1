"""Users' own meshes, photographs and floors in a picture."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from recombine.renderer.blender.draw import render_scene
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.assets import Asset
from recombine.renderer.scenes.library import RADIUS
from recombine.renderer.scenes.scene import RenderSettings
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import scene, thing
from tests.renderer.own_assets import CUBE, glb, hdr, png

pytestmark = pytest.mark.blender
SETTINGS = RenderSettings(32, 8, denoise=True)


def asset(folder, kind, file, data, **more):
    """Write a file and return its row."""
    (folder / file).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    name = file.partition(".")[0]
    return Asset(name, kind, "CC0-1.0", "test", digest, folder / file, **more)


def around(folder, colour=(0.9, 0.9, 0.9), **more):
    return asset(folder, "hdri", "sky.hdr", hdr(np.full((32, 64, 3), colour)), **more)


def mean_colour(found, inside):
    return found.image[inside].astype(float).mean(0)


def test_a_mesh_stands_in_the_standard_size(fresh, tmp_path):
    """A box 2 wide, 1 high and 3 deep in the file, where y is up."""
    box = asset(tmp_path, "mesh", "box.glb", glb(CUBE + 7))
    xyz = fresh(blender_side.imported_points, box)
    size = np.ptp(xyz, axis=0)
    assert np.allclose(size / size[2], [2, 3, 1], atol=1e-4)
    assert np.isclose(np.hypot(*xyz[:, :2].T).max(), RADIUS, atol=1e-5) or np.isclose(size.max(), 1)
    assert np.isclose(xyz[:, 2].min(), 0, atol=1e-6)


def test_an_object_file_is_the_same_body(fresh, tmp_path):
    corners = "".join(f"v {x} {y} {z}\n" for x, y, z in CUBE)
    faces = "f 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"
    boxes = (
        asset(tmp_path, "mesh", "box.glb", glb()),
        asset(tmp_path, "mesh", "crate.obj", (corners + faces).encode()),
    )
    one, two = (np.unique(fresh(blender_side.imported_points, b).round(4), axis=0) for b in boxes)
    assert np.allclose(one, two, atol=2e-4)


def test_a_mesh_wears_its_own_material_or_ours(fresh, tmp_path):
    box = asset(tmp_path, "mesh", "box.glb", glb())  # red
    seen = {}
    for material in ("own", "rubber"):
        picture = scene(thing("box", material, hue=4.4))
        found = fresh(render_scene, replace(picture, assets=(box,)), SETTINGS)
        seen[material] = mean_colour(found, found.mask == 1)
    assert seen["own"][0] > 1.4 * seen["own"][2]
    assert seen["rubber"][2] > 1.4 * seen["rubber"][0]


@pytest.mark.parametrize("level", ["isolated", "shadows"])
def test_own_materials_follow_the_dial(fresh, tmp_path, level):
    box = asset(tmp_path, "mesh", "box.glb", glb())
    picture = replace(scene(thing("box", "own")), assets=(box,), interaction=level)
    found = fresh(render_scene, picture, SETTINGS)
    colour = mean_colour(found, found.mask == 1)
    assert colour[0] > 1.5 * colour[2]


def test_a_body_without_a_material_wears_glaze(fresh):
    own, glaze = (
        fresh(render_scene, scene(thing("vase", material)), SETTINGS)
        for material in ("own", "glaze")
    )
    assert np.array_equal(own.image, glaze.image)


def test_a_photograph_is_light_backdrop_and_stands_on_its_floor(fresh, tmp_path):
    red = np.zeros((64, 64, 3))
    red[:] = (200, 20, 20)
    floor = asset(tmp_path, "texture", "tiles.png", png(red), metres=0.5)
    sky = around(tmp_path, (0.2, 0.2, 2.0), floor="tiles")
    picture = replace(scene(environment="sky"), assets=(sky, floor))
    found = fresh(render_scene, picture, SETTINGS)
    far = np.isinf(found.depth.astype(float))
    assert 0.1 < far.mean() < 0.6
    assert mean_colour(found, far)[2] > 150
    plain = fresh(render_scene, replace(picture, assets=(around(tmp_path),)), SETTINGS)
    ground = ~far & (found.depth < 3)
    assert ground.any()
    grey = mean_colour(plain, ground)
    assert np.ptp(grey) < 25  # asphalt under white light
    assert mean_colour(found, ground)[1] < 0.7 * mean_colour(found, ground)[2]  # blue on red tiles


def test_a_tile_is_as_large_as_it_says(fresh, tmp_path):
    """Black and white halves: twice the metres, half as many edges across the picture."""
    half = np.zeros((64, 64, 3))
    half[:, 32:] = 255
    counts = []
    for metres in (0.2, 0.4):
        floor = asset(tmp_path, "texture", "tiles.png", png(half), metres=metres)
        picture = replace(scene(environment="sky"), assets=(around(tmp_path, floor="tiles"), floor))
        found = fresh(render_scene, picture, RenderSettings(64, 16, denoise=True))
        row = found.image[52].astype(float).mean(-1)
        counts.append(np.count_nonzero(np.diff(row > (row.min() + row.max()) / 2)))
    assert counts[0] > 3
    assert abs(counts[0] - 2 * counts[1]) <= 2


def test_two_files_of_one_name_are_two_things(fresh, tmp_path):
    """A process that draws for two datasets never mixes them up."""
    one = asset(tmp_path, "mesh", "box.glb", glb())
    (tmp_path / "other").mkdir()
    two = asset(tmp_path / "other", "mesh", "box.glb", glb(CUBE * [1, 3, 0.3]))
    first, second, again = (
        fresh(render_scene, replace(scene(thing("box")), assets=(a,)), SETTINGS).mask
        for a in (one, two, one)
    )
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again)


@pytest.mark.parametrize(
    ("kind", "file", "data", "message"),
    [
        ("mesh", "box.glb", glb(bufferViews=[]), "asset 'box': expected a mesh that Blender can"),
        ("mesh", "box.glb", glb(CUBE * 0), "asset 'box': expected a body of some size"),
        ("texture", "tiles.png", png(np.zeros((32, 64, 3))), "asset 'tiles': expected a square"),
        ("texture", "tiles.png", b"\x89PNG\r\n\x1a\ncut", "asset 'tiles': expected a square"),
        ("hdri", "sky.hdr", hdr(np.ones((32, 32, 3))), "asset 'sky': expected a panorama"),
    ],
)
def test_files_that_blender_cannot_use_are_named(fresh, tmp_path, kind, file, data, message):
    rows = {"hdri": around(tmp_path, floor="tiles" if kind == "texture" else "")}
    rows[kind] = asset(tmp_path, kind, file, data)
    if kind == "texture":
        rows["hdri"] = replace(rows["hdri"], floor="tiles")
    shape = "box" if kind == "mesh" else "vase"
    picture = replace(scene(thing(shape), environment="sky"), assets=tuple(rows.values()))
    with pytest.raises(InvalidInputError, match=message):
        fresh(render_scene, picture, RenderSettings(16, 1))
