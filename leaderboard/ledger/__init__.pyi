from .chain import head_of as head_of
from .records import record_tier as record_tier
from .signing import Signer as Signer
from .signing import read_key as read_key

__all__ = [
    "Signer",
    "head_of",
    "read_key",
    "record_tier",
]
