from .factors import Factor as Factor
from .factors import Schema as Schema
from .factors import Slot as Slot
from .scene import Rendered as Rendered

__all__ = [
    "Factor",
    "Rendered",
    "Schema",
    "Slot",
]
