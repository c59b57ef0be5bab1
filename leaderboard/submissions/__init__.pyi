from .bundle import Bundle as Bundle
from .bundle import write_bundle as write_bundle

__all__ = [
    "Bundle",
    "write_bundle",
]
