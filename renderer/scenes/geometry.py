"""Cameras, poses and boxes as arrays, and how depth becomes points.

Conventions, as OpenCV and BOP have them. The world is that of scenes: metres, the floor is z = 0.
A camera looks along +z of its own frame, x to the right, y down. The centre of the upper left
pixel is the point (0, 0) of the picture, the centre of column u and row v is (u, v). Stored depth
is the distance along the ray through the centre of a pixel.

Whatever is stored is summed in a fixed order with + - * / and roots only, so that it is the same
to the last bit on every processor; libraries of linear algebra and sines are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.types import Array
from recombine.renderer.scenes.library import CAMERA, Camera, sine_cosine

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int32

    from recombine.renderer.scenes.scene import ObjectSpec, Scene

CONVENTIONS = {
    "depth": "distance along the ray through the pixel's centre, metres; inf where nothing is hit",
    "normal": "unit normal of the face in the world, times 127; 0 where nothing is hit",
    "amodal_mask": "bit k is set where object k is seen when it stands alone",
    "intrinsics": "K, pixels; the centre of the upper left pixel is (0, 0)",
    "camera_to_world": "4x4, metres; camera axes as in OpenCV: x right, y down, z forward",
    "object_to_world": "4x4, rotation times scale, metres; zero for an absent object",
    "box_3d": "corners of the object's own box in the world, metres; corner 4 i + 2 j + k is low "
    "(0) or high (1) along the object's x (i), y (j) and z (k); zero for an absent object",
    "box_2d": "x, y, width, height of the visible mask, whole pixels; zero where it is empty",
    "box_2d_amodal": "x, y, width, height of the mask when alone, whole pixels; zero where empty",
}
"""What the stored arrays mean; written beside them."""
MASK_BITS = 16


@lru_cache(maxsize=8)
def camera_axes(camera: Camera = CAMERA) -> Float[Array, "3 3"]:
    """Return the camera's right, up and forward unit vectors as rows, in world coordinates."""
    fx, fy, fz = (t - p for t, p in zip(camera.target, camera.position, strict=True))
    length, flat = math.sqrt(fx * fx + fy * fy + fz * fz), math.sqrt(fx * fx + fy * fy)
    fx, fy, fz, rx, ry = fx / length, fy / length, fz / length, fy / flat, -fx / flat
    return np.array([[rx, ry, 0.0], [ry * fz, -rx * fz, rx * fy - ry * fx], [fx, fy, fz]])


def combined(weights: Float[Array, "N 3"], rows: Float[Array, "3 3"]) -> Float[Array, "N 3"]:
    """Return ``weights @ rows``."""
    x, y, z = weights[:, :1], weights[:, 1:2], weights[:, 2:]
    return np.asarray(x * rows[0] + y * rows[1] + z * rows[2])


