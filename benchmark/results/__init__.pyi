from .parts import FactorScore as FactorScore
from .parts import Gap as Gap
from .parts import PairedGap as PairedGap
from .parts import Score as Score
from .result import Result as Result
from .table import Results as Results
