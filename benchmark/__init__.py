"""Scoring: what a submission is, how it is run and asked, and what its answers are worth."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
