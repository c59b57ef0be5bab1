from __future__ import annotations

import inspect
import itertools
import tomllib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits import orbit as orbits
from recombine.renderer.splits import regions, search, special
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.geometry import (
    GEOMETRIES,
    Sides,
    beyond,
    box,
    check_factors,
    check_thresholds,
    check_values,
    equal_sizes,
    read_geometry,
    rest_is_id,
    rest_is_ooc,
)
from recombine.renderer.splits.parameters import Grid, Node
from tests.renderer.grid_schema import grid_schema

CUBE = Grid.of(grid_schema(4, 4, 4))
FOUR = Grid.of(grid_schema(3, 2, 3, 2))


def read(text: str, grid: Grid = CUBE) -> Sides:
    return read_geometry(Node(tomllib.loads(text), (), "split.toml"), grid)


# The parameters of every geometry as TOML, next to the call they stand for.
SAME: dict[str, tuple[str, Callable[[tuple[int, ...]], Sides]]] = {
    "orbit": ("residues = [0, 1]\nooc = [3]", lambda s: orbits.orbit(s, residues=[0, 1], ooc=[3])),
    "strength": (
        "residues = [0]\nfactors = ['a.f', 'c.f']",
        lambda s: orbits.strength_array(s, residues=[0], factors=[0, 2]),
    ),
    "pair-cyclic": (
        "factors = ['c.f', 'a.f']\nresidues = [0, 1]",
        lambda s: orbits.pair_cyclic(s, factors=(2, 0), residues=[0, 1]),
    ),
    "banded-pairs": (
        "bands = [{factors = ['a.f', 'b.f'], residues = [0, 1]}]",
        lambda s: orbits.banded_pairs(s, bands={(0, 1): [0, 1]}),
    ),
    "all-pairs-banded": (
        "residues = [0, 1]",
        lambda s: orbits.all_pairs_banded(s, residues=[0, 1]),
    ),
    "permutation": ("joined = 2", lambda s: regions.permutation(s, joined=2, seed=0)),
    "checkerboard": ("", lambda s: regions.checkerboard(s, block=1)),
    "leave-one-out": (
        "cell = ['a1', 'b2', 3]",
        lambda s: regions.leave_one_out(s, cell=(1, 2, 3)),
    ),
    "corner": (
        "thresholds = {'a.f' = 'a2', b.f = 3}",
        lambda s: regions.corner(s, thresholds={0: 2, 1: 3}),
    ),
    "orthotopic": (
        "at_most = 1\nthresholds = {'a.f' = 2, b.f = 'b2', c.f = 2}",
        lambda s: regions.orthotopic(s, thresholds={0: 2, 1: 2, 2: 2}, at_most=1),
    ),
    "recombination-to-range": (
        "held_out = {a.f = ['a1'], b.f = ['b2', 3]}",
        lambda s: regions.recombination_to_range(s, held_out={0: [1], 1: [2, 3]}),
    ),
    "recombination-to-element": (
        "held_out = {a.f = ['a1'], b.f = ['b2', 3], c.f = [0]}",
        lambda s: regions.recombination_to_element(s, held_out={0: [1], 1: [2, 3], 2: [0]}),
    ),
    "extrapolation": (
        "threshold = 'b2'\nfactor = 'b.f'",
        lambda s: regions.extrapolation(s, factor=1, threshold=2),
    ),
    "interpolation": (
        "factor = 'b.f'\ngap = ['b1']",
        lambda s: regions.interpolation(s, factor=1, gap=[1]),
    ),
    "count": (
        "factor = 'c.f'\nthreshold = 'c3'",
        lambda s: regions.count(s, factor=2, threshold=3),
    ),
    "cogent": (
        "noun = 'a.f'\ncolour = 'c.f'\nlists = {a0 = ['c0', 1], a1 = ['c2', 'c3']}",
        lambda s: special.cogent(s, noun=0, colour=2, lists={0: [0, 1], 1: [2, 3]}),
    ),
    "relation": (
        (
            "objects = ['a.f', 'b.f']\npredicate = 'c.f'\ninverse = ['c1', 'c0', 'c2', 'c3']\n"
            "held_out = [['a0', 'c0', 'b1']]"
        ),
        lambda s: special.relation(
            s, objects=(0, 1), predicate=2, inverse=(1, 0, 2, 3), held_out=[(0, 0, 1)]
        ),
    ),
    "binding": (
        "objects = [['a.f', 'b.f'], ['c.f', 'd.f']]\nheld_out = [[['a0', 'b0'], ['c1', 'd1']]]",
        lambda s: special.binding(s, objects=((0, 1), (2, 3)), held_out=[((0, 0), (1, 1))]),
    ),
    "diagonal-band": ("gap = 1", lambda s: regions.diagonal_band(s, gap=1)),
    "orthogonal-cross": (
        "anchors = [['a0', 'b0', 'c0'], [1, 1, 1]]",
        lambda s: regions.orthogonal_cross(s, anchors=[(0, 0, 0), (1, 1, 1)]),
    ),
    "random": (
        "fraction = 0.5\nseed = 1",
        lambda s: regions.random_hold_out(s, fraction=0.5, seed=1),
    ),
    "covering-array": ("strength = 2", lambda s: search.covering_array(s, strength=2)),
    "compound-divergence": (
        "fraction = 0.5\nsteps = 50",
        lambda s: search.compound_divergence(s, fraction=0.5, seed=0, steps=50),
    ),
}


