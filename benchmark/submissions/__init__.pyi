from .fingerprint import content_key as content_key
from .fingerprint import environment as environment
from .fingerprint import settings_of as settings_of
from .fingerprint import source_sha256 as source_sha256
from .hub import RANDOM as RANDOM
from .hub import Backbone as Backbone
from .hub import as_map as as_map
from .hub import is_hub as is_hub
from .hub import load_backbone as load_backbone
from .hub import parse_hub as parse_hub
from .loading import Submission as Submission
from .loading import card_of as card_of
from .loading import load_learner as load_learner
from .modules import encoder_of as encoder_of
from .modules import submission_of as submission_of
from .scaffold import write_scaffold as write_scaffold
from .torchvision_compat import ready_torchvision as ready_torchvision

__all__ = [
    "RANDOM",
    "Backbone",
    "Submission",
    "as_map",
    "card_of",
    "content_key",
    "encoder_of",
    "environment",
    "is_hub",
    "load_backbone",
    "load_learner",
    "parse_hub",
    "ready_torchvision",
    "settings_of",
    "source_sha256",
    "submission_of",
    "write_scaffold",
]
