from .study import Claim as Claim
from .study import Row as Row
from .study import Work as Work
from .study import run as run

__all__ = [
    "Claim",
    "Row",
    "Work",
    "run",
]
