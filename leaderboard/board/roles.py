"""What part an entry plays on a board: generative, non-generative, control, floor, upper bound.

That a method is a control, a floor or an upper bound is what its author declares in the method
card; whether a decoder is inverted is a measured fact, ``method.kind``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.leaderboard.drawing.charts import symbol

if TYPE_CHECKING:
    from markupsafe import Markup

    from recombine.benchmark.results.result import Result


@dataclass(frozen=True)
class Role:
    """A part that entries play."""

    key: str  # short name, also the class of its marks
    label: str  # name for people
    words: str  # what it means
    shape: str  # its mark in the figures, a key of ``SHAPES``: no figure needs colour to be read

    @property
    def mark(self) -> Markup:
        """Draw the mark, for legends and rows."""
        return symbol(self.shape, f"mark-{self.key}")


ROLES: dict[str, Role] = {
    role.key: role
    for role in (
        Role("generative", "Generative", "a decoder stands behind the encoder", "triangle"),
        Role("encoder", "Non-generative", "an encoder alone", "square"),
        Role("control", "Control", "differs from another entry in one respect", "plus"),
        Role("floor", "Floor", "knows nothing, or learnt nothing", "cross"),
        Role("bound", "Upper bound", "saw what others must not; out of competition", "ring"),
    )
}


def role_of(result: Result) -> Role:
    """Return the part that an entry plays; what was selected on the answers is an upper bound."""
    declared: str = result.method.role
    if result.training.selection.rule == "oracle":
        declared = "bound"
    if declared == "method":
        declared = "generative" if result.method.kind == "inverter" else "encoder"
    return ROLES[declared]


def short_name(result: Result) -> str:
    """Return a method's name without what the inference beside it says anyway."""
    method = result.method
    return method.name.removesuffix(" with replay") if "replay" in method.inference else method.name
