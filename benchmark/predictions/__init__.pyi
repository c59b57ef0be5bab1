from .external import is_given as is_given
from .external import load_key as load_key
from .external import read_given as read_given
from .external import write_questions as write_questions
from .predictions import FORMAT as FORMAT
from .predictions import Predictions as Predictions
from .predictions import read_predictions as read_predictions
from .predictions import write_predictions as write_predictions

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
