from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits import orbit as orbits
from recombine.renderer.splits import regions
from recombine.renderer.splits.cells import CellSet, components, divergence, report, tuple_coverage
from recombine.renderer.splits.geometry import Sides
from recombine.renderer.splits.orbit import orbit_cells
from tests.renderer.grid_schema import novelty_order

SHAPES = st.sampled_from([(4, 4), (2, 4), (8, 8), (4, 8), (3, 3, 3), (6, 4, 2), (2, 2, 2, 2)])


@st.composite
def grids(draw: st.DrawFn) -> CellSet:
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    full = sorted(CellSet.full(shape).cells)
    return CellSet(shape, frozenset(draw(st.sets(st.sampled_from(full)))))


@st.composite
def orbit_sets(draw: st.DrawFn) -> CellSet:
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


@given(orbit_sets())
def test_orbit_marginals_are_exactly_uniform_inside_and_outside(ids: CellSet) -> None:
    for part in (ids, ids.complement()):
        if len(part):
            for position, size in enumerate(part.shape):
                assert set(part.marginal(position)) == {Fraction(1, size)}
    if len(ids.complement()):
        assert ids.total_variation(ids.complement()) == 0
    assert ids.coverage() == 1


@given(orbit_sets())
def test_orbit_holds_out_full_tuples_only(ids: CellSet) -> None:
    order = len(ids.shape)
    for cell in ids.complement():
        assert novelty_order(ids, cell) == order
    for cell in ids:
        assert novelty_order(ids, cell) == 0


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


SQUARE, CUBE, SPRITES = (10, 10), (8, 8, 8), (3, 6, 8, 8)
HALF, RIGHT = range(4, 8), range(4, 8)
LOW_HALF = {0: 4, 1: 4, 2: 4}

# Columns: ID %, coverage, total variation, atom divergence, two-way coverage, components, rank,
# mean and largest Hamming distance, as printed digits.
TABLE: dict[str, tuple[Callable[[], Sides], str]] = {
    "leave one out": (
        lambda: regions.leave_one_out(SQUARE, cell=(3, 7)),
        "99.0 1.00 0.909 0.698 0.99 1 19/19 1.00/1",
    ),
    "corner block 50 %": (
        lambda: regions.corner(SQUARE, thresholds={0: 5, 1: 5}),
        "75.0 1.00 0.667 0.423 0.75 1 19/19 1.00/1",
    ),
    "orthogonal cross": (
        lambda: regions.orthogonal_cross(SQUARE, anchors=[(0, 0)]),
        "19.0 1.00 0.526 0.312 0.19 1 19/19 1.00/1",
    ),
    "diagonal band, gap <= 1": (
        lambda: regions.diagonal_band(SQUARE, gap=1),
        "28.0 1.00 0.079 0.005 0.28 1 19/19 1.00/1",
    ),
    "diagonal band, gap <= 2": (
        lambda: regions.diagonal_band(SQUARE, gap=2),
        "44.0 1.00 0.146 0.014 0.44 1 19/19 1.00/1",
    ),
    "diagonal only": (
        lambda: regions.diagonal_band(SQUARE, gap=0),
        "10.0 1.00 0.000 0.000 0.10 10 10/19 1.00/1",
    ),
    "checkerboard": (
        lambda: regions.checkerboard(SQUARE),
        "50.0 1.00 0.000 0.000 0.50 2 18/19 1.00/1",
    ),
    "two blocks": (
        lambda: regions.checkerboard(SQUARE, block=5),
        "50.0 1.00 0.000 0.000 0.50 2 18/19 1.00/1",
    ),
    "permutation": (
        lambda: regions.permutation(SQUARE, joined=1),
        "10.0 1.00 0.000 0.000 0.10 10 10/19 1.00/1",
    ),
    "cyclic, 2 of 10": (
        lambda: orbits.orbit(SQUARE, residues=[0, 1]),
        "20.0 1.00 0.000 0.000 0.20 1 19/19 1.00/1",
    ),
    "cyclic, 5 of 10": (
        lambda: orbits.orbit(SQUARE, residues=range(5)),
        "50.0 1.00 0.000 0.000 0.50 1 19/19 1.00/1",
    ),
    "recombination to range": (
        lambda: regions.recombination_to_range(SPRITES, held_out={0: [1], 2: RIGHT}),
        "83.3 1.00 0.800 0.230 0.98 1 22/22 1.00/1",
    ),
    "recombination to element": (
        lambda: regions.recombination_to_element(SPRITES, held_out={0: [1], 2: RIGHT, 3: HALF}),
        "91.7 1.00 0.727 0.282 1.00 1 22/22 1.00/1",
    ),
    "orthotopic c = 0": (
        lambda: regions.orthotopic(CUBE, thresholds=LOW_HALF, at_most=0),
        "12.5 0.50 0.571 0.345 0.25 1 10/22 1.71/3",
    ),
    "orthotopic c = 1": (
        lambda: regions.orthotopic(CUBE, thresholds=LOW_HALF, at_most=1),
        "50.0 1.00 0.500 0.134 0.75 1 22/22 1.25/2",
    ),
    "orthotopic c = 2": (
        lambda: regions.orthotopic(CUBE, thresholds=LOW_HALF, at_most=2),
        "87.5 1.00 0.571 0.345 1.00 1 22/22 1.00/1",
    ),
    "sum mod 8 < 4": (
        lambda: orbits.strength_array(CUBE, residues=range(4)),
        "50.0 1.00 0.000 0.000 1.00 1 22/22 1.00/1",
    ),
    "pair cyclic, third free": (
        lambda: orbits.pair_cyclic(CUBE, factors=(0, 1), residues=range(4)),
        "50.0 1.00 0.000 0.000 0.83 1 22/22 1.00/1",
    ),
    # Widths 4, 4 and 6: one width for all pairs gives 15.6 % and 0.50 instead.
    "all pairs banded": (
        lambda: orbits.banded_pairs(
            CUBE, bands={(0, 1): range(4), (1, 2): range(4), (0, 2): range(6)}
        ),
        "23.4 1.00 0.000 0.000 0.58 1 22/22 1.02/2",
    ),
}


