from .run import Imported as Imported
from .run import import_dataset as import_dataset
