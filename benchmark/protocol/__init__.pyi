from .contract import Encoder as Encoder
from .contract import Inverter as Inverter
from .contract import Learner as Learner
from .contract import MethodCard as MethodCard
from .contract import RunLog as RunLog
from .contract import SlotOutput as SlotOutput
from .contract import SplitSpec as SplitSpec
from .contract import Supervision as Supervision
from .contract import TrainBudget as TrainBudget
from .outputs import WrongAnswerError as WrongAnswerError
from .outputs import checked_output as checked_output
from .outputs import run_method as run_method

__all__ = [
    "Encoder",
    "Inverter",
    "Learner",
    "MethodCard",
    "RunLog",
    "SlotOutput",
    "SplitSpec",
    "Supervision",
    "TrainBudget",
    "WrongAnswerError",
    "checked_output",
    "run_method",
]
