"""Every shape is closed, faces outwards, stands on the floor and has the standard size."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from recombine.renderer.blender.shapes.solid import Solid, mass_centre
from recombine.renderer.scenes.library import RADIUS, SHAPES
from tests.renderer.blender import blender_side
from tests.renderer.blender.samples import scene, thing
from tests.renderer.blender.solids import is_closed, volume

pytestmark = pytest.mark.blender
SMOOTH = {"sphere", "torus", "vase", "spring", "knot", "pumpkin", "bowl", "pawn"}


@pytest.fixture(params=SHAPES)
def mesh(request, blender):
    return blender(blender_side.mesh_arrays, request.param)


def test_size_and_stand(mesh):
    vertices, _ = mesh
    low, high = vertices.min(0), vertices.max(0)
    extent, reach = (high - low).max(), np.hypot(vertices[:, 0], vertices[:, 1]).max()
    assert extent <= 1 + 1e-5
    assert reach <= RADIUS + 1e-5
    assert np.isclose(extent, 1, atol=1e-5) or np.isclose(reach, RADIUS, atol=1e-5)
    assert abs(low[2]) < 1e-6
    assert np.abs(low[:2] + high[:2]).max() < 1e-5


def test_closed_and_facing_outwards(mesh):
    vertices, faces = mesh
    assert is_closed(faces)
    assert 0.01 < volume(vertices, faces) < 1


def test_stands_without_tipping(mesh):
    """The centre of mass is above the inside of the patch that touches the floor."""
    vertices, faces = mesh
    centre = mass_centre(Solid(vertices, tuple(faces)))
    patch = vertices[vertices[:, 2] <= 0.01 * vertices[:, 2].max(), :2]
    edges = ConvexHull(patch).equations
    inside = -(edges[:, :2] @ centre[:2] + edges[:, 2]).max()
    assert inside > 0.09
    assert np.degrees(np.arctan2(inside, centre[2])) > 10  # so far it can lean and still stand


def test_no_mesh_is_finer_than_a_picture_shows(mesh):
    assert len(mesh[1]) < 8000


def test_no_shape_is_a_speck_beside_another(blender):
    """Alone in the frame at the middle of the scales, over all yaws."""
    share = {}
    for name in SHAPES:
        seen = [scene(thing(name, scale=0.75, yaw=k * np.pi / 3)) for k in range(6)]
        share[name] = np.mean([blender(blender_side.mask, one, 64).mean() for one in seen])
    assert 0.08 < np.mean(list(share.values())) < 0.12
    assert max(share.values()) < 2.6 * min(share.values()), share


@pytest.mark.parametrize("name", ["cube", "octahedron"])
def test_flat_faces_stay_flat(blender, name):
    """Large faces are shaded flat although their edges are rounded."""
    vertices, faces = blender(blender_side.mesh_arrays, name)
    assert len(faces) > 20  # the bevel is there
    largest = max(faces, key=lambda f: np.ptp(vertices[list(f)], axis=0).sum())
    corners = vertices[list(largest)]
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    assert np.abs((corners - corners[0]) @ normal).max() < 1e-6


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_smooth_shapes_are_shaded_smoothly(blender, name):
    """Shading follows the body, and where an edge is meant it breaks instead of smearing."""
    assert blender(blender_side.corner_normal_error, name) < 42