def test_every_geometry_can_be_declared_with_all_its_parameters() -> None:
    assert GEOMETRIES.keys() == SAME.keys()
    for entry in GEOMETRIES.values():
        keywords = set(inspect.signature(entry.make).parameters) - {"shape"}
        assert set(entry.readers) == keywords
        assert entry.dial in keywords


@pytest.mark.parametrize("name", SAME)
def test_a_declaration_is_the_call_it_stands_for(name: str) -> None:
    text, call = SAME[name]
    grid = FOUR if name == "binding" else CUBE
    assert read(f"geometry = '{name}'\n{text}", grid) == call(grid.shape)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("banded-pairs", "bands = [{factors = ['a.f']}]", "the keys"),
        ("banded-pairs", "bands = [{factors = ['a.f'], residues = [0]}]", "2 factors"),
        (
            "banded-pairs",
            (
                "bands = [{factors = ['a.f', 'b.f'], residues = [0]},"
                " {factors = ['a.f', 'b.f'], residues = [1]}]"
            ),
            "'bands.1': expected each pair once",
        ),
        ("cogent", "noun = 'a.f'\ncolour = 'b.f'\nlists = {b0 = [0]}", "'lists.b0'.*one of the"),
        ("leave-one-out", "cell = [0, 0]", "one value for each of"),
        ("leave-one-out", "cell = [0, 0, 'a0']", "'cell.2': expected a value of 'c.f'"),
        ("extrapolation", "factor = 'z.f'\nthreshold = 1", "'factor': expected one of"),
        ("extrapolation", "factor = 'a.f'\nthreshold = 0", "thresholds from 1"),
        ("corner", "thresholds = {}", "'thresholds': expected a table with keys"),
        ("corner", "thresholds = {'a.f' = 1, a.f = 1}", "at most once"),
        ("strength", "residues = [0]\nfactors = ['a.f', 'a.f']", "distinct"),
        ("binding", "objects = [['a.f', 'b.f']]\nheld_out = []", "two objects"),
        (
            "binding",
            "objects = [['a.f', 'b.f'], ['c.f', 'a.f']]\nheld_out = [[[0, 0]]]",
            "two bindings",
        ),
    ],
)
def test_wrong_parameters_are_named(name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read(f"geometry = '{name}'\n{text}")


def test_a_table_without_a_geometry_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="with the key 'geometry'"):
        read("residues = [0]")


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
