from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.certificate.membership import RULES, combinations, law
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import drawn_total_variation
from recombine.renderer.splits.special import (
    INVERSE,
    BandSplit,
    BindingSplit,
    CountSplit,
    RelationSplit,
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


@pytest.mark.parametrize("n", [4, 8, 16])
def test_relation_is_uniform_and_closed_under_the_other_reading(n: int) -> None:
    split = RelationSplit(
        n, (tuple(range(n // 2)), tuple(range(3 * n // 4))), tuple(range(3 * n // 4, n))
    )
    shape = (n, 4, n)
    sides = [split.id_cells(shape, 0), split.id_cells(shape, 1), split.ooc_cells(shape)]
    for side in sides:
        assert {(c, INVERSE[r], a) for a, r, c in side.cells} == set(side.cells)
    assert all(s.total_variation(sides[-1]) == 0 for s in sides)
    assert {novelty_order(sides[0], c) for c in sides[-1]} == {3}
    rule, data = RULES["relation"], split.to_dict()
    for cell in product(range(n), range(4), range(n)):
        assert rule(cell, 1, data) == (cell in sides[1])
        assert rule(cell, "ooc", data) == (cell in sides[2])


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
