"""Geometries that hold out, or train on, a region of the grid; the same images are indexed anew.

So results can be compared with published ones. All but the balanced boards shift the marginals:
read `recombine.renderer.splits.cells.report` before you trust a gap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from recombine.renderer.core.seeds import SEED_BITS, keyed_rng, keyed_seed
from recombine.renderer.splits.cells import Cell, CellSet
from recombine.renderer.splits.geometry import (
    Shape,
    Sides,
    beyond,
    box,
    check_thresholds,
    check_values,
    equal_sizes,
    geometry,
    refuse,
    rest_is_id,
    rest_is_ooc,
)
from recombine.renderer.splits.parameters import (
    factor,
    listed_cells,
    one_cell,
    seed,
    share,
    value_by_factor,
    value_of,
    values_by_factor,
    values_of,
    whole,
)

SCHOTT = "Schott et al. 2022, arXiv 2107.08221"
MONTERO = "Montero et al. 2021, The role of disentanglement in generalisation"
WIEDEMER = "Wiedemer et al. 2023, arXiv 2307.05596"


@geometry("leave-one-out", dial="cell", cell=one_cell)
def leave_one_out(shape: Shape, *, cell: Cell) -> Sides:
    """Hold out one cell."""
    # Guarantees full coverage and connected ID cells. Breaks the OOC marginals, which are
    # degenerate, and rests every figure on one combination.
    return rest_is_id("leave-one-out", CellSet.of(shape, [cell]), "common practice")


@geometry("corner", dial="thresholds", thresholds=value_by_factor)
def corner(shape: Shape, *, thresholds: Mapping[int, int]) -> Sides:
    """Hold out the corner block where all listed factors are at or above their threshold."""
    # Guarantees coverage as long as a value keeps one row or column. Breaks the marginals: OOC
    # shows the upper values only. Schott et al. 2022 call it "composition".
    check_thresholds("corner", shape, thresholds)
    block = CellSet.full(shape).where(lambda c: beyond(c, thresholds) == len(thresholds))
    return rest_is_id("corner", block, SCHOTT)


@geometry("recombination-to-range", dial="held_out", held_out=values_by_factor)
def recombination_to_range(shape: Shape, *, held_out: Mapping[int, Collection[int]]) -> Sides:
    """Hold out a box on two factors, for example squares in the right half."""
    # Guarantees coverage. Breaks the marginals of both factors; pairs inside the box are novel.
    return _boxed("recombination-to-range", shape, held_out, 2, 2)


@geometry("recombination-to-element", dial="held_out", held_out=values_by_factor)
def recombination_to_element(shape: Shape, *, held_out: Mapping[int, Collection[int]]) -> Sides:
    """Hold out a box on three or more factors."""
    # Guarantees that every value, and every pair of values, is still seen in ID, as long as each
    # listed factor keeps a value outside the box. Breaks the marginals of the listed factors.
    return _boxed("recombination-to-element", shape, held_out, 3, len(shape))


def _boxed(
    name: str, shape: Shape, values: Mapping[int, Collection[int]], low: int, high: int
) -> Sides:
    check_values(name, shape, values)
    whole = [f for f, v in values.items() if len(set(v)) == shape[f]]
    if not low <= len(values) <= high or whole:
        raise refuse(
            name,
            f"a box on {low} to {high} factors that leaves each a value outside"
            if low < high
            else f"a box on {low} factors that leaves each a value outside",
            {f: sorted(v) for f, v in values.items()},
            "List the held-out values of each factor of the box.",
        )
    return rest_is_id(name, box(shape, values), MONTERO)


@geometry("extrapolation", dial="threshold", factor=factor, threshold=value_of("factor"))
def extrapolation(shape: Shape, *, factor: int, threshold: int) -> Sides:
    """Hold out the upper range of one factor."""
    # Guarantees nothing about combinations: the held-out values are never seen, so it measures
    # range and not recombination. Report it apart.
    check_thresholds("extrapolation", shape, {factor: threshold})
    upper = box(shape, {factor: range(threshold, shape[factor])})
    return rest_is_id("extrapolation", upper, MONTERO)


@geometry("interpolation", dial="gap", factor=factor, gap=values_of("factor"))
def interpolation(shape: Shape, *, factor: int, gap: Collection[int]) -> Sides:
    """Hold out interior values of one factor, so that seen values lie on both sides."""
    # Guarantees the range; breaks coverage, as extrapolation does. Report it apart.
    check_values("interpolation", shape, {factor: gap})
    if {0, shape[factor] - 1} & set(gap):
        advice = "Use 'extrapolation' for the ends."
        raise refuse("interpolation", "interior values only", sorted(gap), advice)
    return rest_is_id("interpolation", box(shape, {factor: gap}), SCHOTT)


@geometry("count", dial="threshold", factor=factor, threshold=value_of("factor"))
def count(shape: Shape, *, factor: int, threshold: int) -> Sides:
    """Train on few objects and test on more: extrapolation in the factor that counts them."""
    # Guarantees equal laws of every single object. Breaks occlusion and exposure, which change with
    # the count.
    check_thresholds("count", shape, {factor: threshold})
    more = box(shape, {factor: range(threshold, shape[factor])})
    return rest_is_id("count", more, "common practice in object-centric learning")


# Whole classes of a balanced board. Total variation is exactly 0, but the ID cells may fall into
# components that no additive model ties together.


@geometry("checkerboard", dial="block", block=whole(low=1))
def checkerboard(shape: Shape, *, block: int = 1) -> Sides:
    """Train on the even fields of a board of blocks; half of each size gives two blocks."""
    # Guarantees total variation 0 and coverage. Breaks connection for two factors: the ID cells
    # fall into two components, so no additive model is identified across them.
    if block < 1 or any(n % (2 * block) for n in shape):
        advice = f"The grid is {tuple(shape)}."
        raise refuse("checkerboard", "a block that fits twice into every factor", block, advice)
    ids = CellSet.full(shape).where(lambda c: sum(v // block for v in c) % 2 == 0)
    return rest_is_ooc("checkerboard", ids, "common practice")


@geometry("permutation", dial="joined", joined=whole(), seed=seed)
def permutation(shape: Shape, *, joined: int, seed: int = 0) -> Sides:
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


# Regions to train on: few upper values, a band, a cross, a draw.


@geometry("orthotopic", dial="at_most", at_most=whole(), thresholds=value_by_factor)
def orthotopic(shape: Shape, *, thresholds: Mapping[int, int], at_most: int) -> Sides:
    """Train on cells with few factors at or above their threshold."""
    # A ladder of nested ID sets in ``at_most``, the similarity index. At 0 the upper values are
    # never seen (coverage below 1); at one less than the number of thresholds with three or more
    # factors no pair is novel. Breaks the marginals at every rung.
    check_thresholds("orthotopic", shape, thresholds)
    ids = CellSet.full(shape).where(lambda c: beyond(c, thresholds) <= at_most)
    return rest_is_ooc("orthotopic", ids, "Camposampiero et al. 2025, arXiv 2511.02667")


@geometry("diagonal-band", dial="gap", gap=whole())
def diagonal_band(shape: Shape, *, gap: int) -> Sides:
    """Train on cells whose values all lie within ``gap`` of each other."""
    # The grid version of the band of half-width delta around the diagonal. Guarantees coverage and
    # a convex, for gap 1 and more connected, ID set. Breaks the marginals: middle values are over-
    # represented in ID.
    equal_sizes("diagonal-band", shape)
    ids = CellSet.full(shape).where(lambda c: max(c) - min(c) <= gap)
    return rest_is_ooc("diagonal-band", ids, WIEDEMER)


@geometry("orthogonal-cross", dial="anchors", anchors=listed_cells)
def orthogonal_cross(shape: Shape, *, anchors: Sequence[Cell]) -> Sides:
    """Train on cells that differ from an anchor in at most one factor."""
    # With one anchor this is the smallest support that identifies an additive generator. Breaks the
    # marginals: the anchors' values are over-represented in ID.
    known = CellSet.of(shape, anchors)
    ids = CellSet.full(shape).where(
        lambda c: any(sum(a != b for a, b in zip(c, k, strict=True)) <= 1 for k in known)
    )
    return rest_is_ooc("orthogonal-cross", ids, WIEDEMER)


@geometry("random", dial="fraction", fraction=share, seed=seed)
def random_hold_out(shape: Shape, *, fraction: float, seed: int) -> Sides:
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
