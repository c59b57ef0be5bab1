"""Split geometries that take whole classes of a balanced board: checkerboard, Latin squares.

Total variation is exactly 0, but the ID cells may fall into components that no additive model
ties together.
"""

from __future__ import annotations

from collections.abc import Sequence

from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.geometries_base import (
    Geometry,
    Shape,
    equal_sizes,
    refuse,
    rest_is_ooc,
)


def checkerboard(shape: Shape, *, block: int = 1) -> Geometry:
    """Train on the even fields of a board of blocks; half of each size gives two blocks."""
    # Guarantees total variation 0 and coverage. Breaks connection for two factors: the ID cells
    # fall into two components, so no additive model is identified across them.
    if block < 1 or any(n % (2 * block) for n in shape):
        advice = f"The grid is {tuple(shape)}."
        raise refuse("checkerboard", "a block that fits twice into every factor", block, advice)
    ids = CellSet.full(shape).where(lambda c: sum(v // block for v in c) % 2 == 0)
    return rest_is_ooc("checkerboard", ids, "common practice")


def permutation(shape: Shape, *, joined: int, seed: int = 0) -> Geometry:
    """Train on symbols of a random Latin square: one cell per row and column for each symbol."""
    # The square (cube for more factors) is a keyed relabelling of the cyclic one. Guarantees total
    # variation 0 and coverage; sets of one seed are nested in ``joined``. One symbol breaks
    # connection: each of its cells is a component of its own.
    size = equal_sizes("permutation", shape)
    rng = keyed_rng("permutation", str(seed), "latin-square", 0)
    names = [rng.permutation(size) for _ in shape]
    symbol = rng.permutation(size)

    def inside(cell: Sequence[int]) -> bool:
        total = sum(int(names[f][v]) for f, v in enumerate(cell))
        return bool(symbol[total % size] < joined)

    return rest_is_ooc("permutation", CellSet.full(shape).where(inside), "Latin squares")
