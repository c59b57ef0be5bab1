"""A scene as plain data: everything Blender needs to draw one image, and nothing of Blender.

Units: scene units are metres, angles are radians, the floor is the plane z = 0. A scene is in
world coordinates, in which walls stand still and the camera moves. Latents of objects are in the
camera's own frame of the floor (x to the right, y away from it), so that they say what the
picture shows; `scene_of` turns them into the world by the camera's azimuth. Every object stands
on the floor, centred on its own (x, y), inside a cube of edge `scale` and within
`library.RADIUS` times `scale` of its own vertical axis.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.assets import Asset, used
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.library import CAMERA, Camera, camera_at, turned

if TYPE_CHECKING:
    from jaxtyping import Float16, Float64, Int8, Int32, UInt8, UInt16

    from recombine.renderer.core.types import Array


Interaction = Literal["isolated", "shadows", "full"]


@dataclass(frozen=True)
class ObjectSpec:
    """One object of a scene."""

    shape: str  # like the material a name of `recombine.renderer.scenes.library`
    material: str
    x: float  # centre on the floor, metres, to the right
    y: float  # the same, away from the camera
    yaw: float  # rotation about the vertical, radians in [0, 2 pi)
    scale: float  # edge of the cube that holds the object, metres
    # base hue of the material, radians in [0, 2 pi) of the OKLCH circle (0 is pink, then orange,
    # green, blue); materials without a hue ignore it
    hue: float


@dataclass(frozen=True)
class Scene:
    """Objects in front of an environment (floor, backdrop and light together)."""

    # in slot order: object k has instance id k + 1 in the mask. None is an absent object: nothing
    # is drawn, the ids of the others stay
    objects: tuple[ObjectSpec | None, ...]
    environment: str  # name from `recombine.renderer.scenes.library`
    cycles_seed: int  # seed of the path tracer, in [0, 2**31)
    camera: Camera = CAMERA
    # rotation of the panorama and of the environment's own light about the vertical, radians
    turn: float = 0.0
    # where the floor's pattern begins, metres, and how far it is turned, radians
    floor: tuple[float, float, float] = (0.0, 0.0, 0.0)
    wall: float = 0.0  # where the pattern of walls begins along them, metres
    # what the reflectance of floor and walls is multiplied by
    tone: tuple[float, float] = (1.0, 1.0)
    exposure: float = 0.0  # brightness of the light, in stops: one more is twice as bright
    # rotation of the light about the vertical, radians, added to the environment's own
    sun_azimuth: float = 0.0
    # name from `recombine.renderer.scenes.library.LIGHTS`, or a photograph of `assets`; ``"own"``
    # is the environment's own
    light: str = "own"
    # which physics ties the objects to one another and to the environment: none (each object is
    # seen by the camera alone, with a dark contact of its own), shadows only, or everything
    interaction: Interaction = "full"
    # users' own that shapes, environment or light name, see `recombine.renderer.planning.ledger`
    assets: tuple[Asset, ...] = ()


@dataclass(frozen=True)
class RenderSettings:
    """How a scene becomes pixels; part of the identity of a dataset."""

    resolution: int = 64  # edge of the square image, pixels
    samples: int = 16  # paths per pixel
    # OpenImageDenoise with albedo and normal guides. Off for interaction and counterfactual work,
    # where additivity in linear radiance matters
    denoise: bool = True
    bounces: int = 4  # longest light path

    @property
    def tier(self) -> Literal["train", "exact"]:
        """Return the quality tier: denoised for training, or exact so that radiance adds up."""
        return "train" if self.denoise else "exact"


@dataclass(frozen=True)
class Rendered:
    """Everything measured for one image in one pass.

    Attributes
    ----------
    image : uint8 array of shape (H, W, 3)
        sRGB-encoded colour, top row first.
    mask : uint8 array of shape (H, W)
        0 background, k + 1 object k, by the ray through the pixel centre.
    depth : float16 array of shape (H, W)
        Distance from the camera along the pixel's ray, metres; inf where nothing is hit
        (a photograph, and a floor that is more than half faded into it).
    normal : int8 array of shape (H, W, 3)
        World-space unit normal of the surface's faces times 127; zero where nothing is hit.
    visible : float16 array of shape (K,)
        Visible share of each object: modal over amodal pixels, 0 where it has none.
    amodal : float16 array of shape (K,)
        Amodal pixels of each object over all pixels of the frame.
    amodal_mask : uint8 or uint16 array of shape (H, W)
        Bit k is set where object k is seen when it stands alone; 8 or 16 bits by their number.
    intrinsics : float64 array of shape (3, 3)
        Camera matrix K, pixels; the centre of the upper left pixel is the point (0, 0).
    camera_to_world : float64 array of shape (4, 4)
        Pose of the camera, metres; axes as in OpenCV: x to the right, y down, z forward.
    object_to_world : float64 array of shape (K, 4, 4)
        Rotation times scale, and place, of each object; zero for an absent one.
    box_3d : float64 array of shape (K, 8, 3)
        Corners of each object's own box in the world, metres; zero for an absent one.
    box_2d, box_2d_amodal : int32 arrays of shape (K, 4)
        x, y, width and height of the visible and of the whole mask, pixels; zero where empty.
    """

    image: UInt8[Array, "H W 3"]
    mask: UInt8[Array, "H W"]
    depth: Float16[Array, "H W"]
    normal: Int8[Array, "H W 3"]
    visible: Float16[Array, " K"]
    amodal: Float16[Array, " K"]
    amodal_mask: UInt8[Array, "H W"] | UInt16[Array, "H W"]
    intrinsics: Float64[Array, "3 3"]
    camera_to_world: Float64[Array, "4 4"]
    object_to_world: Float64[Array, "K 4 4"]
    box_3d: Float64[Array, "K 8 3"]
    box_2d: Int32[Array, "K 4"]
    box_2d_amodal: Int32[Array, "K 4"]
    seconds: float = field(default=0.0, compare=False)


LABELS = tuple(f.name for f in fields(Rendered) if f.name not in ("image", "seconds"))
"""Names of the annotations, in the order in which they are hashed."""

# What stored latents mean: the scene they stand for, and the hash that binds pixels to it.

STANDARD = {"azimuth": 0.0, "elevation": 0.21, "distance": 2.6, "aim_x": 0.0, "aim_z": 0.32}
"""The camera of a preset that says nothing about it."""
OBJECT_FIELDS = ("shape", "material", "x", "y", "yaw", "scale", "hue")
PHYSICS: dict[str, Interaction] = {
    "isolated": "isolated",
    "shadows": "shadows",
    "full": "full",
    "occlusion": "full",
}
"""Levels of ``scene.interaction``: occlusion is a matter of places, not of physics."""


def scene_hash(scene: Scene, settings: RenderSettings) -> str:
    """Return the sha256 (hex) of everything that decides the pixels of an image."""
    parts = asdict(replace(scene, assets=())) | {"assets": [a.record() for a in scene.assets]}
    record = {"scene": parts, "settings": asdict(settings)}
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def scene_of(
    schema: Schema,
    constants: Mapping[str, str],
    latents: Mapping[str, Any],
    cycles_seed: int,
    assets: tuple[Asset, ...] = (),
) -> Scene:
    """Build a scene from latents; the single place where slots become objects."""

    def value(slot: str, name: str, default: Any = None) -> Any:
        key = f"{slot}.{name}"
        if key in constants:
            return constants[key]
        if key not in latents:
            if default is not None:
                return default
            raise InvalidInputError(
                f"scene: expected a latent or constant {key!r}; got neither. Add it to the preset."
            )
        factor = schema.factor(key)
        return factor.values[int(latents[key])] if factor.values else float(latents[key])

    def number(slot: str, name: str, default: float | None = None) -> float:
        found = value(slot, name, default)
        if not isinstance(found, float):
            raise InvalidInputError(
                f"scene: expected a number as {slot}.{name}; got {found!r}. Make it continuous."
            )
        return found

    view = {
        name: number("background", f"camera_{name}", default) for name, default in STANDARD.items()
    }
    # A preset that recombines the azimuth has a slot of its own for it.
    azimuth = view["azimuth"] = number("camera", "azimuth", view["azimuth"])

    def thing(slot: str) -> ObjectSpec | None:
        if latents.get(f"{slot}.present", 1) == 0:
            return None
        found: dict[str, Any] = {name: value(slot, name) for name in OBJECT_FIELDS[:2]}
        for name in OBJECT_FIELDS[2:]:
            found[name] = number(slot, name, 0.0 if name == "yaw" else None)
        # Latents are what the picture shows: x to the right and y away, as the camera sees them.
        found["x"], found["y"] = turned(found["x"], found["y"], azimuth)
        found["yaw"] = round((found["yaw"] + azimuth) % (2 * math.pi), 9)
        return ObjectSpec(**found)

    objects = tuple(thing(s) for s in schema.objects)
    environment, light = value("background", "environment"), value("light", "rig", "own")
    meshes = {("mesh", o.shape) for o in objects if o is not None}
    return Scene(
        objects=objects,
        environment=environment,
        cycles_seed=cycles_seed,
        camera=camera_at(**view),
        turn=number("background", "turn", 0.0),
        floor=(
            number("background", "floor_x", 0.0),
            number("background", "floor_y", 0.0),
            number("background", "floor_turn", 0.0),
        ),
        wall=number("background", "wall_x", 0.0),
        tone=(
            number("background", "floor_tone", 1.0),
            number("background", "wall_tone", 1.0),
        ),
        exposure=number("background", "exposure", 0.0),
        sun_azimuth=number("light", "azimuth", 0.0),
        light=light,
        interaction=_physics(value("scene", "interaction", "full")),
        assets=used(assets, {*meshes, ("hdri", environment), ("hdri", light)}),
    )


def _physics(level: str) -> Interaction:
    if level not in PHYSICS:
        raise InvalidInputError(
            f"scene: expected one of {sorted(PHYSICS)} as scene.interaction; got {level!r}. "
            "Check the preset."
        )
    return PHYSICS[level]
