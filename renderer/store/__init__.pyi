from .dataset import Dataset as Dataset
from .preview import contact_sheet as contact_sheet
from .seal import file_sha256 as file_sha256

__all__ = [
    "Dataset",
    "contact_sheet",
    "file_sha256",
]
