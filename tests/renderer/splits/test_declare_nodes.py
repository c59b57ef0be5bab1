from __future__ import annotations

import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.parameters import Node

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
