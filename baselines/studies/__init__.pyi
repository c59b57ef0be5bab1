from .training import Claim as Claim
from .training import Row as Row
from .training import mean_of as mean_of

__all__ = [
    "Claim",
    "Row",
    "mean_of",
]
