from .examples import keep_examples as keep_examples
from .rescore import Change as Change
from .rescore import PredictionStore as PredictionStore
from .rescore import Rescored as Rescored
from .rescore import differences as differences
from .rescore import rescore_results as rescore_results
from .score import score_predictions as score_predictions
from .score import score_submission as score_submission

__all__ = [
    "Change",
    "PredictionStore",
    "Rescored",
    "differences",
    "keep_examples",
    "rescore_results",
    "score_predictions",
    "score_submission",
]
