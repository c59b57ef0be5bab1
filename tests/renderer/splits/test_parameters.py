from __future__ import annotations

import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.presets.table import load_preset
from recombine.renderer.splits.cells import CellSet
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


NAME = "split.toml"


def test_the_place_is_name_and_key_path() -> None:
    assert Node(1, ("a", "b", 0), NAME).place == "split.toml, key 'a.b.0'"
    assert Node(1, (), NAME).place == "split.toml"


def test_entries_know_their_place() -> None:
    root = Node({"a": {"b": [1, "x"]}}, (), NAME)
    entry = root.entries()["a"].entries()["b"].items()[1]
    assert entry.path == ("a", "b", 1)
    assert entry.text() == "x"


def test_an_entry_that_has_a_place_keeps_it() -> None:
    moved = Node(7, ("ladder", 2), NAME)
    assert Node({"gap": moved}, (), NAME).entries()["gap"].path == ("ladder", 2)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], 4, -1])
def test_integers_are_whole_and_in_range(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"a whole number in 0..3; got"):
        Node(value, (), NAME).integer(0, 3)


@pytest.mark.parametrize("value", [True, "1", None, 1.5, float("nan"), float("inf"), 10**400])
def test_numbers_are_finite_and_in_range(value: object) -> None:
    with pytest.raises(InvalidInputError, match="a number"):
        Node(value, (), NAME).number(0, 1)


def test_values_that_pass() -> None:
    assert Node(3, (), NAME).integer(0, 3) == 3
    assert Node([2, 0], (), NAME).integers(0, 3) == [2, 0]
    assert Node(1, (), NAME).number(0, 1) == 1.0
    assert Node(True, (), NAME).true()
    assert Node("b", (), NAME).choice(["a", "b"]) == "b"


def test_unknown_and_missing_keys_are_named() -> None:
    node = Node({"b": 1}, ("a",), NAME)
    with pytest.raises(InvalidInputError, match=r"key 'a.b': expected one of the keys"):
        node.table(("c",))
    with pytest.raises(InvalidInputError, match=r"key 'a': .*Add \['c'\]"):
        node.table(("c",), ("b",))


def test_refusals_of_functions_get_the_place_and_other_faults_pass() -> None:
    node = Node(0, ("a",), NAME)
    with pytest.raises(InvalidInputError, match="key 'a': CellSet"):
        node.call(lambda: CellSet.of((2,), [(5,)]))
    with pytest.raises(ZeroDivisionError):
        node.call(lambda: 1 // 0)


def test_long_values_are_cut_and_huge_numbers_are_not_printed() -> None:
    for value in ("x" * 500, int("f" * 9000, 16)):
        error = Node(value, ("a",), NAME).refuse("less", "Shorten it.")
        assert len(str(error)) < 200
