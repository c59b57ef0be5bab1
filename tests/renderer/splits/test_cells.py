from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.orbit import orbit_cells

SHAPES = st.sampled_from([(4, 4), (2, 4), (8, 8), (4, 8), (3, 3, 3), (6, 4, 2), (2, 2, 2, 2)])


@st.composite
def grids(draw: st.DrawFn) -> CellSet:
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    full = sorted(CellSet.full(shape).cells)
    return CellSet(shape, frozenset(draw(st.sets(st.sampled_from(full)))))


@st.composite
def orbits(draw: st.DrawFn) -> CellSet:
    shape = draw(SHAPES)
    residues = draw(st.sets(st.integers(0, math.gcd(*shape) - 1), min_size=1))
    return orbit_cells(shape, residues)


@given(grids(), st.data())
def test_algebra_agrees_with_plain_sets(a: CellSet, data: st.DataObject) -> None:
    other = data.draw(st.sets(st.sampled_from(sorted(CellSet.full(a.shape).cells))))
    b = CellSet(a.shape, frozenset(other))
    assert (a | b).cells == a.cells | b.cells
    assert (a & b).cells == a.cells & b.cells
    assert (a - b).cells == a.cells - b.cells
    assert len(a) + len(a.complement()) == math.prod(a.shape)
    assert (a <= b) == (a.cells <= b.cells)


@given(grids())
def test_marginals_are_counted_exactly(a: CellSet) -> None:
    for position in range(len(a.shape)):
        marginal = a.marginal(position)
        for value, share in enumerate(marginal):
            count = sum(c[position] == value for c in a.cells)
            assert share == Fraction(count, max(len(a), 1))


@given(orbits())
def test_orbit_marginals_are_exactly_uniform_inside_and_outside(ids: CellSet) -> None:
    for part in (ids, ids.complement()):
        if len(part):
            for position, size in enumerate(part.shape):
                assert set(part.marginal(position)) == {Fraction(1, size)}
    if len(ids.complement()):
        assert ids.total_variation(ids.complement()) == 0
    assert ids.coverage() == 1


@given(orbits())
def test_orbit_holds_out_full_tuples_only(ids: CellSet) -> None:
    order = len(ids.shape)
    for cell in ids.complement():
        assert ids.novelty_order(cell) == order
    for cell in ids:
        assert ids.novelty_order(cell) == 0


@given(grids())
def test_rank_is_connectivity_for_two_factors(a: CellSet) -> None:
    rank, _ = a.additive_rank()
    label = {("row", v): i for i, v in enumerate(range(a.shape[0]))}
    label |= {("column", v): 100 + v for v in range(a.shape[1])}
    for row, column in a.cells:
        old, new = label["column", column], label["row", row]
        label = {k: new if v == old else v for k, v in label.items()}
    seen = {label["row", r] for r, _ in a.cells}
    values = len({r for r, _ in a.cells}) + len({c for _, c in a.cells})
    assert rank == values - len(seen)


def test_two_adjacent_residues_connect_one_does_not() -> None:
    assert orbit_cells((4, 4), [0, 1]).additive_rank() == (7, 7)
    assert orbit_cells((4, 4), [0]).additive_rank() == (4, 7)
    assert orbit_cells((4, 4), [0, 2]).additive_rank() == (6, 7)  # residues 0 and 2 generate 2Z


def test_permutation_closure_is_smallest_symmetric_superset() -> None:
    one = CellSet.of((3, 3, 2), [(0, 1, 0), (2, 2, 1)])
    closed = one.permutation_closure([0, 1])
    assert closed.cells == {(0, 1, 0), (1, 0, 0), (2, 2, 1)}
    assert closed.permutation_closure([0, 1]) == closed
    with pytest.raises(InvalidInputError, match="equally many"):
        one.permutation_closure([0, 2])


def test_product_and_where() -> None:
    a, b = CellSet.of((2,), [(0,)]), CellSet.full((3,))
    assert a.product(b).cells == {(0, 0), (0, 1), (0, 2)}
    assert b.where(lambda c: c[0] > 0).cells == {(1,), (2,)}
    assert (0, 1) in a.product(b)
    assert list(a.product(b)) == [(0, 0), (0, 1), (0, 2)]


def test_strength_two_array_keeps_pairs_uniform() -> None:
    ids = orbit_cells((4, 4, 4), [0, 1])
    for pair in itertools.combinations(range(3), 2):
        counts = np.zeros((4, 4), int)
        for cell in ids:
            counts[cell[pair[0]], cell[pair[1]]] += 1
        assert len(np.unique(counts)) == 1


def test_errors_name_what_came() -> None:
    with pytest.raises(InvalidInputError, match=r"grid of shape \(2, 2\); got \(0, 5\)"):
        CellSet.of((2, 2), [(0, 5)])
    with pytest.raises(InvalidInputError, match="common divisor"):
        orbit_cells((3, 4), [0])
    with pytest.raises(InvalidInputError, match="share one grid"):
        CellSet.full((2, 2)) | CellSet.full((2, 3))
