from .data import Batch as Batch
from .data import DatasetLike as DatasetLike
from .data import TrainData as TrainData
from .toy_data import ToyDataset as ToyDataset
