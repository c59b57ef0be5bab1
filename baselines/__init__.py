"""Reference submissions: methods, the networks and the training they share, and two studies."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
