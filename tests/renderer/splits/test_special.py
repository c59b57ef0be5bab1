from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.certificate.membership import RULES, combinations, law
from recombine.renderer.core.errors import InvalidInputError, UsageError
from recombine.renderer.presets.table import load_preset
from recombine.renderer.splits.cells import CellSet, drawn_total_variation, report
from recombine.renderer.splits.special import (
    INVERSE,
    BandSplit,
    BindingSplit,
    CountSplit,
    RelationSplit,
    relation_residues,
)
from tests.renderer.grid_schema import novelty_order

BANDS = st.integers(4, 20).flatmap(
    lambda n: st.builds(
        BandSplit,
        st.just(n),
        st.lists(st.integers(1, max(1, (n - 2) // 2)), min_size=1, unique=True).map(
            lambda widths: tuple(sorted(w for w in widths if 2 * w + 1 < n) or [1])
        ),
    )
)


@given(BANDS)
def test_band_has_uniform_marginals_on_both_sides(split: BandSplit) -> None:
    shape = (split.values, split.values)
    sides = [split.id_draws(shape, r) for r in range(len(split.ladder))] + [split.ooc_draws(shape)]
    for draws in sides:
        for factor in (0, 1):
            counts = Counter(cell[factor] for cell, _ in draws)
            assert set(counts) == set(range(split.values))
            assert len(set(counts.values())) == 1
        assert len(set(draws)) == len(draws)
        assert drawn_total_variation(draws, sides[-1]) == 0


@given(BANDS)
def test_band_is_nested_disjoint_and_symmetric(split: BandSplit) -> None:
    shape = (split.values, split.values)
    rungs = [set(split.id_draws(shape, r)) for r in range(len(split.ladder))]
    assert all(a < b for a, b in pairwise(rungs))
    ids, ooc = split.id_cells(shape, len(rungs) - 1), split.ooc_cells(shape)
    assert not ids.cells & ooc.cells
    for side in (ids, ooc):
        assert {(b, a) for a, b in side.cells} == set(side.cells)


@given(BANDS)
def test_law_of_the_checker_is_that_of_the_planner(split: BandSplit) -> None:
    shape, data = (split.values, split.values), split.to_dict()
    for rung in range(len(split.ladder)):
        drawn = Counter(cell for cell, _ in split.id_draws(shape, rung))
        assert {c: 2 * law(c, rung, data) for c in drawn} == drawn


@pytest.mark.parametrize("ladder", [(), (0,), (2, 1), (4,), (1, 1)])
def test_bad_bands_are_refused(ladder: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="Narrow the widest rung"):
        BandSplit(8, ladder)


def relation_split(n: int) -> RelationSplit:
    one, two, three, ooc = relation_residues(n)
    return RelationSplit(n, (one, one + two, one + two + three), ooc)


def pairs(cells: CellSet, *factors: int) -> dict[tuple[int, ...], Fraction]:
    counts = Counter(tuple(c[f] for f in factors) for c in cells.cells)
    return {pair: Fraction(k, len(cells)) for pair, k in counts.items()}


@pytest.mark.parametrize(("n", "rank"), [(8, 17), (12, 26), (16, 34)])
def test_relation_tells_the_sides_apart_by_all_three_factors_only(n: int, rank: int) -> None:
    split, shape = relation_split(n), (n, 4, n)
    *rungs, ooc = [split.id_cells(shape, r) for r in range(3)] + [split.ooc_cells(shape)]
    for side in (*rungs, ooc):
        assert {(c, INVERSE[r], a) for a, r, c in side.cells} == set(side.cells)
        for factors in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 2)):
            assert pairs(side, *factors) == pairs(ooc, *factors)
        assert not any(a == b for a, _, b in side.cells)
    assert all(a < b for a, b in pairwise(set(r.cells) for r in rungs))
    assert {novelty_order(rungs[0], c) for c in ooc} == {3}
    # Who stands with whom along which axis is as frequent, too, whoever is first.
    bags = [
        Counter((frozenset((a, b)), r // 2) for a, r, b in side.cells) for side in (rungs[0], ooc)
    ]
    assert bags[0] == bags[1]
    found = report(rungs[0], ooc)
    assert (found.rank, found.full_rank) == (rank, 2 * n + 2)
    assert ("declaration" in split.to_dict()) == (rank < 2 * n + 2)
    rule, data = RULES["relation"], split.to_dict()
    for cell in product(range(n), range(4), range(n)):
        assert rule(cell, 1, data) == (cell in rungs[1])
        assert rule(cell, "ooc", data) == (cell in ooc)


@pytest.mark.parametrize(
    ("ladder", "ooc"),
    [
        (((0, 1, 2, 3), (0, 1, 2, 3, 4, 5)), (6, 7)),  # equal objects in ID only
        (((1,), (1, 2)), (7,)),
        (((1,),), (6,)),
    ],
)
def test_relation_with_other_pairs_on_either_side_is_refused(
    ladder: tuple[tuple[int, ...], ...], ooc: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInputError, match="must show pairs of 8 objects equally often"):
        RelationSplit(8, ladder, ooc)


def test_relation_without_a_residue_between_multiples_of_a_quarter_is_refused() -> None:
    assert relation_residues(4) == ((), (), (), ())
    with pytest.raises(UsageError, match="a multiple of 4 from 8 on; got 4"):
        load_preset("relation", values=4)


def test_count_promises_novelty_alone() -> None:
    split = CountSplit(4, 8)
    assert len(split.id_cells((8,))) == len(split.ooc_cells((8,))) == 4
    assert split.to_dict()["declaration"]["require"] == {"novelty": 1}
    assert split.ooc_val_draws((8,)) == []
    assert RULES["count"]((4,), "ooc", split.to_dict())
    assert not RULES["count"]((4,), 0, split.to_dict())


def test_combinations_follow_labels_and_strangers_are_on_no_side() -> None:
    split = {"geometry": "binding", "values": 2, "ladder": [[0]], "ooc": [1]}
    labels = {"a": {"x": 0, "y": 1}, "b": {"z": 0, "w": 1}}
    keys, lists = ("a", "b"), (("y", "new", "x"), ("w", "z"))
    ids = combinations({**split, "labels": labels}, keys, lists, 0)
    assert ids == {("x", "z"), ("y", "w")}
    # Without labels a value counts by its place.
    assert ("y", "w") in combinations(split, keys, lists, 0)
    assert ("new", "z") in combinations(split, keys, lists, 0)


def test_binding_is_closed_under_exchange_and_novel_in_the_pair() -> None:
    split = BindingSplit(4, ((0, 1),), (3,))
    shape = (4, 4, 4, 4)
    ids, ooc = split.id_cells(shape), split.ooc_cells(shape)
    for side in (ids, ooc):
        assert {c[2:] + c[:2] for c in side.cells} == set(side.cells)
    assert ids.total_variation(ooc) == 0
    assert {novelty_order(ids, c) for c in ooc} == {2}
    rule, data = RULES["binding"], split.to_dict()
    for cell in product(range(4), repeat=4):
        assert rule(cell, 0, data) == (cell in ids)
        assert rule(cell, "ooc", data) == (cell in ooc)
