from . import metrics as metrics
from . import statistics as statistics

__all__ = ["metrics", "statistics"]
