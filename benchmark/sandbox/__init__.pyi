from .bubblewrap import require_bwrap as require_bwrap
from .isolate import AnySubmission as AnySubmission
from .isolate import check_isolated as check_isolated
from .process import GIB as GIB
from .process import Limits as Limits
from .process import MIB as MIB

__all__ = [
    "AnySubmission",
    "GIB",
    "Limits",
    "MIB",
    "check_isolated",
    "require_bwrap",
]
