"""The moving camera, checked against a matrix that knows nothing of the code under test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.scenes.library import VIEW, Camera, camera_at, turned
from recombine.renderer.scenes.placement import Stand, occluded_fraction, occluding_offset, project

ANYWHERE = st.builds(
    camera_at,
    st.floats(-math.pi, math.pi),
    *(st.floats(*VIEW[name]) for name in ("elevation", "distance", "aim_x", "aim_z")),
)
FRONT = st.builds(Stand, st.floats(-0.3, 0.3), st.floats(-0.4, 0.0), st.floats(0.5, 0.6))


def through_matrix(point: tuple[float, float, float], camera: Camera) -> tuple[float, float]:
    eye, target = np.array(camera.position), np.array(camera.target)
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    world = np.stack([right, np.cross(back, right), back], axis=1)
    local = np.linalg.inv(world) @ (np.array(point) - eye)
    zoom = camera.focal / camera.sensor / -local[2]
    return local[0] * zoom, local[1] * zoom


@given(ANYWHERE, st.tuples(*[st.floats(-0.5, 0.5)] * 3))
def test_projection_holds_for_every_camera(
    camera: Camera, point: tuple[float, float, float]
) -> None:
    assert project(point, camera) == pytest.approx(through_matrix(point, camera), abs=1e-9)


@given(st.floats(-math.pi, math.pi), st.floats(0.1, 0.5), st.floats(2.2, 3.0))
def test_a_camera_stands_where_it_is_told(
    azimuth: float, elevation: float, distance: float
) -> None:
    camera = camera_at(azimuth, elevation, distance, 0.03, 0.3)
    away = np.subtract(camera.position, camera.target)
    assert np.linalg.norm(away) == pytest.approx(distance, abs=1e-8)
    assert away[2] == pytest.approx(distance * math.sin(elevation), abs=1e-8)
    behind = -np.exp(1j * (azimuth + math.pi / 2))  # looks along +y at azimuth 0
    assert complex(*away[:2]) == pytest.approx(distance * math.cos(elevation) * behind, abs=1e-8)


@given(ANYWHERE, st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(0.0, 0.8))
def test_an_azimuth_turns_the_world_and_not_the_picture(
    camera: Camera, x: float, y: float, z: float
) -> None:
    """A point of the camera's own frame of the floor looks the same at every azimuth."""
    angle = 0.7
    moved = Camera(
        (*turned(*camera.position[:2], angle), camera.position[2]),
        (*turned(*camera.target[:2], angle), camera.target[2]),
    )
    here, there = project((x, y, z), camera), project((*turned(x, y, angle), z), moved)
    assert here == pytest.approx(there, abs=1e-7)


@given(FRONT, st.floats(0.5, 0.6), st.sampled_from([-1, 1]), st.floats(0.14, 0.28))
def test_occlusion_is_as_asked_from_other_heights(
    front: Stand, scale: float, side: int, elevation: float
) -> None:
    camera = camera_at(elevation=elevation)
    rear = occluding_offset(front, scale, 0.3, side=side, camera=camera)
    if rear is not None:
        assert occluded_fraction(front, rear, camera) == pytest.approx(0.3, abs=1e-6)
