from .bubblewrap import require_bwrap as require_bwrap
from .isolation import AnySubmission as AnySubmission
from .isolation import check_isolated as check_isolated
from .isolation import isolate as isolate
from .process import GIB as GIB
from .process import MIB as MIB
from .process import Limits as Limits

__all__ = [
    "GIB",
    "MIB",
    "AnySubmission",
    "Limits",
    "check_isolated",
    "isolate",
    "require_bwrap",
]
