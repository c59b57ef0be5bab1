from .loading import Submission as Submission
from .loading import card_of as card_of
from .loading import load_learner as load_learner
from .modules import encoder_of as encoder_of
from .modules import submission_of as submission_of
