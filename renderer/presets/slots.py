"""Presets with four recombined factors, and with continuous ones."""

from __future__ import annotations

from recombine.renderer.presets.base import (
    TRAIN_TIER,
    Preset,
    background_slot,
    categorical,
    check_modulus,
    object_slot,
    without,
)
from recombine.renderer.scenes.factors import Factor, Schema, Slot
from recombine.renderer.scenes.library import LIGHTS, MATERIALS, PHOTOGRAPHS, SHAPES
from recombine.renderer.splits.geometry import Sizes
from recombine.renderer.splits.orbit import OrbitSplit
from recombine.renderer.splits.special import BandSplit

ABOVE = {"elevation": (0.42, 0.50), "distance": (2.8, 3.0)}
"""A camera that sees a row of objects over another."""
FRONT, REAR = (-0.85, -0.75), (0.5, 0.6)
"""Rows so far apart that a small object in front hides nothing of one in the rear."""
SMALL = (0.42, 0.46)


def four_slot(values: int = 16, order: int = 4) -> Preset:
    """Return object x material x background x light, novel at one order exactly."""
    n = min(values, 16)
    check_modulus(n)
    if n == 12:  # three steps at a time would not reach every value
        n = 8
    slots = (
        object_slot(
            "object", categorical("shape", SHAPES[:n]), categorical("material", MATERIALS[:n])
        ),
        background_slot(n),
        Slot("light", (categorical("rig", LIGHTS[:n]),)),
    )
    keys = ("object.shape", "object.material", "background.environment", "light.rig")
    split = OrbitSplit(
        ladder=(tuple(range(n // 2)),),
        ooc=tuple(range(3 * n // 4, n)),
        modulus=n,
        factors=tuple(range(order)),
    )
    return Preset(
        name="four-slot" if order == 4 else f"four-slot--order-{order}",
        version="2.0",
        title="Object, material, background and light" + ("" if order == 4 else f", order {order}"),
        summary=f"object x material x background x light, 16 each: novelty of order {order}",
        schema=Schema(slots, keys),
        constants=(),
        split=split,
        sizes=Sizes(train=32, val=4, test=16, cells=1024),
        settings=TRAIN_TIER,
    )


def position_band(values: int = 32) -> Preset:
    """Return two objects whose x lie in a reflected band of each other, or outside it."""
    check_modulus(values)
    zone = categorical("zone", tuple(f"zone-{k}" for k in range(values)))
    offset = Factor("offset", "continuous", low=0.0, high=1.0, unit="zone")
    shape = categorical("shape", SHAPES)
    slots = (
        object_slot("object0", shape, zone, offset, y=FRONT, scale=SMALL),
        object_slot("object1", shape, zone, offset, y=REAR, scale=SMALL),
        background_slot(camera=ABOVE),
    )
    widths = sorted({max(1, values * share // 32) for share in (1, 3, 7)})
    return Preset(
        name="position-band",
        version="2.0",
        title="Positions of two objects",
        summary="two objects, x of one in a band around x of the other: continuous, convex ID",
        schema=Schema(slots, ("object0.zone", "object1.zone"), derived=("object0.x", "object1.x")),
        constants=(("object0.material", "glaze"), ("object1.material", "glaze")),
        split=BandSplit(values, tuple(w for w in widths if 2 * w + 1 < values)),
        sizes=Sizes(train=70, val=4, test=2),
        settings=TRAIN_TIER,
        separation="unoccluded",
        arrangement="zones",
    )


def around(n: int) -> tuple[Factor, ...]:
    """Return an azimuth as a sector of the circle, the offset inside it, and both together."""
    sector = categorical("sector", tuple(f"sector-{k}" for k in range(n)))
    offset = Factor("offset", "continuous", low=0.0, high=1.0, unit="sector")
    return sector, offset, Factor("azimuth", "periodic")


def band_on_circle(n: int) -> OrbitSplit:
    """Return nested bands of an eighth to a half of the circle; OOC stays clear of the widest."""
    gap = n // 8  # on either side
    return OrbitSplit(
        ladder=tuple(tuple(range(w)) for w in sorted({max(2, n // 8), n // 4, n // 2} - {1})),
        ooc=tuple(range(n // 2 + gap, n - gap)),
        modulus=n,
    )


def object_light(values: int = 16) -> Preset:
    """Return one object under a sun whose azimuth lies in a band on the circle."""
    n = min(values, 16)
    check_modulus(n)
    slots = (
        object_slot("object", categorical("shape", SHAPES[:n])),
        background_slot(),
        Slot("light", around(n)),
    )
    return Preset(
        name="object-light",
        version="2.0",
        title="Object and sunlight",
        summary="16 objects x azimuth of the sun: a continuous band on the circle",
        schema=Schema(slots, ("object.shape", "light.sector"), derived=("light.azimuth",)),
        constants=(("object.material", "glaze"), ("light.rig", "sun-left")),
        split=band_on_circle(n),
        sizes=Sizes(train=384, val=16, test=32),
        settings=TRAIN_TIER,
        arrangement="sun",
    )


def object_camera(values: int = 16) -> Preset:
    """Return one object seen from an azimuth in a band on the circle, among photographs."""
    # Object and surroundings stand still while the camera goes round them: the view of the object
    # and what lies behind it tell the azimuth together. Rooms have one wall, photographs all round.
    n = min(values, 16)
    check_modulus(n)
    slots = (
        object_slot("object", categorical("shape", SHAPES[:n])),
        without(background_slot(environments=PHOTOGRAPHS), "turn", "camera_azimuth"),
        Slot("camera", around(n)),
    )
    return Preset(
        name="object-camera",
        version="2.0",
        title="Object and point of view",
        summary="16 objects x azimuth of the camera: recombined points of view",
        schema=Schema(
            slots,
            ("object.shape", "camera.sector"),
            derived=("object.yaw", "camera.azimuth"),
        ),
        constants=(("object.material", "glaze"),),
        split=band_on_circle(n),
        sizes=Sizes(train=384, val=16, test=32),
        settings=TRAIN_TIER,
        arrangement="view",
    )
