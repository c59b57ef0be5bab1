from .dataset import Dataset as Dataset

__all__ = [
    "Dataset",
]
