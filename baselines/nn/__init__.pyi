from .build import DecoderKind as DecoderKind
from .build import build_decoder as build_decoder
from .encoders import SlotEncoder as SlotEncoder
from .slots import SlotLayout as SlotLayout
from .slots import layout_of as layout_of

__all__ = [
    "DecoderKind",
    "SlotEncoder",
    "SlotLayout",
    "build_decoder",
    "layout_of",
]
