"""Split geometries that hold out a box of the grid: one cell, a corner, a range, an element.

They re-index the same images, so that results can be compared with published ones. All of
them shift the marginals: read `recombine.renderer.splits.cells.report` before you trust a gap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from recombine.renderer.splits.cells import Cell, CellSet
from recombine.renderer.splits.geometries_base import (
    Geometry,
    Shape,
    beyond,
    box,
    check_thresholds,
    check_values,
    refuse,
    rest_is_id,
)

SCHOTT = "Schott et al. 2022, arXiv 2107.08221"
MONTERO = "Montero et al. 2021, The role of disentanglement in generalisation"


def leave_one_out(shape: Shape, *, cell: Cell) -> Geometry:
    """Hold out one cell."""
    # Guarantees full coverage and connected ID cells. Breaks the OOC marginals, which are
    # degenerate, and rests every figure on one combination.
    return rest_is_id("leave-one-out", CellSet.of(shape, [cell]), "common practice")


def corner(shape: Shape, *, thresholds: Mapping[int, int]) -> Geometry:
    """Hold out the corner block where all listed factors are at or above their threshold."""
    # Guarantees coverage as long as a value keeps one row or column. Breaks the marginals: OOC
    # shows the upper values only. Schott et al. 2022 call it "composition".
    check_thresholds("corner", shape, thresholds)
    block = CellSet.full(shape).where(lambda c: beyond(c, thresholds) == len(thresholds))
    return rest_is_id("corner", block, SCHOTT)


def recombination_to_range(shape: Shape, *, held_out: Mapping[int, Collection[int]]) -> Geometry:
    """Hold out a box on two factors, for example squares in the right half."""
    # Guarantees coverage. Breaks the marginals of both factors; pairs inside the box are novel.
    return _boxed("recombination-to-range", shape, held_out, 2, 2)


def recombination_to_element(shape: Shape, *, held_out: Mapping[int, Collection[int]]) -> Geometry:
    """Hold out a box on three or more factors."""
    # Guarantees that every value, and every pair of values, is still seen in ID, as long as each
    # listed factor keeps a value outside the box. Breaks the marginals of the listed factors.
    return _boxed("recombination-to-element", shape, held_out, 3, len(shape))


def _boxed(
    name: str, shape: Shape, values: Mapping[int, Collection[int]], low: int, high: int
) -> Geometry:
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


def extrapolation(shape: Shape, *, factor: int, threshold: int) -> Geometry:
    """Hold out the upper range of one factor."""
    # Guarantees nothing about combinations: the held-out values are never seen, so it measures
    # range and not recombination. Report it apart.
    check_thresholds("extrapolation", shape, {factor: threshold})
    upper = box(shape, {factor: range(threshold, shape[factor])})
    return rest_is_id("extrapolation", upper, MONTERO)


def interpolation(shape: Shape, *, factor: int, gap: Collection[int]) -> Geometry:
    """Hold out interior values of one factor, so that seen values lie on both sides."""
    # Guarantees the range; breaks coverage, as extrapolation does. Report it apart.
    check_values("interpolation", shape, {factor: gap})
    if {0, shape[factor] - 1} & set(gap):
        advice = "Use 'extrapolation' for the ends."
        raise refuse("interpolation", "interior values only", sorted(gap), advice)
    return rest_is_id("interpolation", box(shape, {factor: gap}), SCHOTT)


def count(shape: Shape, *, factor: int, threshold: int) -> Geometry:
    """Train on few objects and test on more: extrapolation in the factor that counts them."""
    # Guarantees equal laws of every single object. Breaks occlusion and exposure, which change with
    # the count.
    check_thresholds("count", shape, {factor: threshold})
    more = box(shape, {factor: range(threshold, shape[factor])})
    return rest_is_id("count", more, "common practice in object-centric learning")
