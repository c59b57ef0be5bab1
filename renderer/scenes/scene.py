"""A scene as plain data: everything Blender needs to draw one image, and nothing of Blender.

Units: scene units are metres, angles are radians, the floor is the plane z = 0 and the
camera looks along +y from the front. Every object stands on the floor, centred on its own
(x, y), inside a cube of edge `scale` and within `library.RADIUS` times `scale` of its own
vertical axis. `library.PLACEMENT` gives the ranges in which any object is fully in the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from jaxtyping import Float16, Int8, UInt8

    from recombine.renderer.core.types import Array

Interaction = Literal["isolated", "shadows", "full"]


@dataclass(frozen=True)
class ObjectSpec:
    """One object of a scene.

    Attributes
    ----------
    shape, material : str
        Names from `recombine.renderer.scenes.library`.
    x, y : float
        Centre on the floor, metres; x to the right, y away from the camera.
    yaw : float
        Rotation about the vertical, radians in [0, 2 pi).
    scale : float
        Edge of the cube that holds the object, metres.
    hue : float
        Base hue of the material, radians in [0, 2 pi) of the OKLCH circle (0 is pink, then
        orange, green, blue); materials without a hue ignore it.
    """

    shape: str
    material: str
    x: float
    y: float
    yaw: float
    scale: float
    hue: float


@dataclass(frozen=True)
class Scene:
    """Objects in front of an environment (floor, backdrop and light together).

    Attributes
    ----------
    objects : tuple of (ObjectSpec or None)
        In slot order: object k has instance id k + 1 in the mask. None is an absent object:
        nothing is drawn, the ids of the others stay.
    environment : str
        Name from `recombine.renderer.scenes.library`.
    cycles_seed : int
        Seed of the path tracer, in [0, 2**31).
    sun_azimuth : float
        Rotation of the light about the vertical, radians, added to the environment's own.
    light : str
        Name from `recombine.renderer.scenes.library.LIGHTS`; ``"own"`` is the environment's own;
        ``"ledger.toml#name"`` is a photograph of a user's ledger, see `assets.hdri`.
    interaction : {"isolated", "shadows", "full"}
        Which physics ties the objects to one another and to the environment: none (each
        object is seen by the camera alone), shadows only, or everything.
    """

    objects: tuple[ObjectSpec | None, ...]
    environment: str
    cycles_seed: int
    sun_azimuth: float = 0.0
    light: str = "own"
    interaction: Interaction = "full"


@dataclass(frozen=True)
class RenderSettings:
    """How a scene becomes pixels; part of the identity of a dataset.

    Attributes
    ----------
    resolution : int
        Edge of the square image, pixels.
    samples : int
        Paths per pixel.
    denoise : bool
        OpenImageDenoise with albedo and normal guides. Off for interaction and
        counterfactual work, where additivity in linear radiance matters.
    bounces : int
        Longest light path.
    """

    resolution: int = 64
    samples: int = 16
    denoise: bool = True
    bounces: int = 6

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
        (sky, and painted distances such as a row of trees).
    normal : int8 array of shape (H, W, 3)
        World-space unit normal of the surface's faces times 127; zero where nothing is hit.
    visible : float16 array of shape (K,)
        Visible share of each object: modal over amodal pixels, 0 where it has none.
    amodal : float16 array of shape (K,)
        Amodal pixels of each object over all pixels of the frame.
    """

    image: UInt8[Array, "H W 3"]
    mask: UInt8[Array, "H W"]
    depth: Float16[Array, "H W"]
    normal: Int8[Array, "H W 3"]
    visible: Float16[Array, " K"]
    amodal: Float16[Array, " K"]
    seconds: float = field(default=0.0, compare=False)
