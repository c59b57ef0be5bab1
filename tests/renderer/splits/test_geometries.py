from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits import orbit as orbits
from recombine.renderer.splits import regions, search, special
from recombine.renderer.splits.cells import Cell, CellSet, report, tuple_coverage
from recombine.renderer.splits.geometry import GEOMETRIES, Sides
from recombine.renderer.splits.orbit import orbit_cells

# Sizes with a common divisor, as every orbit needs them.
SHAPES = st.integers(2, 4).flatmap(
    lambda d: st.lists(st.integers(1, 3).map(lambda n: n * d), min_size=2, max_size=3).map(tuple)
)


def some(data: st.DataObject, size: int) -> list[int]:
    """Draw some, but not all, of 0..size-1."""
    values = st.sets(st.integers(0, size - 1), min_size=1, max_size=size - 1)
    return sorted(data.draw(values))


def orbit(shape: tuple[int, ...], data: st.DataObject) -> Sides:
    return orbits.orbit(shape, residues=some(data, math.gcd(*shape)))


def strength(shape: tuple[int, ...], data: st.DataObject) -> Sides:
    return orbits.strength_array(shape, residues=some(data, math.gcd(*shape)))


def pair_cyclic(shape: tuple[int, ...], data: st.DataObject) -> Sides:
    pair = tuple(data.draw(st.permutations(range(len(shape))))[:2])
    return orbits.pair_cyclic(
        shape, factors=pair, residues=some(data, math.gcd(*(shape[f] for f in pair)))
    )


def bands(shape: tuple[int, ...], data: st.DataObject) -> Sides:
    # One pair has at least one residue and not all, so neither side can be empty.
    return orbits.banded_pairs(shape, bands={(1, 0): some(data, math.gcd(*shape))})


def all_pairs(shape: tuple[int, ...], data: st.DataObject) -> Sides:
    residues = {0, *some(data, math.gcd(*shape))}
    return orbits.all_pairs_banded(shape, residues=residues - {math.gcd(*shape) - 1})


def permutation(shape: tuple[int, ...], data: st.DataObject) -> Sides:
    joined = data.draw(st.integers(1, shape[0] - 1))
    seed = data.draw(st.integers(0, 9))
    return regions.permutation((shape[0],) * len(shape), joined=joined, seed=seed)


def closed_by_shifts(shape: tuple[int, ...], data: st.DataObject) -> Sides:
    cell = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    ids = orbits.shift_closure(CellSet.of(shape, [cell]))
    return Sides("shifts", ids, ids.complement(), "")


def checkerboard(shape: tuple[int, ...], data: st.DataObject) -> Sides:
    block = data.draw(st.integers(1, 2))
    return regions.checkerboard(tuple(2 * block * min(n, 2) for n in shape), block=block)


BALANCED = [
    orbit,
    strength,
    pair_cyclic,
    bands,
    all_pairs,
    permutation,
    closed_by_shifts,
    checkerboard,
]


@pytest.mark.parametrize("family", BALANCED)
@settings(deadline=None)
@given(SHAPES, st.data())
def test_balanced_families_have_exactly_uniform_marginals(
    family: Callable[..., Sides], shape: tuple[int, ...], data: st.DataObject
) -> None:
    split = family(shape, data)
    for side in (split.id_cells, split.ooc_cells):
        for position, size in enumerate(side.shape):
            assert set(side.marginal(position)) == {Fraction(1, size)}
    assert split.id_cells.total_variation(split.ooc_cells) == 0


