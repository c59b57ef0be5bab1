from .dataset import Boxes as Boxes
from .dataset import Dataset as Dataset
