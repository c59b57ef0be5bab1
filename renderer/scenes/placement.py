"""Where objects may stand together: constraints on nuisance vectors, never on cells.

Objects are normalised to one bounding cylinder, so whether a placement is allowed depends on
positions and scales alone. A placement is drawn once per matched block and holds for every cell
of it; rejecting one therefore cannot tilt any cell against another.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.library import CAMERA, RADIUS, Camera

Separation = Literal["apart", "unoccluded"]
TRIES = 2000
EDGE = 0.5
"""How far a bounding box may reach from the centre of the picture, in widths of it."""


@dataclass(frozen=True)
class Stand:
    """Where one object stands: centre on the floor and scale, metres."""

    x: float
    y: float
    scale: float


@dataclass(frozen=True)
class Box:
    """An axis-aligned box on the picture, in units of its width from the centre."""

    left: float
    right: float
    bottom: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Tell whether two boxes share more than an edge."""
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top


def screen_box(stand: Stand, camera: Camera = CAMERA) -> Box:
    """Return the box on the picture that holds an object, whatever its shape and yaw."""
    # It is the bounding box of the projected corners of the object's bounding cylinder's own
    # bounding box, hence never too small.
    radius = RADIUS * stand.scale
    corners = itertools.product(
        (stand.x - radius, stand.x + radius),
        (stand.y - radius, stand.y + radius),
        (0.0, stand.scale),
    )
    points = [project(corner, camera) for corner in corners]
    across, up = zip(*points, strict=True)
    return Box(min(across), max(across), min(up), max(up))


def violation(stands: Mapping[str, Stand], separation: Separation, camera: Camera = CAMERA) -> str:
    """Return why objects may not stand together; empty when they may."""
    for (name_a, a), (name_b, b) in itertools.combinations(stands.items(), 2):
        if math.hypot(a.x - b.x, a.y - b.y) < RADIUS * (a.scale + b.scale):
            return f"{name_a} and {name_b} must not touch"
        if separation == "unoccluded" and screen_box(a, camera).overlaps(screen_box(b, camera)):
            return f"{name_a} and {name_b} must not overlap on the picture"
    return ""


def outside(stands: Mapping[str, Stand], camera: Camera = CAMERA) -> str:
    """Return which object may leave the picture; empty when none may."""
    for name, stand in stands.items():
        box = screen_box(stand, camera)
        if max(-box.left, box.right, -box.bottom, box.top) > EDGE:
            return f"{name} must stay inside the picture"
    return ""


def draw_allowed(
    draw: Callable[[], Mapping[str, float]],
    fault: Callable[[Mapping[str, float]], str],
    who: str,
) -> tuple[dict[str, float], int]:
    """Draw nuisance vectors until one is allowed, within a bounded number of tries."""
    faults: Counter[str] = Counter()
    for tries in range(1, TRIES + 1):
        vector = dict(draw())
        found = fault(vector)
        if not found:
            return vector, tries
        faults[found] += 1
    (worst, times), *_ = faults.most_common(1)
    raise InvalidInputError(
        f"{who}: expected a placement among {TRIES} draws; got none, because {worst} ({times} "
        "times). Widen the ranges of x and y, make objects smaller, or take fewer."
    )


def project(point: tuple[float, float, float], camera: Camera = CAMERA) -> tuple[float, float]:
    """Return where a point of the world appears on the picture."""
    # The camera looks along +y from the front without roll: right is +x.
    forward = tuple(t - p for t, p in zip(camera.target, camera.position, strict=True))
    length = math.hypot(*forward)
    forward = tuple(c / length for c in forward)
    level = math.hypot(forward[0], forward[1])
    right = (forward[1] / level, -forward[0] / level, 0.0)
    up = (-forward[0] * forward[2] / level, -forward[1] * forward[2] / level, level)
    offset = tuple(a - b for a, b in zip(point, camera.position, strict=True))
    depth = sum(a * b for a, b in zip(offset, forward, strict=True))
    zoom = camera.focal / camera.sensor / depth
    across = sum(a * b for a, b in zip(offset, right, strict=True)) * zoom
    rise = sum(a * b for a, b in zip(offset, up, strict=True)) * zoom
    return across, rise


# Where a rear object must stand so that a front object hides a stated share of it.

WIDTH = 0.75
"""Width of the proxy of an object of scale 1: about the mean width of the shapes' silhouettes."""
STEPS = 60  # halvings; far below any pixel


def proxy(stand: Stand, camera: Camera = CAMERA) -> Box:
    """Return the rectangle on the picture that stands for an object of unknown shape."""
    half = WIDTH * stand.scale / 2
    left, right = (
        project((stand.x + dx, stand.y, stand.scale / 2), camera)[0] for dx in (-half, half)
    )
    bottom, top = (project((stand.x, stand.y, z), camera)[1] for z in (0.0, stand.scale))
    return Box(left, right, bottom, top)


def occluded_fraction(front: Stand, rear: Stand, camera: Camera = CAMERA) -> float:
    """Return the share of the rear object's proxy that the front object's proxy covers."""
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
    """Return where the rear object must stand to be hidden by a stated share."""
    # It stands one touching distance behind the front object, so the two never meet whatever their
    # shapes and yaws, and as far to the side as the share asks.
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