# One valid call per geometry, on a grid of 4 x 4 x 4 where sizes do not matter.
CUBE = (4, 4, 4)
EXAMPLES: dict[str, Callable[[], Sides]] = {
    "orbit": lambda: orbits.orbit(CUBE, residues=[0, 1], ooc=[3]),
    "strength": lambda: orbits.strength_array(CUBE, residues=[0, 1], factors=[0, 2]),
    "pair-cyclic": lambda: orbits.pair_cyclic(CUBE, factors=(2, 0), residues=[0, 1]),
    "banded-pairs": lambda: orbits.banded_pairs(CUBE, bands={(0, 1): [0, 1], (1, 2): [0, 1]}),
    "all-pairs-banded": lambda: orbits.all_pairs_banded(CUBE, residues=[0, 1]),
    "permutation": lambda: regions.permutation(CUBE, joined=2, seed=3),
    "checkerboard": lambda: regions.checkerboard(CUBE, block=2),
    "leave-one-out": lambda: regions.leave_one_out(CUBE, cell=(1, 2, 3)),
    "corner": lambda: regions.corner(CUBE, thresholds={0: 2, 1: 3}),
    "orthotopic": lambda: regions.orthotopic(CUBE, thresholds={0: 2, 1: 2, 2: 2}, at_most=1),
    "recombination-to-range": lambda: regions.recombination_to_range(
        CUBE, held_out={0: [1], 1: [2, 3]}
    ),
    "recombination-to-element": lambda: regions.recombination_to_element(
        CUBE, held_out={0: [1], 1: [2, 3], 2: [0]}
    ),
    "extrapolation": lambda: regions.extrapolation(CUBE, factor=1, threshold=2),
    "interpolation": lambda: regions.interpolation(CUBE, factor=1, gap=[1, 2]),
    "count": lambda: regions.count(CUBE, factor=2, threshold=3),
    "cogent": lambda: special.cogent(CUBE, noun=0, colour=2, lists={0: [0, 1], 1: [2, 3]}),
    "relation": lambda: special.relation(
        CUBE, objects=(0, 1), predicate=2, inverse=(1, 0, 2, 3), held_out=[(0, 0, 1)]
    ),
    "binding": lambda: special.binding(
        (3, 2, 3, 2), objects=((0, 1), (2, 3)), held_out=[((0, 0), (1, 1))]
    ),
    "diagonal-band": lambda: regions.diagonal_band(CUBE, gap=1),
    "orthogonal-cross": lambda: regions.orthogonal_cross(CUBE, anchors=[(0, 0, 0), (1, 1, 1)]),
    "random": lambda: regions.random_hold_out(CUBE, fraction=0.5, seed=1),
    "covering-array": lambda: search.covering_array(CUBE, strength=2),
    "compound-divergence": lambda: search.compound_divergence(CUBE, fraction=0.5, steps=300),
}


def test_every_geometry_has_an_example() -> None:
    assert EXAMPLES.keys() == GEOMETRIES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_sides_are_disjoint_named_sourced_and_reproducible(name: str) -> None:
    split = EXAMPLES[name]()
    assert split.name == name
    assert split.source
    assert not len(split.id_cells & split.ooc_cells)
    everything = split.id_cells | split.ooc_cells | split.ignored
    assert everything == CellSet.full(split.shape)
    assert EXAMPLES[name]() == split


def test_only_the_orbit_with_chosen_ooc_ignores_cells() -> None:
    ignoring = [n for n in EXAMPLES if len(EXAMPLES[n]().ignored)]
    assert ignoring == ["orbit"]


LADDERS: dict[str, list[Sides]] = {
    "random": [regions.random_hold_out(CUBE, fraction=f, seed=4) for f in (0.2, 0.5, 0.8)],
    "permutation": [regions.permutation(CUBE, joined=j) for j in (1, 2, 3)],
    "orthotopic": [
        regions.orthotopic(CUBE, thresholds={0: 2, 1: 2, 2: 2}, at_most=c) for c in (0, 1, 2)
    ],
    "diagonal": [regions.diagonal_band(CUBE, gap=d) for d in (0, 1, 2)],
    "orbit": [orbits.orbit(CUBE, residues=range(n)) for n in (1, 2, 3)],
}


@pytest.mark.parametrize("name", LADDERS)
def test_dials_nest_the_id_cells(name: str) -> None:
    for narrow, wide in itertools.pairwise(LADDERS[name]):
        assert narrow.id_cells <= wide.id_cells
        assert len(narrow.id_cells) < len(wide.id_cells)


@pytest.mark.parametrize("factors", [*itertools.combinations(range(4), 3), (0, 1)])
def test_strength_array_holds_out_tuples_of_one_order_only(factors: tuple[int, ...]) -> None:
    split = orbits.strength_array((4, 2, 4, 2), residues=[1], factors=factors)
    order = len(factors)
    found = report(split.id_cells, split.ooc_cells)
    assert found.novelty == ((order, len(split.ooc_cells)),)
    for side in (split.id_cells, split.ooc_cells):
        for chosen in itertools.combinations(range(4), order - 1):
            counts = Counter(tuple(c[f] for f in chosen) for c in side)
            assert len(set(counts.values())) == 1


def test_orbit_reuses_the_signed_sum() -> None:
    split = orbits.orbit((4, 8), residues=[0, 1], ooc=[3])
    assert split.id_cells == orbit_cells((4, 8), [0, 1])
    assert split.ignored == orbit_cells((4, 8), [2])


