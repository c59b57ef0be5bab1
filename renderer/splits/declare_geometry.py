"""From a declared name and parameters to a geometry.

A new geometry needs an entry in `PARAMETERS` next to the one in `GEOMETRIES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from recombine.renderer.splits.declare_grid import Grid
from recombine.renderer.splits.declare_nodes import Node
from recombine.renderer.splits.geometries import GEOMETRIES, Geometry

# A reader also gets the parameters read before it: the values of a list depend on its factor.
Reader = Callable[[Node, Grid, Mapping[str, Any]], Any]
LARGEST_SEED = 2**63 - 1


def _residues(node: Node, grid: Grid, _: Mapping[str, Any]) -> list[int]:
    return node.integers(0, max(grid.shape) - 1)


def _whole(high: int | None = None, low: int = 0) -> Reader:
    return lambda node, grid, _: node.integer(low, max(grid.shape) if high is None else high)


def _share(node: Node, _grid: Grid, _done: Mapping[str, Any]) -> float:
    return node.number(0, 1)


def _factor(node: Node, grid: Grid, _: Mapping[str, Any]) -> int:
    return grid.factor(node)


def _factors(low: int, high: int | None = None) -> Reader:
    return lambda node, grid, _: tuple(grid.factors(node, low, high))


def _thresholds(node: Node, grid: Grid, _: Mapping[str, Any]) -> dict[int, int]:
    return {f: grid.code(n, f) for f, n in grid.by_factor(node).items()}


def _box(node: Node, grid: Grid, _: Mapping[str, Any]) -> dict[int, list[int]]:
    return {f: grid.codes(n, f) for f, n in grid.by_factor(node).items()}


def _value_of(name: str) -> Reader:
    return lambda node, grid, done: grid.code(node, done[name])


def _values_of(name: str) -> Reader:
    return lambda node, grid, done: grid.codes(node, done[name])


def _lists(node: Node, grid: Grid, done: Mapping[str, Any]) -> dict[int, list[int]]:
    nouns = grid.values[done["noun"]]
    return {
        nouns.index(key): grid.codes(entry, done["colour"])
        for key, entry in node.table(optional=nouns).items()
    }


def _bands(node: Node, grid: Grid, _: Mapping[str, Any]) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for item in node.items():
        fields = item.table(("factors", "residues"))
        first, second = grid.factors(fields["factors"], 2, 2)
        if (first, second) in found:
            raise item.refuse("each pair once", "Join the residues.", got="it again")
        found[first, second] = fields["residues"].integers(0, max(grid.shape) - 1)
    return found


def _cell(node: Node, grid: Grid, _: Mapping[str, Any]) -> tuple[int, ...]:
    return grid.cell(node)


def _cells(node: Node, grid: Grid, _: Mapping[str, Any]) -> list[tuple[int, ...]]:
    return grid.cells(node)


def _inverse(node: Node, grid: Grid, done: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(grid.code(n, done["predicate"]) for n in node.items())


def _relations(node: Node, grid: Grid, done: Mapping[str, Any]) -> list[tuple[int, ...]]:
    first, second = done["objects"]
    triple = grid.part((first, done["predicate"], second))
    return triple.cells(node)


def _objects(node: Node, grid: Grid, _: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    items = node.items()
    if len(items) != 2:
        raise node.refuse("two objects, each a noun and an attribute", "List four factors.")
    return tuple(tuple(grid.factors(n, 2, 2)) for n in items)


def _bindings(node: Node, grid: Grid, done: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    parts = [grid.part(factors) for factors in done["objects"]]
    found = []
    for item in node.items():
        if len(item.items()) != 2:
            raise item.refuse("two bindings of a noun and an attribute", "Write [[A, r], [B, s]].")
        found.append(tuple(p.cell(n) for p, n in zip(parts, item.items(), strict=True)))
    return found


PARAMETERS: dict[str, dict[str, Reader]] = {
    "orbit": {"residues": _residues, "ooc": _residues},
    "strength": {"residues": _residues, "factors": _factors(2)},
    "pair-cyclic": {"residues": _residues, "factors": _factors(2, 2)},
    "banded-pairs": {"bands": _bands},
    "all-pairs-banded": {"residues": _residues},
    "permutation": {"joined": _whole(), "seed": _whole(LARGEST_SEED)},
    "checkerboard": {"block": _whole(low=1)},
    "leave-one-out": {"cell": _cell},
    "corner": {"thresholds": _thresholds},
    "orthotopic": {"at_most": _whole(), "thresholds": _thresholds},
    "recombination-to-range": {"held_out": _box},
    "recombination-to-element": {"held_out": _box},
    "extrapolation": {"factor": _factor, "threshold": _value_of("factor")},
    "interpolation": {"factor": _factor, "gap": _values_of("factor")},
    "count": {"factor": _factor, "threshold": _value_of("factor")},
    "cogent": {"noun": _factor, "colour": _factor, "lists": _lists},
    "relation": {
        "objects": _factors(2, 2),
        "predicate": _factor,
        "inverse": _inverse,
        "held_out": _relations,
    },
    "binding": {"objects": _objects, "held_out": _bindings},
    "diagonal-band": {"gap": _whole()},
    "orthogonal-cross": {"anchors": _cells},
    "random": {"fraction": _share, "seed": _whole(LARGEST_SEED)},
    "covering-array": {"strength": _whole()},
    "compound-divergence": {
        "fraction": _share,
        "seed": _whole(LARGEST_SEED),
        "steps": _whole(20_000),
    },
}

# The parameter that a ladder varies: the dial of difficulty.
DIALS: dict[str, str] = {
    "orbit": "residues",
    "strength": "residues",
    "pair-cyclic": "residues",
    "banded-pairs": "bands",
    "all-pairs-banded": "residues",
    "permutation": "joined",
    "checkerboard": "block",
    "leave-one-out": "cell",
    "corner": "thresholds",
    "orthotopic": "at_most",
    "recombination-to-range": "held_out",
    "recombination-to-element": "held_out",
    "extrapolation": "threshold",
    "interpolation": "gap",
    "count": "threshold",
    "cogent": "lists",
    "relation": "held_out",
    "binding": "held_out",
    "diagonal-band": "gap",
    "orthogonal-cross": "anchors",
    "random": "fraction",
    "covering-array": "strength",
    "compound-divergence": "fraction",
}


def read_geometry(node: Node, grid: Grid) -> Geometry:
    """Return the geometry that a table declares."""
    named = node.entries().get("geometry")
    if named is None:
        raise node.refuse("a table with the key 'geometry'", "Name the geometry.", got="none")
    name = named.choice(GEOMETRIES)
    signature = inspect.signature(GEOMETRIES[name]).parameters
    required = [k for k in PARAMETERS[name] if signature[k].default is inspect.Parameter.empty]
    fields = node.table(("geometry", *required), PARAMETERS[name])
    done: dict[str, Any] = {}
    for key, read in PARAMETERS[name].items():
        if key in fields:
            done[key] = read(fields[key], grid, done)
    return node.call(lambda: GEOMETRIES[name](grid.shape, **done))
