from .isolation import AnySubmission as AnySubmission
from .isolation import check_isolated as check_isolated
from .isolation import isolate as isolate
from .process import Limits as Limits

__all__ = [
    "AnySubmission",
    "Limits",
    "check_isolated",
    "isolate",
]