def test_random_membership_survives_a_new_value() -> None:
    small = regions.random_hold_out((4, 4), fraction=0.5, seed=0)
    large = regions.random_hold_out((6, 4), fraction=0.5, seed=0)
    assert small.id_cells.cells == {c for c in large.id_cells if c[0] < 4}
    assert regions.random_hold_out((4, 4), fraction=0.5, seed=1) != small


def test_random_share_scatters_around_the_fraction() -> None:
    shares = [
        len(regions.random_hold_out((8, 8), fraction=0.25, seed=s).id_cells) / 64 for s in range(60)
    ]
    assert abs(sum(shares) / 60 - 0.25) < 0.03


def test_sparse_random_draws_seldom_show_every_value() -> None:
    # Inclusion and exclusion over empty rows and columns gives 0.5 % at 1/8 and 23 % at 1/4.
    covered = {
        fraction: sum(
            regions.random_hold_out((8, 8), fraction=fraction, seed=s).id_cells.coverage() == 1
            for s in range(200)
        )
        for fraction in (0.125, 0.25)
    }
    assert covered[0.125] <= 4
    assert 28 <= covered[0.25] <= 63


@settings(deadline=None)
@given(st.integers(2, 9), st.data())
def test_orbits_connect_when_their_differences_generate(n: int, data: st.DataObject) -> None:
    residues = some(data, n)
    rank, full = orbits.orbit((n, n), residues=residues).id_cells.additive_rank()
    steps = math.gcd(n, *(r - residues[0] for r in residues))
    assert (rank == full) == (steps == 1)
    assert full - rank == steps - 1


def test_cogent_is_that_of_clevr() -> None:
    cube, cylinder, sphere = range(3)
    split = special.cogent((3, 8), noun=0, colour=1, lists={cube: range(4), cylinder: range(4, 8)})
    assert {c for c in split.ooc_cells if c[0] == cube} == {(cube, v) for v in range(4, 8)}
    assert {c for c in split.ooc_cells if c[0] == cylinder} == {(cylinder, v) for v in range(4)}
    assert {(sphere, v) for v in range(8)} <= split.id_cells.cells
    assert split.id_cells.coverage() == 1


def test_relation_holds_out_both_readings() -> None:
    split = EXAMPLES["relation"]()
    assert split.ooc_cells.cells == {(0, 1, 0), (1, 0, 1)}


def test_binding_is_symmetric_and_keeps_the_bag_in_id() -> None:
    split = EXAMPLES["binding"]()
    assert split.ooc_cells.cells == {(0, 0, 1, 1), (1, 1, 0, 0)}
    for a, r, b, s in split.ooc_cells:
        assert (a, s, b, r) in split.id_cells


def test_element_keeps_every_pair_and_range_does_not() -> None:
    assert tuple_coverage(EXAMPLES["recombination-to-element"]().id_cells, order=2) == 1
    assert tuple_coverage(EXAMPLES["recombination-to-range"]().id_cells, order=2) < 1


@settings(deadline=None)
@given(st.lists(st.integers(2, 4), min_size=2, max_size=4), st.data())
def test_covering_array_shows_every_tuple(sizes: list[int], data: st.DataObject) -> None:
    t = data.draw(st.integers(1, len(sizes) - 1))
    split = search.covering_array(sizes, strength=t)
    assert tuple_coverage(split.id_cells, order=t) == 1
    largest = math.prod(sorted(sizes)[-t:])
    assert largest <= len(split.id_cells) < math.prod(sizes)


def test_search_raises_compounds_within_the_atom_limit() -> None:
    found = []
    for steps in (0, 600):
        split = search.compound_divergence((6, 6, 6), fraction=0.5, steps=steps)
        found.append(report(split.id_cells, split.ooc_cells))
    assert all(f.atom_divergence <= 0.02 for f in found)
    assert found[1].compound_divergence > found[0].compound_divergence + 0.01


def test_permutation_has_one_cell_per_row_and_column() -> None:
    found = list(regions.permutation((5, 5), joined=1, seed=2).id_cells)
    assert sorted(a for a, _ in found) == sorted(b for _, b in found) == list(range(5))
    assert found != list(regions.permutation((5, 5), joined=1, seed=3).id_cells)


@settings(deadline=None)
@given(st.sets(st.tuples(*[st.integers(0, 2)] * 3), min_size=1))
def test_shift_closure_is_the_smallest_invariant_superset(few: set[Cell]) -> None:
    closed = orbits.shift_closure(CellSet.of((3, 3, 3), few))
    assert CellSet.of((3, 3, 3), few) <= closed
    assert {tuple((v + 1) % 3 for v in c) for c in closed} == closed.cells
    differences = {((c[1] - c[0]) % 3, (c[2] - c[0]) % 3) for c in few}
    assert len(closed) == 3 * len(differences)


