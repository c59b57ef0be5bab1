from .rescore import PredictionStore as PredictionStore
from .rescore import Rescored as Rescored
from .rescore import rescore_results as rescore_results
from .score import score_predictions as score_predictions
from .score import score_submission as score_submission
