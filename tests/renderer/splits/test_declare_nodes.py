from __future__ import annotations

import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.declare_nodes import Node, Source

SOURCE = Source("split.toml", {("a",): 3, ("a", "b"): 5})


def test_the_line_is_that_of_the_nearest_known_key() -> None:
    assert SOURCE.place(("a", "b", 0)) == "split.toml, line 5, key 'a.b.0'"
    assert SOURCE.place(("a", "c")) == "split.toml, line 3, key 'a.c'"
    assert SOURCE.place(("z",)) == "split.toml, key 'z'"
    assert SOURCE.place(()) == "split.toml"
    assert Source("plan").place(("a",)) == "plan, key 'a'"


def test_entries_know_their_place() -> None:
    root = Node({"a": {"b": [1, "x"]}}, (), SOURCE)
    entry = root.entries()["a"].entries()["b"].items()[1]
    assert entry.path == ("a", "b", 1)
    assert entry.text() == "x"


def test_an_entry_that_has_a_place_keeps_it() -> None:
    moved = Node(7, ("ladder", 2), SOURCE)
    assert Node({"gap": moved}, (), SOURCE).entries()["gap"].path == ("ladder", 2)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], 4, -1])
def test_integers_are_whole_and_in_range(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"a whole number in 0..3; got"):
        Node(value, (), SOURCE).integer(0, 3)


@pytest.mark.parametrize("value", [True, "1", None, 1.5, float("nan"), float("inf"), 10**400])
def test_numbers_are_finite_and_in_range(value: object) -> None:
    with pytest.raises(InvalidInputError, match="a number"):
        Node(value, (), SOURCE).number(0, 1)


def test_values_that_pass() -> None:
    assert Node(3, (), SOURCE).integer(0, 3) == 3
    assert Node([2, 0], (), SOURCE).integers(0, 3) == [2, 0]
    assert Node(1, (), SOURCE).number(0, 1) == 1.0
    assert Node(True, (), SOURCE).true()
    assert Node("b", (), SOURCE).choice(["a", "b"]) == "b"


def test_unknown_and_missing_keys_are_named() -> None:
    node = Node({"b": 1}, ("a",), SOURCE)
    with pytest.raises(InvalidInputError, match=r"line 5, key 'a.b': expected one of the keys"):
        node.table(("c",))
    with pytest.raises(InvalidInputError, match=r"line 3, key 'a': .*Add \['c'\]"):
        node.table(("c",), ("b",))


def test_refusals_of_functions_get_the_place_and_other_faults_pass() -> None:
    node = Node(0, ("a",), SOURCE)
    with pytest.raises(InvalidInputError, match="line 3, key 'a': CellSet"):
        node.call(lambda: CellSet.of((2,), [(5,)]))
    with pytest.raises(ZeroDivisionError):
        node.call(lambda: 1 // 0)


def test_long_values_are_cut_and_huge_numbers_are_not_printed() -> None:
    for value in ("x" * 500, int("f" * 9000, 16)):
        error = Node(value, ("a",), SOURCE).refuse("less", "Shorten it.")
        assert len(str(error)) < 200
