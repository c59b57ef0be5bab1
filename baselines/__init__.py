"""Reference submissions: methods, the networks and the training they share, and two studies."""

import sys
from types import ModuleType

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


class _Baselines(ModuleType):
    def __call__(self) -> tuple[str, ...]:
        from recombine.baselines.registry import BASELINES

        return tuple(BASELINES)


# Importing this package replaces the function `recombine.baselines`, so it must be callable, too.
sys.modules[__name__].__class__ = _Baselines
