"""Baselines, one subject per file; nothing here imports torch until one is loaded by name."""

import sys
from types import ModuleType


class _Baselines(ModuleType):
    """The package itself; `recombine.baselines()` lists the names, imported or not."""

    def __call__(self) -> tuple[str, ...]:
        from recombine.baselines.registry import BASELINES

        return tuple(BASELINES)


# Importing a subpackage replaces the function of that name in `recombine`, so it must be callable.
sys.modules[__name__].__class__ = _Baselines
