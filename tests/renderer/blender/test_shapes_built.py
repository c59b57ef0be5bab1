"""Things built from parts: closed parts that touch, and a flat stand."""

import numpy as np
import pytest

from recombine.renderer.blender.shapes import built as shapes_built
from tests.renderer.blender.solids import bodies, euler, is_closed, volume

PARTS = {"chair": 9, "table": 6, "crystal": 6, "propeller": 4, "crescent": 1, "shell": 1}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_closed_and_faces_outwards(name):
    solid = getattr(shapes_built, name)()
    found = bodies(solid.faces, len(solid.vertices))
    assert len(found) == PARTS[name]
    for faces in found:
        assert is_closed(faces)
        assert volume(solid.vertices, faces) > 1e-4


@pytest.mark.parametrize("name", ["chair", "table", "crystal", "propeller"])
def test_nothing_floats(name):
    """The boxes of the parts hang together."""
    solid = getattr(shapes_built, name)()
    boxes = []
    for faces in bodies(solid.faces, len(solid.vertices)):
        points = solid.vertices[np.unique(np.concatenate([np.array(f) for f in faces]))]
        boxes.append((points.min(0), points.max(0)))
    reached, waiting = [boxes[0]], boxes[1:]
    for box in reached:
        near = [b for b in waiting if (b[0] <= box[1]).all() and (box[0] <= b[1]).all()]
        reached += near
        waiting = [b for b in waiting if not any(b is n for n in near)]
    assert not waiting


@pytest.mark.parametrize(("name", "legs"), [("chair", 4), ("table", 4)])
def test_furniture_stands_on_its_legs(name, legs):
    xyz = getattr(shapes_built, name)().vertices
    feet = xyz[np.isclose(xyz[:, 2], xyz[:, 2].min())]
    corners = {(bool(x > 0), bool(y > 0)) for x, y, _ in feet}
    assert len(corners) == legs


def test_the_crystals_have_a_common_flat_foot():
    height = shapes_built.crystal().vertices[:, 2]
    assert height.min() == 0
    assert np.count_nonzero(height == 0) >= 12


def test_three_blades_a_third_of_a_turn_apart():
    solid = shapes_built.propeller()
    blades = bodies(solid.faces, len(solid.vertices))[1:]
    middle = np.array(
        [
            solid.vertices[np.unique(np.concatenate([np.array(f) for f in faces]))].mean(0)
            for faces in blades
        ]
    )
    apart = np.linalg.norm(middle - np.roll(middle, 1, 0), axis=1)
    assert np.allclose(apart, apart.mean(), rtol=0.01)  # whichever way the screw leans


def test_the_horns_of_the_moon_are_thin_and_its_back_is_thick():
    solid = shapes_built.crescent()
    width = np.abs(solid.vertices[:, 1])
    horns, back = solid.vertices[:, 2] > 0.2, solid.vertices[:, 2] < -0.2
    assert width[back].max() > 3 * width[horns].max()
    assert euler(solid.vertices, solid.faces) == 2


def test_the_shell_grows_and_has_a_mouth():
    """Rings get larger up to the lip; behind it the surface turns inwards."""
    rings = shapes_built.shell().vertices.reshape(-1, 40, 3)
    size = np.linalg.norm(rings - rings.mean(1, keepdims=True), axis=2).mean(1)
    assert size[149] > 5 * size[0]
    assert (np.diff(size[149:]) < 0).all()
    assert size[-1] < 0.3 * size[149]
