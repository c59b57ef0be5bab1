from .rescore import Change as Change
from .rescore import PredictionStore as PredictionStore
from .rescore import Rescored as Rescored
from .score import score_submission as score_submission

__all__ = [
    "Change",
    "PredictionStore",
    "Rescored",
    "score_submission",
]
