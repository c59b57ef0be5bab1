from .study import Claim as Claim
from .study import Row as Row
from .study import mean_of as mean_of

__all__ = [
    "Claim",
    "Row",
    "mean_of",
]
