"""Cameras, poses and boxes, on arrays alone."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.blender.labels import rays
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.geometry import (
    Cameras,
    bits,
    camera_to_world,
    intrinsics,
    inverse,
    mask_boxes,
    mask_dtype,
    moved,
    object_to_world,
    placed_arrays,
    project,
    unproject,
    z_depth,
)
from recombine.renderer.scenes.library import CAMERA, Camera, camera_at, sine_cosine
from recombine.renderer.scenes.scene import ObjectSpec, Scene

THING = ObjectSpec("vase", "rubber", 0.3, -0.2, 0.7, 0.8, 1.0)
UNIT = np.array([[-0.5, -0.4, 0.0], [0.5, 0.4, 0.9]])
VIEWS = st.builds(
    camera_at,
    st.floats(-0.3, 0.3),
    st.floats(0.12, 0.3),
    st.floats(2.4, 2.8),
    st.floats(-0.05, 0.05),
    st.floats(0.28, 0.36),
)


@given(st.floats(-7, 13))
def test_sine_and_cosine_are_those_of_the_library(angle: float) -> None:
    assert sine_cosine(angle) == pytest.approx((math.sin(angle), math.cos(angle)), abs=2e-15)


def test_sine_and_cosine_of_quarter_turns() -> None:
    assert sine_cosine(0.0) == (0.0, 1.0)
    assert sine_cosine(math.pi / 2) == (1.0, 0.0)


@given(VIEWS, st.floats(0.5, 30), st.sampled_from([7, 32]))
def test_depth_leads_to_the_point_on_the_ray_that_was_cast(
    camera: Camera, distance: float, size: int
) -> None:
    """Intrinsics and pose agree with the rays by which depth is measured."""
    depth = np.full((size, size), distance)
    k, pose = intrinsics(camera, size), camera_to_world(camera)
    expected = np.array(camera.position) + distance * rays(size, camera)
    points = unproject(depth, k, pose)
    assert np.allclose(points.reshape(-1, 3), expected, atol=1e-9)
    row, column = np.mgrid[:size, :size]
    assert np.allclose(project(points, k, pose), np.stack([column, row], axis=-1), atol=1e-6)
    z = moved(inverse(pose), points)[..., 2]
    assert np.allclose(z_depth(depth, k), z)


@given(VIEWS)
def test_pose_is_a_rotation_with_axes_right_down_forward(camera: Camera) -> None:
    pose = camera_to_world(camera)
    assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3))
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    assert pose[0, 0] > 0.9  # x to the right
    assert pose[2, 1] < -0.9  # y down
    assert pose[1, 2] > 0.9  # z into the picture
    centre = project(np.array(camera.target), intrinsics(camera, 64), pose)
    assert centre == pytest.approx([31.5, 31.5])


def test_projection_is_that_of_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    pose, k = camera_to_world(camera_at(0.2)), intrinsics(CAMERA, 64)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3))
    back = inverse(pose)
    theirs, _ = cv2.projectPoints(points, cv2.Rodrigues(back[:3, :3])[0], back[:3, 3], k, None)
    assert np.allclose(project(points, k, pose), theirs[:, 0], atol=1e-9)


def test_nowhere_stays_nowhere_and_behind_is_nan() -> None:
    depth = np.array([[1.0, np.inf], [np.inf, 2.0]], np.float16)
    k, pose = intrinsics(CAMERA, 2), camera_to_world(CAMERA)
    assert np.isinf(z_depth(depth, k)[0, 1])
    assert np.isnan(unproject(depth, k, pose)[0, 1]).all()
    assert np.isfinite(unproject(depth, k, pose)[1, 1]).all()
    assert np.isnan(project(np.array([0.0, -9.0, 1.0]), k, pose)).all()


def test_batches_give_what_their_images_give() -> None:
    cameras = [camera_at(a) for a in (-0.2, 0.0, 0.3)]
    many = Cameras(
        np.stack([intrinsics(c, 8) for c in cameras]), np.stack([*map(camera_to_world, cameras)])
    )
    depth = np.random.default_rng(0).uniform(1, 4, (3, 8, 8))
    corners = np.random.default_rng(1).uniform(-0.5, 0.5, (3, 2, 8, 3))
    for i, one in enumerate(zip(many.intrinsics, many.camera_to_world, strict=True)):
        assert np.array_equal(many.unproject(depth)[i], unproject(depth[i], *one))
        assert np.array_equal(many.project(corners)[i], project(corners[i], *one))
        assert np.array_equal(many.z_depth(depth)[i], z_depth(depth[i], one[0]))
    eye = many.world_to_camera @ many.camera_to_world
    assert np.allclose(eye, np.eye(4))
    assert len(many) == 3


def test_object_stands_turned_and_scaled_and_absent_ones_are_zero() -> None:
    pose = object_to_world(THING)
    assert moved(pose, np.zeros(3)).tolist() == [0.3, -0.2, 0.0]
    ahead = moved(pose, np.array([1.0, 0.0, 0.0])) - [0.3, -0.2, 0.0]
    assert ahead == pytest.approx([0.8 * math.cos(0.7), 0.8 * math.sin(0.7), 0.0])
    assert not object_to_world(None).any()


def test_boxes_of_masks_and_meshes() -> None:
    mask = np.zeros((6, 6), np.uint8)
    mask[1:3, 2:6] = 1
    whole = mask.copy()
    whole[4, 0] |= 2
    found = placed_arrays(Scene((THING, THING, None), "studio", 1), [UNIT, UNIT, None], mask, whole)
    assert found["box_2d"].tolist() == [[2, 1, 4, 2], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert found["box_2d_amodal"].tolist() == [[2, 1, 4, 2], [0, 4, 1, 1], [0, 0, 0, 0]]
    assert not found["box_3d"][2].any()
    own = moved(np.linalg.inv(found["object_to_world"][0]), found["box_3d"][0])
    for corner, point in enumerate(own):
        i, j, k = corner >> 2, corner >> 1 & 1, corner & 1
        assert point == pytest.approx([UNIT[i, 0], UNIT[j, 1], UNIT[k, 2]])


def test_masks_of_bits_overlap() -> None:
    whole = np.array([[0, 1, 3], [2, 4, 7]], np.uint8)
    masks = bits(whole, 3)
    assert masks.shape == (3, 2, 3)
    assert masks[0].tolist() == [[0, 1, 1], [0, 0, 1]]
    assert (np.sum(masks * [[[1]], [[2]], [[4]]], axis=0) == whole).all()
    assert bits(np.stack([whole, whole]), 3).shape == (2, 3, 2, 3)
    assert not mask_boxes(np.zeros((2, 4, 4), bool)).any()


def test_more_objects_than_bits_are_refused() -> None:
    assert [mask_dtype(n) for n in (0, 8, 9, 16)] == ["u1", "u1", "u2", "u2"]
    with pytest.raises(InvalidInputError, match="at most 16 objects"):
        mask_dtype(17)


def digest() -> str:
    """Return the sha256 of what is stored for many scenes."""
    found = hashlib.sha256()
    mask = np.zeros((8, 8), np.uint8)
    for n in range(200):
        thing = replace(THING, yaw=0.031 * n, x=0.01 * n - 1, scale=0.4 + n / 500)
        scene = Scene((thing,), "studio", 1, camera_at(n / 300 - 0.3, 0.12 + n / 1200, 2.4))
        for array in placed_arrays(scene, [UNIT], mask, mask).values():
            found.update(array.tobytes())
    return found.hexdigest()


def test_another_processor_gives_the_same_bits() -> None:
    """As far as one machine can show: without the instructions that libraries choose by."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
    code += "from tests.renderer.scenes.test_geometry import digest\nprint(digest())"
    plain = {
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
        "OPENBLAS_CORETYPE": "Nehalem",
    }
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(
        command, env={**os.environ, **plain}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest()