@pytest.mark.parametrize("row", TABLE)
def test_published_and_candidate_splits_have_the_measured_shift(row: str) -> None:
    make, expected = TABLE[row]
    split = make()
    r = report(split.id_cells, split.ooc_cells)
    assert (
        f"{100 * float(r.id_share):.1f} {float(r.coverage):.2f} {float(r.total_variation):.3f} "
        f"{r.atom_divergence:.3f} {float(r.pair_coverage):.2f} {r.components} "
        f"{r.rank}/{r.full_rank} {float(r.hamming_mean):.2f}/{r.hamming_max}"
    ) == expected


@st.composite
def halves(draw: st.DrawFn) -> tuple[CellSet, CellSet]:
    shape = draw(st.sampled_from([(3,), (3, 4), (2, 3, 2), (2, 2, 2, 2)]))
    part = st.sampled_from(["id", "ooc", "ignored"])
    parts = {c: draw(part) for c in sorted(CellSet.full(shape).cells)}
    ids, ooc = (CellSet.of(shape, [c for c in parts if parts[c] == p]) for p in ("id", "ooc"))
    assume(len(ids) and len(ooc))
    return ids, ooc


@settings(deadline=None)
@given(halves())
def test_novelty_and_distance_agree_with_their_definitions(pair: tuple[CellSet, CellSet]) -> None:
    ids, ooc = pair
    found = report(ids, ooc)
    orders = [novelty_order(ids, c) for c in ooc]
    assert found.novelty == tuple((o, orders.count(o)) for o in sorted(set(orders)))
    near = [min(sum(a != b for a, b in zip(c, i, strict=True)) for i in ids) for c in ooc]
    assert found.hamming_mean == Fraction(sum(near), len(near))
    assert found.hamming_max == max(near)


@settings(deadline=None)
@given(halves())
def test_figures_stay_in_range_and_shares_add_up(pair: tuple[CellSet, CellSet]) -> None:
    ids, ooc = pair
    found = report(ids, ooc)
    grid = math.prod(ids.shape)
    assert found.id_share + found.ooc_share == Fraction(len(ids | ooc), grid)
    for share in (found.coverage, found.total_variation, found.pair_coverage):
        assert 0 <= share <= 1
    assert 0 <= found.atom_divergence <= 1
    assert 0 <= found.compound_divergence <= 1
    assert (found.total_variation == 0) == (found.atom_divergence < 1e-12)


@settings(deadline=None)
@given(halves())
def test_components_agree_with_flooding(pair: tuple[CellSet, CellSet]) -> None:
    ids, _ = pair
    left = [frozenset(enumerate(c)) for c in ids]
    groups: list[frozenset[tuple[int, int]]] = []
    for cell in left:
        touching = [g for g in groups if g & cell]
        groups = [g for g in groups if not g & cell] + [cell.union(*touching)]
    assert components(ids) == len(groups)


@settings(deadline=None)
@given(halves())
def test_two_factors_are_connected_exactly_at_full_rank(pair: tuple[CellSet, CellSet]) -> None:
    ids, ooc = pair
    found = report(ids, ooc)
    if len(ids.shape) == 2:
        assert (found.rank == found.full_rank) == (found.components == 1 and found.coverage == 1)


def test_pairs_are_counted_over_all_choices_of_two_factors() -> None:
    ids = CellSet.of((2, 2, 2), [(0, 0, 0), (0, 1, 1)])
    seen = {(i, j, c[i], c[j]) for c in ids for i, j in itertools.combinations(range(3), 2)}
    assert tuple_coverage(ids, order=2) == Fraction(len(seen), 12)
    assert tuple_coverage(ids, order=3) == Fraction(2, 8)
    assert tuple_coverage(ids, order=9) == Fraction(2, 8)


def test_compounds_are_all_new_when_no_pair_is_shared() -> None:
    ids = CellSet.of((2, 2), [(0, 0), (1, 1)])
    assert divergence(ids, ids.complement(), order=2, alpha=0.1) == 1.0
    assert divergence(ids, ids, order=2, alpha=0.1) == pytest.approx(0, abs=1e-12)


def test_report_is_plain_and_readable() -> None:
    split = regions.corner((4, 4), thresholds={0: 2, 1: 2})
    found = report(split.id_cells, split.ooc_cells)
    assert found.to_dict()["total_variation"] == "2/3"
    assert found.to_dict()["novelty"] == {"2": 4}
    text = "\n".join(found.lines())
    assert "TV 0.667" in text
    assert "order 2: 4" in text
    assert "rank 7/7" in text


def test_sides_that_overlap_or_are_empty_are_refused() -> None:
    full = CellSet.full((2, 2))
    for ids, ooc in ((full, full), (full, full - full), (full - full, full)):
        with pytest.raises(InvalidInputError, match="non-empty and disjoint"):
            report(ids, ooc)
