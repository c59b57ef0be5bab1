from .verify import Certificate as Certificate
from .verify import PROVES as PROVES

__all__ = [
    "Certificate",
    "PROVES",
]
