from .data import Batch as Batch
from .data import DatasetLike as DatasetLike
from .data import TrainData as TrainData

__all__ = [
    "Batch",
    "DatasetLike",
    "TrainData",
]
