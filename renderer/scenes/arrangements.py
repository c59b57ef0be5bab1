"""Arrangements: pure functions from a cell and the nuisances of a block to what is drawn.

Where a preset's positions depend on its cell (a relation, a count, a zone, a level of occlusion),
the planner draws the nuisances once per block and lets one of these functions compute the rest. A
function gets the schema and all latents drawn so far plus ``variant``, the variant of the draw, and
returns what it decides, or raises `Rejection` where a constraint cannot be met.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.library import VIEW, Camera, camera_at
from recombine.renderer.scenes.placement import Stand, occluding_offset

Latents = Mapping[str, Any]
Arrangement = Callable[[Schema, Latents], dict[str, Any]]

OCCLUDED = 3  # code of the level "occlusion"
OCCLUSION_SHARE = 0.3
"""Share of the rear object's bounding proxy that the front one hides at that level."""
EDITS = ("base", "object0", "object1", "background", "light", "without-object0", "without-object1")


class Rejection(Exception):  # noqa: N818 - the planner draws again, nothing failed
    """These nuisances do not allow the arrangement; the message is what cannot be met."""


def stage_camera(latents: Latents) -> Camera:
    """Return the camera of some latents in its own frame of the floor: at azimuth 0."""
    keys = {name: f"background.camera_{name}" for name in VIEW}
    given = {name: latents[key] for name, key in keys.items() if key in latents}
    return camera_at(**{**given, "azimuth": 0.0})


def zones(schema: Schema, latents: Latents) -> dict[str, Any]:
    """Return the x of two objects from their zones, offsets and the variant of the draw."""
    mirrored, reflected = latents["variant"] % 2, latents["variant"] // 2
    low, high = schema.factor("object0.x").bounds
    n = schema.factor("object0.zone").size

    def x(zone: int, offset: float, flipped: int) -> float:
        return float(low + (high - low) * (zone + (1 - offset if flipped else offset)) / n)

    first, second = latents["object0.offset"], latents["object1.offset"]
    return {
        "object0.x": x(latents["object0.zone"], first, mirrored),
        "object1.x": x(latents["object1.zone"], second, mirrored ^ reflected),
    }


def sun(schema: Schema, latents: Latents) -> dict[str, Any]:
    """Return the azimuth of the light, radians, from its sector and the offset inside it."""
    sectors = schema.factor("light.sector").size
    turn = (latents["light.sector"] + latents["light.offset"]) / sectors
    return {"light.azimuth": 2 * math.pi * turn}


def view(schema: Schema, latents: Latents) -> dict[str, Any]:
    """Return the azimuth of the camera, radians, and the yaw of an object that stands still."""
    sectors = schema.factor("camera.sector").size
    azimuth = 2 * math.pi * (latents["camera.sector"] + latents["camera.offset"]) / sectors
    return {"camera.azimuth": azimuth, "object.yaw": -azimuth % (2 * math.pi)}


def count(schema: Schema, latents: Latents) -> dict[str, Any]:
    """Return which objects are present: the first ones, as many as the count says."""
    number = latents["scene.count"] + 1
    return {f"{slot}.present": int(k < number) for k, slot in enumerate(schema.objects)}


def relation(schema: Schema, latents: Latents) -> dict[str, Any]:
    """Return the places of two objects on either side of a centre, along the relation's axis."""
    del schema
    across = latents["scene.relation"] < 2
    sign = -1 if latents["scene.relation"] in (0, 2) else 1
    gap, slip = latents["scene.gap"], latents["scene.slip"]
    # From front to rear more room is needed, so that the rear object is seen over the front one.
    step = (gap, slip) if across else (slip, 2 * gap)
    centre = latents["scene.x"], latents["scene.y"]
    return {
        f"object{k}.{axis}": float(middle + side * sign * distance / 2)
        for k, side in ((0, 1), (1, -1))
        for axis, middle, distance in zip("xy", centre, step, strict=True)
    }


def ladder(schema: Schema, latents: Latents) -> dict[str, Any]:
    """Return the place of the rear object: its own, or behind the front one by a stated share."""
    del schema
    if latents["scene.interaction"] != OCCLUDED:
        return {"object1.x": latents["scene.x"], "object1.y": latents["scene.y"]}
    rear = _behind(
        *(latents[f"object0.{f}"] for f in ("x", "y", "scale")),
        latents["object1.scale"],
        stage_camera(latents),
    )
    if rear is None:
        raise Rejection(f"object0 must hide {OCCLUSION_SHARE:.0%} of object1")
    return {"object1.x": rear.x, "object1.y": rear.y}


@lru_cache(maxsize=64)  # all images of a block ask for one place
def _behind(x: float, y: float, scale: float, rear_scale: float, camera: Camera) -> Stand | None:
    front = Stand(x, y, scale)
    side: Literal[-1, 1] = 1 if x < 0 else -1
    return occluding_offset(front, rear_scale, OCCLUSION_SHARE, side=side, camera=camera)


def edit(schema: Schema, latents: Latents) -> dict[str, Any]:
    """Return what an edit changes: the value of one slot, or the presence of one object."""
    # The shape of an object is mirrored about the other's, which keeps the difference up to its
    # sign, so that an edit of a cell stays on the cell's side of a symmetric split.
    name = EDITS[latents["scene.edit"]]
    shapes = latents["object0.shape"], latents["object1.shape"]
    changed: dict[str, Any] = {"object0.present": 1, "object1.present": 1}
    if name.startswith("without-"):
        changed[f"{name.removeprefix('without-')}.present"] = 0
    elif name in schema.objects:
        own = schema.objects.index(name)
        changed[f"{name}.shape"] = (2 * shapes[1 - own] - shapes[own]) % schema.factor(
            "object0.shape"
        ).size
    elif name != "base":
        key = {"background": "background.environment", "light": "light.rig"}[name]
        size = schema.factor(key).size
        changed[key] = (latents[key] + size // 2) % size
    return changed


ARRANGEMENTS: dict[str, Arrangement] = {
    "zones": zones,
    "sun": sun,
    "view": view,
    "count": count,
    "relation": relation,
    "ladder": ladder,
    "edit": edit,
}
