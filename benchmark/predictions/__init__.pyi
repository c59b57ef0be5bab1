from .file import Predictions as Predictions
from .file import read_predictions as read_predictions
from .file import write_predictions as write_predictions
