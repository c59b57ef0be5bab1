from __future__ import annotations

from typing import Any

import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.declaration import JUDGES, check_requirements
from recombine.renderer.splits.orbit import orbit
from recombine.renderer.splits.parameters import Grid, Node
from recombine.renderer.splits.regions import corner, diagonal_band, orthotopic
from tests.renderer.grid_schema import grid_schema

GRID = Grid.of(grid_schema(4, 4))


def check(promise: dict[str, Any], *rungs: CellSet, grid: Grid = GRID) -> None:
    node = Node(promise, ("require",), "split.toml")
    check_requirements(node, grid, rungs, rungs[-1].complement())


ORBIT = orbit((4, 4), residues=[0, 1]).id_cells
CORNER = corner((4, 4), thresholds={0: 2, 1: 2}).id_cells
DIAGONAL = diagonal_band((4, 4), gap=0).id_cells
UPPER = orthotopic((4, 4), thresholds={0: 2, 1: 2}, at_most=0).id_cells


@pytest.mark.parametrize(
    "promise",
    [
        {},
        {"coverage": 1, "marginal_tv": 0, "rank": "full", "connected": True, "novelty": 2},
        {"rank": 7, "hamming": 1, "pair_coverage": 0.5, "atom_divergence": 1e-9},
        {"coverage": 0.3},
    ],
)
def test_promises_that_hold(promise: dict[str, Any]) -> None:
    check(promise, ORBIT)


@pytest.mark.parametrize(
    ("ids", "promise", "message"),
    [
        (
            UPPER,
            {"coverage": 1},
            r"coverage at least 1; got 1/2 \(0.5\), 1/2 \(0.5\) too little, at rung 0",
        ),
        (
            CORNER,
            {"marginal_tv": 0.1},
            r"at most 1/10 \(0.1\); got 2/3 \(0.667\), 17/30 \(0.567\) too much",
        ),
        (CORNER, {"atom_divergence": 0.2}, "atom divergence at most .* too much"),
        (ORBIT, {"pair_coverage": 0.75}, r"pair coverage at least 3/4 .*1/4 \(0.25\) too little"),
        (DIAGONAL, {"rank": "full"}, "additive rank 7; got 4, 3 too little"),
        (DIAGONAL, {"rank": 5}, "additive rank 5; got 4, 1 too little"),
        (DIAGONAL, {"connected": True}, "one component; got 4 components"),
        (
            UPPER,
            {"novelty": 2},
            "key 'require.novelty': .* novel at order 2; got 12 of order 1, at rung 0",
        ),
        (UPPER, {"hamming": 1}, "within 1 factors .* a distance of 2, 1 too much"),
    ],
)
def test_broken_promises_say_by_how_much(
    ids: CellSet, promise: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        check(promise, ids)


def test_every_promise_has_a_broken_example() -> None:
    broken = {"coverage", "marginal_tv", "atom_divergence", "pair_coverage", "rank"}
    assert JUDGES.keys() == broken | {"connected", "novelty", "hamming"}


def test_every_rung_must_keep_the_promise_and_all_faults_are_told() -> None:
    wide = diagonal_band((4, 4), gap=1).id_cells
    check({"connected": True}, wide)
    with pytest.raises(InvalidInputError) as caught:
        check({"connected": True, "rank": "full", "coverage": 1}, DIAGONAL, wide)
    text = str(caught.value)
    assert "'require.connected'" in text
    assert "'require.rank'" in text
    assert "rung 1" not in text
    assert "coverage" not in text


def test_a_promised_decimal_is_exact() -> None:
    # Total variation is exactly 3/10, and the binary fraction nearest to 0.3 is below it.
    ids = CellSet.of((2, 20), [(int(v >= 13), v) for v in range(20)])
    assert str(ids.total_variation(ids.complement())) == "3/10"
    check({"marginal_tv": 0.3}, ids, grid=Grid.of(grid_schema(2, 20)))


def test_exchange_must_map_every_side_to_itself() -> None:
    check({"symmetric": ["a.f", "b.f"]}, DIAGONAL)
    with pytest.raises(InvalidInputError, match="to map rung 0 to itself; got 4 cells missing"):
        check({"symmetric": ["a.f", "b.f"]}, ORBIT)
    grid, ids = Grid.of(grid_schema(4, 2)), orbit((4, 2), residues=[0]).id_cells
    with pytest.raises(InvalidInputError, match="equally many"):
        check({"symmetric": ["a.f", "b.f"]}, ids, grid=grid)


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ({"tv": 0}, "'require.tv': expected one of the keys"),
        ({"coverage": "1"}, "expected a number; got '1'"),
        ({"coverage": 1.5}, r"a number in \[0, 1\]"),
        ({"coverage": True}, "expected a number; got True"),
        ({"rank": "most"}, r"expected one of \['full'\]"),
        ({"rank": 8}, "a whole number in 1..7"),
        ({"connected": False}, "expected true; got False"),
        ({"novelty": 0}, "a whole number in 1..64"),
        ({"symmetric": ["a.f"]}, "expected 2 factors"),
    ],
)
def test_promises_of_the_wrong_type_are_refused(promise: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        check(promise, ORBIT)
