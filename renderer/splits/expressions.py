"""Cells as a declared expression.

An expression is a table. It starts from one base (``cells``, ``union``, ``intersect``,
``product``, ``id_of``, ``ooc_of``, or the full grid when none is given) and then applies, always
in this order, ``where``, ``minus``, ``permutation_closure``, ``shift_closure`` and
``complement``. Another order is written by nesting: ``{union = [{...}], minus = {...}}``.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Collection, Mapping

# Importing these modules registers their geometries.
from recombine.renderer.splits import orbit, regions, search, special  # noqa: F401
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.geometry import box, read_geometry
from recombine.renderer.splits.orbit import shift_closure
from recombine.renderer.splits.parameters import Grid, Node

STEPS = ("where", "minus", "permutation_closure", "shift_closure", "complement")


def read_cells(node: Node, grid: Grid, *, ignore: Collection[str] = ()) -> CellSet:
    """Return the cells that an expression describes."""
    fields = node.table(optional=(*BASES, "full", *STEPS, *ignore))
    fields = {k: n for k, n in fields.items() if k not in ignore}
    bases = [k for k in fields if k not in STEPS]
    if not fields or len(bases) > 1:
        expected = f"an expression with one base of {['full', *BASES]}"
        raise node.refuse(expected, "Nest expressions to combine.", got=str(bases or "none"))
    if "full" in fields:
        fields["full"].true()
    base = bases[0] if bases else "full"
    cells = BASES[base](fields[base], grid) if base in BASES else CellSet.full(grid.shape)
    return _steps(fields, cells, grid)


def _steps(fields: Mapping[str, Node], cells: CellSet, grid: Grid) -> CellSet:
    if "where" in fields:
        cells = cells & box(grid.shape, _allowed(fields["where"], grid))
    if "minus" in fields:
        cells = cells - _union(fields["minus"], grid)
    if "permutation_closure" in fields:
        node = fields["permutation_closure"]
        factors, open_cells = grid.factors(node, 2), cells
        cells = node.call(lambda: open_cells.permutation_closure(factors))
    if "shift_closure" in fields and fields["shift_closure"].true():
        cells = shift_closure(cells)
    if "complement" in fields and fields["complement"].true():
        cells = cells.complement()
    return cells


def _allowed(node: Node, grid: Grid) -> dict[int, list[int]]:
    """Return the allowed codes per factor: a value, a list, or limits in a table."""
    found = {}
    for factor, entry in grid.by_factor(node).items():
        if isinstance(entry.value, list | tuple):
            found[factor] = grid.codes(entry, factor)
        elif isinstance(entry.value, Mapping):
            found[factor] = _limits(entry, grid, factor)
        else:
            found[factor] = [grid.code(entry, factor)]
    return found


def _limits(node: Node, grid: Grid, factor: int) -> list[int]:
    fields = node.table(optional=("at_least", "at_most", "not"))
    if not fields:
        raise node.refuse("at_least, at_most or not", "Name a limit.", got="none")
    low, high = 0, grid.shape[factor] - 1
    if "at_least" in fields:
        low = grid.code(fields["at_least"], factor)
    if "at_most" in fields:
        high = grid.code(fields["at_most"], factor)
    dropped = grid.codes(fields["not"], factor) if "not" in fields else []
    return [v for v in range(low, high + 1) if v not in dropped]


def _union(node: Node, grid: Grid) -> CellSet:
    """Return the union of a list of expressions, or a single one."""
    if isinstance(node.value, Mapping):
        return read_cells(node, grid)
    return functools.reduce(operator.or_, _parts(node, grid))


def _intersect(node: Node, grid: Grid) -> CellSet:
    return functools.reduce(operator.and_, _parts(node, grid))


def _parts(node: Node, grid: Grid) -> list[CellSet]:
    parts = [read_cells(n, grid) for n in node.items()]
    if not parts:
        raise node.refuse("at least one expression", "List tables.")
    return parts


def _product(node: Node, grid: Grid) -> CellSet:
    """Return the product of sets over parts of the factors, in the order of the grid."""
    order: list[int] = []
    product = CellSet((), frozenset([()]))
    for item in node.items():
        named = item.entries().get("factors")
        if named is None:
            raise item.refuse("the key 'factors'", "Name the factors of this part.", got="none")
        factors = grid.factors(named)
        order += factors
        product = product.product(read_cells(item, grid.part(factors), ignore=("factors",)))
    if sorted(order) != list(range(len(grid.keys))):
        named_keys = str([grid.keys[f] for f in order])
        expected = f"parts that share out {list(grid.keys)}"
        raise node.refuse(expected, "Name each factor in one part.", got=named_keys)
    back = [order.index(f) for f in range(len(order))]
    return CellSet.of(grid.shape, (tuple(c[p] for p in back) for c in product.cells))


BASES: dict[str, Callable[[Node, Grid], CellSet]] = {
    "cells": lambda node, grid: CellSet.of(grid.shape, grid.cells(node)),
    "union": _union,
    "intersect": _intersect,
    "product": _product,
    "id_of": lambda node, grid: read_geometry(node, grid).id_cells,
    "ooc_of": lambda node, grid: read_geometry(node, grid).ooc_cells,
}
