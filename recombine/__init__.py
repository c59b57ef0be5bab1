"""Whether a model can perceive combinations of concepts that it never saw together.

    import recombine as rc

    data = rc.render("smoke", "runs/smoke", scale=0.08)    # or rc.load("runs/smoke")
    mine = rc.score(MyModel(), data, seeds=2)
    base = rc.score("supervised", data, seeds=2, size="tiny")
    rc.compare(mine, base)
    rc.board([mine, base], "runs/site")

Every name is imported on first use: neither torch nor Blender is loaded before it is needed.
"""

from typing import Any

import lazy_loader as _lazy

_resolve, _, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("recombine")
    return _resolve(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
