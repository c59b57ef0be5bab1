from .build import DecoderKind as DecoderKind
from .build import build_decoder as build_decoder
