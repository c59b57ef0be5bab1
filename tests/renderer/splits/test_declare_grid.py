from __future__ import annotations

import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.presets.table import load_preset
from recombine.renderer.splits.parameters import Grid, Node
from tests.renderer.grid_schema import grid_schema

GRID = Grid.of(grid_schema(2, 3, 4))


def node(value: object) -> Node:
    return Node(value, (), "split.toml")


def test_a_grid_is_the_recombined_part_of_a_schema() -> None:
    schema = load_preset("smoke").schema
    assert Grid.of(schema).keys == schema.recombined
    assert Grid.of(schema).shape == schema.cell_shape


def test_names_and_codes_are_the_same_value() -> None:
    assert GRID.code(node("b2"), 1) == GRID.code(node(2), 1) == 2
    assert GRID.cell(node(["a1", 0, "c3"])) == (1, 0, 3)
    assert GRID.cells(node([[0, 0, 0], ["a1", "b1", "c1"]])) == [(0, 0, 0), (1, 1, 1)]
    # One cell written twice, by name and by code, is still written twice.
    with pytest.raises(InvalidInputError, match="distinct"):
        GRID.cells(node([[0, 0, 0], ["a0", "b0", "c0"]]))


def test_parts_keep_the_given_order() -> None:
    part = GRID.part([2, 0])
    assert part.keys == ("c.f", "a.f")
    assert part.shape == (4, 2)


def test_factor_keys_may_be_quoted_or_dotted() -> None:
    for value in ({"b.f": 1}, {"b": {"f": 1}}):
        assert {f: n.value for f, n in GRID.by_factor(node(value)).items()} == {1: 1}


@pytest.mark.parametrize("value", [{}, {"b.f": 1, "b": {"f": 1}}, {"b": 1}, {"z.f": 1}, [1]])
def test_other_keys_are_refused(value: object) -> None:
    with pytest.raises(InvalidInputError):
        GRID.by_factor(node(value))


@pytest.mark.parametrize("value", [[], ["a.f", "a.f"], ["z"], "a.f", ["a.f", "b.f", "c.f"]])
def test_factor_lists_are_distinct_known_and_of_the_right_length(value: object) -> None:
    with pytest.raises(InvalidInputError):
        GRID.factors(node(value), 1, 2)


@pytest.mark.parametrize("value", ["c0", 2, -1, True, 0.0, None])
def test_values_must_exist(value: object) -> None:
    with pytest.raises(InvalidInputError):
        GRID.code(node(value), 0)
