from .study import Claim as Claim
from .study import Row as Row
from .study import Work as Work
from .study import mean_of as mean_of
from .study import run as run
from .study import write_report as write_report

__all__ = [
    "Claim",
    "Row",
    "Work",
    "mean_of",
    "run",
    "write_report",
]
