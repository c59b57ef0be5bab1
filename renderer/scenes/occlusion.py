"""Where a rear object must stand so that a front object hides a stated share of it.

The share is that of bounding proxies, since a placement holds for every shape of a matched
block: what a shape really hides is measured afterwards, as `Rendered.visible`.
"""

from __future__ import annotations

from typing import Literal

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.library import CAMERA, RADIUS, Camera
from recombine.renderer.scenes.placement import Box, Stand, project

WIDTH = 0.75
"""Width of the proxy of an object of scale 1: about the mean width of the shapes' silhouettes."""
STEPS = 60  # halvings; far below any pixel


def proxy(stand: Stand, camera: Camera = CAMERA) -> Box:
    """Return the rectangle on the picture that stands for an object of unknown shape.

    Parameters
    ----------
    stand : Stand
        Where the object stands.
    camera : Camera
        The camera.

    Returns
    -------
    Box
        Of an upright card through the object's axis, ``WIDTH`` times scale wide, scale high.
    """
    half = WIDTH * stand.scale / 2
    left, right = (
        project((stand.x + dx, stand.y, stand.scale / 2), camera)[0] for dx in (-half, half)
    )
    bottom, top = (project((stand.x, stand.y, z), camera)[1] for z in (0.0, stand.scale))
    return Box(left, right, bottom, top)


def occluded_fraction(front: Stand, rear: Stand, camera: Camera = CAMERA) -> float:
    """Return the share of the rear object's proxy that the front object's proxy covers.

    Parameters
    ----------
    front, rear : Stand
        Where the two stand.
    camera : Camera
        The camera.

    Returns
    -------
    float
        0 where they do not meet on the picture, 1 where the rear one is hidden.
    """
    a, b = proxy(front, camera), proxy(rear, camera)
    across = max(0.0, min(a.right, b.right) - max(a.left, b.left))
    up = max(0.0, min(a.top, b.top) - max(a.bottom, b.bottom))
    return across * up / ((b.right - b.left) * (b.top - b.bottom))


def occluding_offset(
    front: Stand,
    rear_scale: float,
    fraction: float,
    *,
    side: Literal[-1, 1] = 1,
    camera: Camera = CAMERA,
) -> Stand | None:
    """Return where the rear object must stand to be hidden by a stated share.

    It stands one touching distance behind the front object, so the two never meet whatever
    their shapes and yaws, and as far to the side as the share asks.

    Parameters
    ----------
    front : Stand
        The object in front.
    rear_scale : float
        Scale of the object behind, metres.
    fraction : float
        Share of its proxy to hide, in [0, 1]; 0 puts the proxies edge to edge.
    side : {-1, 1}
        Whether the rear object looks out on the left (-1) or on the right (1).
    camera : Camera
        The camera.

    Returns
    -------
    Stand or None
        The rear object; None when no shift hides as much, because it looks out above. Whether
        the place lies in `library.PLACEMENT` is for the caller to check.

    Raises
    ------
    InvalidInputError
        When the fraction is outside [0, 1].
    """
    if not 0.0 <= fraction <= 1.0:
        raise InvalidInputError(
            f"occluding_offset: expected a fraction in [0, 1]; got {fraction}. "
            "Give the hidden share of the rear object, for example 0.3."
        )
    y = front.y + RADIUS * (front.scale + rear_scale)

    def at(x: float) -> Stand:
        return Stand(x, y, rear_scale)

    # On the line of sight through the front object's axis most is hidden.
    eye_x, eye_y, _ = camera.position
    near = eye_x + (front.x - eye_x) * (y - eye_y) / (front.y - eye_y)
    if occluded_fraction(front, at(near), camera) < fraction:
        return None
    far = near + side * 2.0 * (front.scale + rear_scale)
    for _ in range(STEPS):
        middle = (near + far) / 2
        if occluded_fraction(front, at(middle), camera) > fraction:
            near = middle
        else:
            far = middle
    return at(far)
