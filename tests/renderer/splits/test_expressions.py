from __future__ import annotations

import math
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import Cell, CellSet
from recombine.renderer.splits.expressions import read_cells
from recombine.renderer.splits.orbit import orbit_cells
from recombine.renderer.splits.parameters import Grid, Node
from tests.renderer.grid_schema import grid_schema

GRID = Grid.of(grid_schema(3, 3, 2))
CELLS = st.sets(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=9
)


def evaluate(expression: dict[str, Any], grid: Grid = GRID) -> CellSet:
    return read_cells(Node(expression, (), "split.toml"), grid)


def parse(text: str) -> CellSet:
    return evaluate(tomllib.loads(text))


def listed(cells: set[Cell]) -> dict[str, Any]:
    return {"cells": [list(c) for c in cells]}


@settings(deadline=None)
@given(CELLS, CELLS, CELLS)
def test_the_laws_of_sets_hold(a: set[Cell], b: set[Cell], c: set[Cell]) -> None:
    x, y, z = listed(a), listed(b), listed(c)
    assert evaluate({"union": [x, y]}).cells == a | b
    assert evaluate({"intersect": [x, y]}).cells == a & b
    assert evaluate({**x, "minus": y}).cells == a - b
    assert evaluate({**x, "minus": [y, z]}).cells == a - b - c
    assert evaluate({**x, "complement": True}) == CellSet.of(GRID.shape, a).complement()
    # De Morgan
    out = {"union": [x, y], "complement": True}
    both = {"intersect": [{**x, "complement": True}, {**y, "complement": True}]}
    assert evaluate(out) == evaluate(both)
    # Distribution
    left = {"intersect": [x, {"union": [y, z]}]}
    right = {"union": [{"intersect": [x, y]}, {"intersect": [x, z]}]}
    assert evaluate(left) == evaluate(right)


@settings(deadline=None)
@given(CELLS)
def test_closures_are_symmetric_supersets_and_closed(a: set[Cell]) -> None:
    closed = evaluate({**listed(a), "permutation_closure": ["a.f", "b.f"]})
    assert a <= closed.cells
    assert {(q, p, r) for p, q, r in closed} == closed.cells
    shifted = evaluate({**listed(a), "shift_closure": True})
    assert a <= shifted.cells
    assert {((p + 1) % 3, (q + 1) % 3, (r + 1) % 2) for p, q, r in shifted} == shifted.cells
    for position in range(3):
        assert len(set(shifted.marginal(position))) == 1


@settings(deadline=None)
@given(
    st.sets(st.integers(0, 2), min_size=1),
    st.sets(st.integers(0, 2), min_size=1),
    st.sets(st.integers(0, 1), min_size=1),
)
def test_where_and_product_are_boxes(p: set[int], q: set[int], r: set[int]) -> None:
    box = {(i, j, k) for i in p for j in q for k in r}
    assert evaluate({"where": {"a.f": list(p), "b.f": list(q), "c.f": list(r)}}).cells == box
    parts = [
        {"factors": ["c.f", "a.f"], "where": {"a.f": list(p), "c.f": list(r)}},
        {"factors": ["b.f"], "cells": [[v] for v in q]},
    ]
    assert evaluate({"product": parts}).cells == box


@pytest.mark.parametrize(
    ("limits", "values"),
    [
        ('"a1"', {1}),
        ("2", {2}),
        ('{at_least = "a1"}', {1, 2}),
        ("{at_most = 1}", {0, 1}),
        ('{at_least = 1, at_most = "a1"}', {1}),
        ('{not = ["a1"]}', {0, 2}),
        ("{at_least = 2, at_most = 0}", set()),
    ],
)
def test_limits_of_where(limits: str, values: set[int]) -> None:
    found = parse(f"full = true\nwhere = {{'a.f' = {limits}}}")
    assert {c[0] for c in found} == values
    assert len(found) == len(values) * 6


def test_steps_apply_in_the_stated_order() -> None:
    found = parse(
        "cells = [[0, 1, 0], [0, 2, 0], [2, 2, 1]]\n"
        "where = {c.f = 0}\n"
        "minus = {cells = [[0, 2, 0]]}\n"
        "permutation_closure = ['a.f', 'b.f']\n"
    )
    assert found.cells == {(0, 1, 0), (1, 0, 0)}
    assert parse("cells = [[0, 0, 0]]\ncomplement = true") == found.full((3, 3, 2)) - CellSet.of(
        (3, 3, 2), [(0, 0, 0)]
    )


def test_geometries_are_bases() -> None:
    square = Grid.of(grid_schema(4, 4))
    declared = {"geometry": "orbit", "residues": [0, 1]}
    ids, ooc = evaluate({"id_of": declared}, square), evaluate({"ooc_of": declared}, square)
    assert ids == orbit_cells((4, 4), [0, 1])
    assert ooc == ids.complement()
    # An orbit on two factors times all values of a third.
    parts = [
        {"factors": ["b.f", "a.f"], "id_of": {"geometry": "orbit", "residues": [0]}},
        {"factors": ["c.f"], "full": True},
    ]
    found = evaluate({"product": parts})
    assert found.cells == {(v, v, k) for v in range(3) for k in range(2)}
    assert len(found) == math.prod(GRID.shape) // 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an expression with one base"),
        ("full = true\ncells = [[0, 0, 0]]", r"one base.*got \['full', 'cells'\]"),
        ("unions = []", "'unions': expected one of the keys"),
        ("union = []", "'union': expected at least one expression"),
        ("union = 3", "'union': expected a list; got 3"),
        ("intersect = [3]", "'intersect.0': expected a table; got 3"),
        ("cells = []", "'cells': expected a list of distinct"),
        ("cells = [[0, 0, 'c9']]", "'cells.0.2': expected a value of 'c.f'; got 'c9'"),
        ("cells = [[0, 0]]", "'cells.0': expected one value for each"),
        ("permutation_closure = ['a.f', 'c.f']", "'permutation_closure': .*equally many"),
        ("permutation_closure = ['a.f']", "'permutation_closure': expected 2 to 3 factors"),
        ("shift_closure = 1", "'shift_closure': expected true; got 1"),
        ("where = {a.f = {}}", "'where.a.f': expected at_least"),
        ("where = {a.f = {above = 1}}", "'where.a.f.above': expected one of the keys"),
        ("where = {a.f = true}", "'where.a.f': expected a whole number"),
        ("product = [{full = true}]", "'product.0': expected the key 'factors'"),
        ("product = [{factors = ['a.f'], full = true}]", "'product': expected parts that share"),
        (
            (
                "product = [{factors = ['a.f', 'b.f'], full = true},"
                " {factors = ['b.f', 'c.f'], full = true}]"
            ),
            "'product': expected parts that share out",
        ),
        ("id_of = {geometry = 'orbit', residues = [0]}", "'id_of': orbit split: .*common divisor"),
        ("factors = ['a.f']", "'factors': expected one of the keys"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse(text)
