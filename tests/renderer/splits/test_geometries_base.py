from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.geometry import (
    Sides,
    beyond,
    box,
    check_factors,
    check_thresholds,
    check_values,
    equal_sizes,
    rest_is_id,
    rest_is_ooc,
)

SQUARE = CellSet.full((2, 2))
DIAGONAL = CellSet.of((2, 2), [(0, 0), (1, 1)])


def test_the_rest_is_the_other_side() -> None:
    assert rest_is_ooc("x", DIAGONAL, "").ooc_cells == DIAGONAL.complement()
    assert rest_is_id("x", DIAGONAL, "").id_cells == DIAGONAL.complement()


def test_what_is_on_neither_side_is_ignored() -> None:
    ids, ooc = CellSet.of((2, 2), [(0, 0)]), CellSet.of((2, 2), [(0, 1)])
    split = Sides("x", ids, ooc, "")
    assert split.shape == (2, 2)
    assert split.ignored.cells == {(1, 0), (1, 1)}


@pytest.mark.parametrize(
    ("ids", "ooc", "message"),
    [
        (SQUARE, DIAGONAL, "share 2"),
        (SQUARE, SQUARE - SQUARE, "4 ID and 0 OOC"),
        (SQUARE - SQUARE, SQUARE, "0 ID and 4 OOC"),
        (DIAGONAL, CellSet.full((2, 3)), "share one grid"),
    ],
)
def test_impossible_sides_are_refused(ids: CellSet, ooc: CellSet, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Sides("x", ids, ooc, "")


@settings(deadline=None)
@given(st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=3, max_size=3))
def test_a_box_holds_exactly_the_listed_values(values: list[set[int]]) -> None:
    found = box((4, 4, 4), dict(enumerate(values)))
    assert found.cells == set(itertools.product(*values))
    assert box((4, 4, 4), {1: values[1]}).marginal(0) == CellSet.full((4, 4, 4)).marginal(0)


def test_values_at_the_threshold_are_beyond_it() -> None:
    assert beyond((0, 2, 3), {0: 1, 1: 2, 2: 2}) == 2


@pytest.mark.parametrize("factors", [[0, 0], [2], [-1], [0, 1, 2]])
def test_factors_must_exist_once(factors: list[int]) -> None:
    with pytest.raises(InvalidInputError, match=r"distinct factor positions in 0\.\.1"):
        check_factors("x", (4, 4), factors)


@pytest.mark.parametrize("values", [{0: []}, {0: [4]}, {0: [-1, 1]}, {5: [0]}])
def test_values_must_exist(values: dict[int, list[int]]) -> None:
    with pytest.raises(InvalidInputError, match="geometry 'x'"):
        check_values("x", (4, 4), values)


def test_checks_let_valid_parameters_pass() -> None:
    assert check_factors("x", (4, 4), iter([1, 0])) == (1, 0)
    check_values("x", (4, 4), {0: range(4), 1: [3]})
    check_thresholds("x", (4, 2), {0: 3, 1: 1})
    assert equal_sizes("x", (4, 4)) == 4
