"""Polyhedra and plates: the right faces, lying flat, of the right volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.blender.shapes import flat as shapes_flat
from recombine.renderer.blender.shapes.flat import convex, extruded, on_face
from tests.renderer.blender.solids import euler, is_closed, volume

FACES = {"cube": (6, 4), "octahedron": (8, 3), "dodecahedron": (12, 5)}


@pytest.mark.parametrize("name", FACES)
def test_platonic_faces(name):
    solid = getattr(shapes_flat, name)()
    count, corners = FACES[name]
    assert len(solid.faces) == count
    assert {len(face) for face in solid.faces} == {corners}
    assert is_closed(solid.faces)
    assert euler(solid.vertices, solid.faces) == 2
    edges = [
        np.linalg.norm(solid.vertices[a] - solid.vertices[b])
        for face in solid.faces
        for a, b in zip(face, (*face[1:], face[0]), strict=True)
    ]
    assert np.ptp(edges) < 1e-9


@pytest.mark.parametrize("name", ["octahedron", "dodecahedron"])
def test_bodies_rest_on_a_face(name):
    solid = getattr(shapes_flat, name)()
    height = solid.vertices[:, 2]
    assert np.count_nonzero(np.isclose(height, height.min())) == FACES[name][1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 11))
def test_any_face_can_look_down(face):
    solid = on_face(shapes_flat.dodecahedron(), face)
    height = solid.vertices[list(solid.faces[face]), 2]
    assert np.allclose(height, solid.vertices[:, 2].min())
    assert np.isclose(
        volume(solid.vertices, solid.faces),
        volume(shapes_flat.dodecahedron().vertices, solid.faces),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 12), st.floats(0.1, 2), st.floats(0, 0.3))
def test_plate_volume_is_area_times_height(corners, height, hole):
    angle = np.arange(corners) * 2 * np.pi / corners
    outline = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    hole = hole if hole > 0.05 else 0.0
    solid = extruded(outline, height, 0.0, hole)
    area = corners / 2 * np.sin(2 * np.pi / corners) * (1 - hole**2)
    assert is_closed(solid.faces)
    assert euler(solid.vertices, solid.faces) == (0 if hole else 2)
    assert np.isclose(volume(solid.vertices, solid.faces), area * height)


def test_convex_merges_coplanar_triangles():
    """A box with a corner cut off: three pentagons, three squares, one triangle."""
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1) if x + y + z < 3]
    cut = [(1, 1, 0.5), (1, 0.5, 1), (0.5, 1, 1)]
    solid = convex(np.array([*corners, *cut], float), 0.0)
    assert sorted(len(face) for face in solid.faces) == [3, 4, 4, 4, 5, 5, 5]
    assert np.isclose(volume(solid.vertices, solid.faces), 1 - 0.5**3 / 6)


def test_star_and_gear_have_their_points():
    """Five points in the upright plane, of which two are feet; twenty corners in the flat one."""
    for solid, axis, points in ((shapes_flat.star(), 1, 5), (shapes_flat.gear(), 2, 20)):
        side = solid.vertices[np.isclose(solid.vertices[:, axis], solid.vertices[:, axis].min())]
        reach = np.linalg.norm(np.delete(side, axis, 1), axis=1)
        assert np.count_nonzero(reach > 0.95 * reach.max()) == points
