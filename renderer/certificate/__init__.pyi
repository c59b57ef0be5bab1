from .verify import PROVES as PROVES
from .verify import Certificate as Certificate

__all__ = [
    "PROVES",
    "Certificate",
]
