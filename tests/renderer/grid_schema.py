from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from recombine.renderer.scenes.factors import Factor, Schema, Slot
from recombine.renderer.splits.cells import CellSet


def grid_schema(*sizes: int) -> Schema:
    """Return a schema that recombines a.f, b.f, c.f ... with values a0, a1, ... ."""
    slots = []
    for name, size in zip("abcdefgh", sizes, strict=False):
        values = tuple(f"{name}{v}" for v in range(size))
        slots.append(Slot(name, (Factor("f", "categorical", values=values),)))
    return Schema(tuple(slots), tuple(f"{s.name}.f" for s in slots))


def novelty_order(cells: CellSet, cell: Sequence[int]) -> int:
    """Return the smallest number of factors whose joint values no member shows; 0 for a member.

    The definition, as plain as can be, that faster code is compared with.
    """
    for order in range(1, len(cell) + 1):
        for positions in combinations(range(len(cell)), order):
            if not any(all(c[p] == cell[p] for p in positions) for c in cells.cells):
                return order
    return 0