@settings(deadline=None)
@given(st.sets(st.tuples(*[st.integers(0, 2)] * 3), min_size=1), st.permutations(range(3)))
def test_permutation_closure_is_symmetric(few: set[Cell], order: list[int]) -> None:
    closed = CellSet.of((3, 3, 3), few).permutation_closure(range(3))
    assert {tuple(c[p] for p in order) for c in closed} == closed.cells
    assert {tuple(sorted(c)) for c in closed} == {tuple(sorted(c)) for c in few}


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("thresholds from 1", lambda: regions.corner(CUBE, thresholds={})),
    ("thresholds from 1", lambda: regions.corner(CUBE, thresholds={0: 4})),
    ("distinct factor positions", lambda: regions.corner(CUBE, thresholds={3: 1})),
    ("non-empty", lambda: regions.orthotopic(CUBE, thresholds={0: 2}, at_most=1)),
    ("a box on 2 factors", lambda: regions.recombination_to_range(CUBE, held_out={0: [1]})),
    (
        "a box on 3 to 4",
        lambda: regions.recombination_to_element((2,) * 4, held_out={0: [1], 1: [1]}),
    ),
    (
        "leaves each a value outside",
        lambda: regions.recombination_to_range(CUBE, held_out={0: [1], 1: range(4)}),
    ),
    (
        "some values of factor 1",
        lambda: regions.recombination_to_range(CUBE, held_out={0: [1], 1: [9]}),
    ),
    ("thresholds from 1", lambda: regions.extrapolation(CUBE, factor=0, threshold=0)),
    ("interior values", lambda: regions.interpolation(CUBE, factor=0, gap=[0])),
    ("distinct factor positions", lambda: special.cogent(CUBE, noun=0, colour=0, lists={0: [1]})),
    ("some values of factor 0", lambda: special.cogent(CUBE, noun=0, colour=1, lists={7: [1]})),
    ("equally many values", lambda: regions.diagonal_band((3, 4), gap=1)),
    ("non-empty", lambda: regions.diagonal_band(CUBE, gap=3)),
    ("non-empty", lambda: regions.orthogonal_cross(CUBE, anchors=[])),
    ("grid of shape", lambda: regions.orthogonal_cross(CUBE, anchors=[(9, 9, 9)])),
    ("between 0 and 1", lambda: regions.random_hold_out(CUBE, fraction=1.0, seed=0)),
    ("between 0 and 1", lambda: regions.random_hold_out(CUBE, fraction=math.nan, seed=0)),
    ("fits twice", lambda: regions.checkerboard((4, 6), block=2)),
    ("fits twice", lambda: regions.checkerboard(CUBE, block=0)),
    ("non-empty", lambda: regions.permutation(CUBE, joined=4)),
    ("share 16", lambda: orbits.orbit(CUBE, residues=[0], ooc=[0])),
    ("two or more factors", lambda: orbits.strength_array(CUBE, residues=[0], factors=[1])),
    ("distinct factor positions", lambda: orbits.pair_cyclic(CUBE, factors=(1, 1), residues=[0])),
    ("common divisor", lambda: orbits.all_pairs_banded((3, 4), residues=[0])),
    ("residues in 0..3", lambda: orbits.banded_pairs(CUBE, bands={(0, 1): [4]})),
    ("a strength in 1..2", lambda: search.covering_array(CUBE, strength=3)),
    ("between 0 and 1", lambda: search.compound_divergence(CUBE, fraction=0)),
    ("both sides", lambda: search.compound_divergence((2, 2), fraction=0.01)),
    ("atom divergence", lambda: search.compound_divergence((3, 3), fraction=0.12, steps=5)),
    (
        "an inverse for every relation",
        lambda: special.relation(
            CUBE, objects=(0, 1), predicate=2, inverse=(1, 2, 0, 3), held_out=[(0, 0, 1)]
        ),
    ),
    (
        "whose swap is ID",
        lambda: special.binding(
            (2, 2, 2, 2),
            objects=((0, 1), (2, 3)),
            held_out=[((0, 0), (1, 1)), ((0, 1), (1, 0))],
        ),
    ),
]


@pytest.mark.parametrize(("expected", "call"), REFUSED)
def test_impossible_parameters_are_typed_errors(expected: str, call: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        call()
