from .factors import Factor as Factor
from .factors import Schema as Schema
from .factors import Slot as Slot
from .library import CAMERA as CAMERA
from .library import ENVIRONMENTS as ENVIRONMENTS
from .library import LIGHTS as LIGHTS
from .library import MATERIALS as MATERIALS
from .library import PLACEMENT as PLACEMENT
from .library import SHAPES as SHAPES
from .scene import ObjectSpec as ObjectSpec
from .scene import Rendered as Rendered
from .scene import RenderSettings as RenderSettings
from .scene import Scene as Scene

__all__ = [
    "CAMERA",
    "ENVIRONMENTS",
    "LIGHTS",
    "MATERIALS",
    "PLACEMENT",
    "SHAPES",
    "Factor",
    "ObjectSpec",
    "RenderSettings",
    "Rendered",
    "Scene",
    "Schema",
    "Slot",
]
