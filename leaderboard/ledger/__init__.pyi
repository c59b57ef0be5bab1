from .chain import head_of as head_of
from .records import vouch as vouch
from .signing import Signer as Signer
from .signing import read_key as read_key

__all__ = [
    "Signer",
    "head_of",
    "read_key",
    "vouch",
]
