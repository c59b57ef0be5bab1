from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.certificate.counting import (
    ID_TRAIN,
    by_cell,
    cells_of,
    exchanges,
    largest_seen,
    nearest,
    nuisance_vectors,
    seen_tuples,
    smallest_unseen,
    total_variation,
)
from recombine.renderer.splits.cells import CellSet
from tests.renderer.evidence_fixture import evidence_of, small
from tests.renderer.grid_schema import novelty_order

CELLS = st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=12)


@given(CELLS, st.tuples(*[st.integers(0, 2)] * 3))
def test_novelty_of_the_checker_is_that_of_the_planner(
    members: list[tuple[int, ...]], cell: tuple[int, ...]
) -> None:
    seen = seen_tuples(np.array(members))
    assert smallest_unseen(cell, seen) == novelty_order(CellSet.of((3, 3, 3), members), cell)
    nearest_member = max(sum(a == b for a, b in zip(m, cell, strict=True)) for m in members)
    assert largest_seen(cell, seen) == nearest_member


@given(st.lists(st.integers(0, 3), min_size=1), st.lists(st.integers(0, 3), min_size=1))
def test_total_variation_is_a_distance_of_laws(a: list[int], b: list[int]) -> None:
    shift = total_variation(np.array(a), np.array(b))
    assert shift == total_variation(np.array(b), np.array(a))
    assert 0 <= shift <= 1
    assert total_variation(np.array(a), np.array(a * 3)) == 0
    assert total_variation(np.array(a), np.array([9])) == Fraction(1)


@pytest.mark.parametrize(
    ("name", "cell", "swapped"),
    [
        ("object-object", (2, 5), (5, 2)),
        ("position-band", (0, 3), (3, 0)),
        ("relation", (1, 2, 3), (3, 3, 1)),
    ],
)
def test_exchange_of_objects(name: str, cell: tuple[int, ...], swapped: tuple[int, ...]) -> None:
    (swap,) = exchanges(evidence_of(small(name)))
    assert swap(cell) == swapped
    assert swap(swapped) == cell


@pytest.mark.parametrize("name", ["smoke", "four-slot", "count", "object-light"])
def test_one_object_or_one_scene_has_no_exchange(name: str) -> None:
    assert exchanges(evidence_of(small(name))) == []


def test_rows_are_grouped_by_cell_and_level() -> None:
    e = evidence_of(small("interaction-ladder"))
    train = np.flatnonzero(e.split(ID_TRAIN))
    groups = by_cell(e, train)
    assert len(groups) == 4 * len(cells_of(e, train))
    assert sorted(r for rows in groups.values() for r in rows) == train.tolist()


def test_nuisance_vectors_are_blocks_and_none_is_near_another() -> None:
    e = evidence_of(small("object-object"))
    vectors = nuisance_vectors(e)
    for block in set(e.columns["block"].tolist()):
        assert len(set(vectors[e.columns["block"] == block])) == 1
    train = e.split(ID_TRAIN)
    gap = nearest(e, train, ~train)
    assert gap is not None
    assert gap.gap > 0
    assert gap.chance > 1e-3
    same = nearest(e, train, train)
    assert same is not None
    assert same.gap == same.chance == 0
    assert nearest(e, train, np.zeros(len(train), bool)) is None
