"""Split geometries that train on a region of the grid: few upper values, a band, a cross, a draw.

They re-index the same images, so that results can be compared with published ones. All of
them shift the marginals: read `recombine.renderer.splits.cells.report` before you trust a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recombine.renderer.core.seeds import SEED_BITS, keyed_seed
from recombine.renderer.splits.cells import Cell, CellSet
from recombine.renderer.splits.geometries_base import (
    Geometry,
    Shape,
    beyond,
    check_thresholds,
    equal_sizes,
    refuse,
    rest_is_ooc,
)

WIEDEMER = "Wiedemer et al. 2023, arXiv 2307.05596"


def orthotopic(shape: Shape, *, thresholds: Mapping[int, int], at_most: int) -> Geometry:
    """Train on cells with few factors at or above their threshold."""
    # A ladder of nested ID sets in ``at_most``, the similarity index. At 0 the upper values are
    # never seen (coverage below 1); at one less than the number of thresholds with three or more
    # factors no pair is novel. Breaks the marginals at every rung.
    check_thresholds("orthotopic", shape, thresholds)
    ids = CellSet.full(shape).where(lambda c: beyond(c, thresholds) <= at_most)
    return rest_is_ooc("orthotopic", ids, "Camposampiero et al. 2025, arXiv 2511.02667")


def diagonal_band(shape: Shape, *, gap: int) -> Geometry:
    """Train on cells whose values all lie within ``gap`` of each other."""
    # The grid version of the band of half-width delta around the diagonal. Guarantees coverage and
    # a convex, for gap 1 and more connected, ID set. Breaks the marginals: middle values are over-
    # represented in ID.
    equal_sizes("diagonal-band", shape)
    ids = CellSet.full(shape).where(lambda c: max(c) - min(c) <= gap)
    return rest_is_ooc("diagonal-band", ids, WIEDEMER)


def orthogonal_cross(shape: Shape, *, anchors: Sequence[Cell]) -> Geometry:
    """Train on cells that differ from an anchor in at most one factor."""
    # With one anchor this is the smallest support that identifies an additive generator. Breaks the
    # marginals: the anchors' values are over-represented in ID.
    known = CellSet.of(shape, anchors)
    ids = CellSet.full(shape).where(
        lambda c: any(sum(a != b for a, b in zip(c, k, strict=True)) <= 1 for k in known)
    )
    return rest_is_ooc("orthogonal-cross", ids, WIEDEMER)


def random_hold_out(shape: Shape, *, fraction: float, seed: int) -> Geometry:
    """Train on each cell with a fixed probability, decided by a keyed hash of the cell."""
    # Guarantees nothing, coverage included. Sets of one seed are nested in ``fraction``, and the
    # membership of a cell never changes when a factor gains values at its end.
    if not 0 < fraction < 1:
        raise refuse("random", "a fraction between 0 and 1", fraction, "Use 0.5 for one half.")

    # The threshold is on a hash per cell, so a draw neither depends on order nor on the grid.
    def chosen(cell: Cell) -> bool:
        name = "x".join(map(str, cell))
        return keyed_seed("random", str(seed), name, 0) < fraction * (1 << SEED_BITS)

    ids = CellSet.full(shape).where(chosen)
    return rest_is_ooc("random", ids, "common practice")