def rotation(yaw: float) -> Float64[Array, "3 3"]:
    """Return the rotation about the vertical."""
    s, c = sine_cosine(yaw)
    return np.array([[c, 0.0 - s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def intrinsics(camera: Camera, resolution: int) -> Float64[Array, "3 3"]:
    """Return the matrix K of a camera, in pixels."""
    focal, centre = camera.focal / camera.sensor * resolution, (resolution - 1) / 2
    return np.array([[focal, 0.0, centre], [0.0, focal, centre], [0.0, 0.0, 1.0]])


def camera_to_world(camera: Camera) -> Float64[Array, "4 4"]:
    """Return the pose of a camera with the axes of OpenCV."""
    right, up, forward = camera_axes(camera)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, 0.0 - up, forward], axis=1)
    pose[:3, 3] = camera.position
    return pose


def object_to_world(thing: ObjectSpec | None) -> Float64[Array, "4 4"]:
    """Return where an object stands, from its mesh of edge 1; zero for an absent one."""
    pose = np.zeros((4, 4))
    if thing is not None:
        pose[:3, :3] = rotation(thing.yaw) * thing.scale
        pose[:, 3] = thing.x, thing.y, 0.0, 1.0
    return pose


def mask_dtype(n_objects: int) -> str:
    """Return the type of a mask with one bit per object."""
    if n_objects > MASK_BITS:
        raise InvalidInputError(
            f"scene: expected at most {MASK_BITS} objects, one bit each in `amodal_mask`; got "
            f"{n_objects}. Take fewer object slots."
        )
    return "u1" if n_objects <= 8 else "u2"


def bits(mask: Array, n_objects: int) -> Bool[Array, "*N K H W"]:
    """Return the masks of the objects, which may overlap, from one mask of bits."""
    shift = np.arange(n_objects, dtype=mask.dtype)[:, None, None]
    return np.asarray(mask[..., None, :, :] >> shift & 1, bool)


def mask_boxes(masks: Bool[Array, "K H W"]) -> Int32[Array, "K 4"]:
    """Return x, y, width and height of every mask in pixels; zero for an empty one."""
    boxes = np.zeros((len(masks), 4), np.int32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
            box[:] = columns[0], rows[0], width, height
    return boxes


def placed_arrays(
    scene: Scene,
    model_boxes: Sequence[Float64[Array, "2 3"] | None],
    mask: Array,
    amodal_mask: Array,
) -> dict[str, Array]:
    """Return the arrays of `Rendered` that say where camera and objects are.

    ``model_boxes`` holds the lowest and highest corner of the mesh of each object, none for an
    absent one.
    """
    count = len(scene.objects)
    poses = np.zeros((count, 4, 4))
    corners = np.zeros((count, 8, 3))
    for k, (thing, box) in enumerate(zip(scene.objects, model_boxes, strict=True)):
        if thing is not None and box is not None:
            poses[k] = object_to_world(thing)
            (x, y, z), edges = box.T, range(2)
            own = [[x[i], y[j], z[m]] for i in edges for j in edges for m in edges]
            corners[k] = moved(poses[k], np.array(own))
    return {
        "intrinsics": intrinsics(scene.camera, mask.shape[0]),
        "camera_to_world": camera_to_world(scene.camera),
        "object_to_world": poses,
        "box_3d": corners,
        "box_2d": mask_boxes(mask == np.arange(1, count + 1)[:, None, None]),
        "box_2d_amodal": mask_boxes(bits(amodal_mask, count)),
    }


# What a reader does with them. All take one image or a batch: leading axes are those of the poses.


def moved(pose: Float[Array, "*B 4 4"], points: Float[Array, "*B *P 3"]) -> Float64[Array, "..."]:
    """Return points in the frame that a pose leads to."""
    pose = _over(np.asarray(pose, float), np.ndim(points) - 1)
    x, y, z = (points[..., i, None] for i in range(3))
    found = x * pose[..., :3, 0] + y * pose[..., :3, 1] + z * pose[..., :3, 2] + pose[..., :3, 3]
    return np.asarray(found)


def inverse(pose: Float[Array, "*B 4 4"]) -> Float64[Array, "*B 4 4"]:
    """Return the pose that leads back, for a pose without scale, such as a camera's."""
    turn = np.swapaxes(pose[..., :3, :3], -1, -2)
    back = np.zeros(pose.shape)
    back[..., :3, :3], back[..., 3, 3] = turn, 1.0
    back[..., :3, 3] = -(turn * pose[..., None, :3, 3]).sum(-1)
    return back


def z_depth(depth: Float[Array, "*B H W"], k: Float[Array, "*B 3 3"]) -> Float64[Array, "*B H W"]:
    """Return the distance along the camera's axis from the distance along each pixel's ray.

    Parameters
    ----------
    depth : array of shape (..., H, W)
        As stored: metres along the ray, inf where nothing is hit.
    k : array of shape (..., 3, 3)
        Intrinsics, pixels; no skew.

    Returns
    -------
    float64 array of shape (..., H, W)
        Metres along the camera's z axis; inf where nothing is hit.
    """
    slopes = _slopes(depth.shape[-2:], k)
    return np.asarray(depth / np.sqrt((slopes * slopes).sum(-1)), float)


def unproject(
    depth: Float[Array, "*B H W"], k: Float[Array, "*B 3 3"], pose: Float[Array, "*B 4 4"]
) -> Float64[Array, "*B H W 3"]:
    """Return the point of the world that every pixel shows.

    Parameters
    ----------
    depth : array of shape (..., H, W)
        As stored: metres along the ray, inf where nothing is hit.
    k : array of shape (..., 3, 3)
        Intrinsics, pixels; no skew.
    pose : array of shape (..., 4, 4)
        Camera to world.

    Returns
    -------
    float64 array of shape (..., H, W, 3)
        World coordinates, metres; NaN where nothing is hit.
    """
    z = z_depth(depth, k)
    z = np.where(np.isfinite(z), z, np.nan)
    return moved(pose, _slopes(depth.shape[-2:], k) * z[..., None])


def project(
    points: Float[Array, "*B *P 3"], k: Float[Array, "*B 3 3"], pose: Float[Array, "*B 4 4"]
) -> Float64[Array, "*B *P 2"]:
    """Return where points of the world appear in the picture.

    Parameters
    ----------
    points : array of shape (..., 3)
        World coordinates, metres. Axes between those of the cameras and the last are free.
    k : array of shape (..., 3, 3)
        Intrinsics, pixels.
    pose : array of shape (..., 4, 4)
        Camera to world.

    Returns
    -------
    float64 array of shape (..., 2)
        Column and row, pixels; NaN for a point that is not before the camera.
    """
    own = moved(inverse(np.asarray(pose, float)), points)
    k = _over(np.asarray(k, float), own.ndim - 1)
    z = np.where(own[..., 2] > 0, own[..., 2], np.nan)
    u = own[..., 0] / z * k[..., 0, 0] + k[..., 0, 2]
    return np.stack([u, own[..., 1] / z * k[..., 1, 1] + k[..., 1, 2]], axis=-1)


@dataclass(frozen=True)
class Cameras:
    """The cameras of some images.

    Attributes
    ----------
    intrinsics : float64 array of shape (n, 3, 3)
        Matrices K, pixels; the centre of the upper left pixel is the point (0, 0).
    camera_to_world : float64 array of shape (n, 4, 4)
        Poses, metres; axes as in OpenCV: x to the right, y down, z forward.

    Examples
    --------
    >>> view = data["id_test"][:8]  # doctest: +SKIP
    >>> view.cameras.unproject(view.depth).shape  # doctest: +SKIP
    (8, 64, 64, 3)
    """

    intrinsics: Float64[Array, "n 3 3"]
    camera_to_world: Float64[Array, "n 4 4"]

    def __len__(self) -> int:
        return len(self.intrinsics)

    @property
    def world_to_camera(self) -> Float64[Array, "n 4 4"]:
        """Return the inverse poses: [R | t] as cv2 takes them."""
        return inverse(self.camera_to_world)

    def z_depth(self, depth: Float[Array, "n H W"]) -> Float64[Array, "n H W"]:
        """Return depth along the axis of the camera from depth along rays; see `z_depth`."""
        return z_depth(depth, self.intrinsics)

    def unproject(self, depth: Float[Array, "n H W"]) -> Float64[Array, "n H W 3"]:
        """Return the point of the world that every pixel shows; see `unproject`."""
        return unproject(depth, self.intrinsics, self.camera_to_world)

    def project(self, points: Float[Array, "n *P 3"]) -> Float64[Array, "n *P 2"]:
        """Return where points of the world appear, column and row; see `project`."""
        return project(points, self.intrinsics, self.camera_to_world)


def _slopes(shape: Sequence[int], k: Array) -> Float64[Array, "*B H W 3"]:
    """Return the direction of every pixel's ray in the camera's frame, with z = 1."""
    v, u = np.mgrid[: shape[0], : shape[1]].astype(float)
    k = _over(np.asarray(k, float), np.ndim(k))
    x, y = (u - k[..., 0, 2]) / k[..., 0, 0], (v - k[..., 1, 2]) / k[..., 1, 1]
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def _over(matrix: Array, axes: int) -> Array:
    """Return matrices with axes of size 1 put in, so that they spread over that many axes."""
    own = matrix.shape[:-2]
    return matrix.reshape(*own, *(1,) * (axes - len(own)), *matrix.shape[-2:])
