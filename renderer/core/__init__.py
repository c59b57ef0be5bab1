"""Errors, atomic files and locks, guarded HDF5, keyed seeds, build facts: what all stands on."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
