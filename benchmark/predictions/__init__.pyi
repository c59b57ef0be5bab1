from .external import is_given as is_given
from .external import load_key as load_key
from .external import read_given as read_given
from .external import write_questions as write_questions
from .file import FORMAT as FORMAT
from .file import Predictions as Predictions
from .file import read_predictions as read_predictions
from .file import write_predictions as write_predictions

__all__ = [
    "FORMAT",
    "Predictions",
    "is_given",
    "load_key",
    "read_given",
    "read_predictions",
    "write_predictions",
    "write_questions",
]
