from .artifacts import MAX_PICTURE as MAX_PICTURE
from .artifacts import Example as Example
from .artifacts import Examples as Examples
from .parts import Bins as Bins
from .parts import FactorScore as FactorScore
from .parts import Gap as Gap
from .parts import Measure as Measure
from .parts import Name as Name
from .parts import PairedGap as PairedGap
from .parts import Score as Score
from .parts import Sha256 as Sha256
from .parts import Slug as Slug
from .parts import Strict as Strict
from .parts import Text as Text
from .result import MAX_BYTES as MAX_BYTES
from .result import Result as Result

__all__ = [
    "MAX_BYTES",
    "MAX_PICTURE",
    "Bins",
    "Example",
    "Examples",
    "FactorScore",
    "Gap",
    "Measure",
    "Name",
    "PairedGap",
    "Result",
    "Score",
    "Sha256",
    "Slug",
    "Strict",
    "Text",
]
