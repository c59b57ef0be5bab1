from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import Preset, load_preset, with_split
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.declaration import (
    JUDGES,
    LARGEST_FILE,
    DeclaredSplit,
    check_requirements,
    declare,
    dump,
    load_split,
)
from recombine.renderer.splits.expressions import BASES, STEPS
from recombine.renderer.splits.geometry import GEOMETRIES, SPLITS, Sizes
from recombine.renderer.splits.orbit import OrbitSplit, orbit
from recombine.renderer.splits.parameters import Grid, Node
from recombine.renderer.splits.regions import corner, diagonal_band, orthotopic
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset
from tests.renderer.grid_schema import grid_schema

SMOKE = load_preset("smoke").schema
TWO, THREE = grid_schema(4, 4), grid_schema(4, 4, 4)

ORBIT = """\
# Two rungs and one OOC set.
geometry = "orbit"
ladder = [
  [0, 1],
  [0, 1, 2],
]
ooc = [3]

[require]
coverage = 1
marginal_tv = 0
rank = "full"
connected = true
novelty = 2
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "split.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_declared_orbit_is_the_orbit_split(tmp_path: Path) -> None:
    split = load_split(written(tmp_path, ORBIT), SMOKE)
    twin = OrbitSplit(ladder=((0, 1), (0, 1, 2)), ooc=(3,))
    assert split.geometry == "orbit"
    assert len(split.ladder) == len(twin.ladder)
    for rung in range(2):
        assert split.id_cells((4, 4), rung) == twin.id_cells((4, 4), rung)
    assert split.ooc_cells((4, 4)) == twin.ooc_cells((4, 4))


def test_sizes_take_a_declared_split(tmp_path: Path) -> None:
    split = load_split(written(tmp_path, ORBIT), SMOKE)
    blocks = Sizes(train=6, val=1, test=1).rung_blocks(split, (4, 4))  # type: ignore[arg-type]
    assert blocks == (6, 4)


def test_a_plan_takes_a_declared_split(tmp_path: Path) -> None:
    split = load_split(written(tmp_path, ORBIT), SMOKE)
    sizes = Sizes(train=3, val=1, test=1)
    plan = make_plan(replace(load_preset("smoke"), split=split, sizes=sizes))  # type: ignore[arg-type]
    codes = np.stack([plan.latents[k] for k in SMOKE.recombined], axis=1)
    shown = {part: set(map(tuple, codes[plan.split == n])) for n, part in enumerate(SPLITS)}
    assert shown["ooc_test"] == split.held_out.cells
    assert shown["id_test"] == split.ladder[0].cells
    for rung, ids in enumerate(split.ladder):
        assert set(map(tuple, codes[(plan.rungs >> rung & 1).astype(bool)])) == ids.cells
    assert DeclaredSplit.from_dict(plan.config["split"], plan.schema) == split


def test_factors_are_those_of_the_schema_or_of_the_geometry() -> None:
    pair = {"geometry": "pair-cyclic", "factors": ["c.f", "a.f"], "residues": [0, 1]}
    found = declare(pair, THREE).ladder[0]
    assert found.cells == {c for c in CellSet.full((4, 4, 4)) if (c[0] - c[2]) % 4 in (0, 1)}
    strength = {"geometry": "strength", "residues": [0]}
    every = declare({**strength, "factors": ["a.f", "b.f", "c.f"]}, THREE)
    assert every.ladder == declare(strength, THREE).ladder
    with pytest.raises(InvalidInputError, match=r"key 'factors': .*in this order"):
        declare({"geometry": "orbit", "residues": [0], "factors": ["a.f", "b.f"]}, THREE)


def test_names_and_codes_mean_the_same(tmp_path: Path) -> None:
    by_name = (
        'geometry = "corner"\nthresholds = {object.shape = "star", background.environment = 2}'
    )
    by_code = 'geometry = "corner"\nthresholds = {"object.shape" = 2, "background.environment" = 2}'
    named, coded = (load_split(written(tmp_path, t), SMOKE) for t in (by_name, by_code))
    assert named.held_out == coded.held_out
    assert named.held_out.cells == {(2, 2), (2, 3), (3, 2), (3, 3)}


@pytest.mark.parametrize(
    "declaration",
    [
        {"geometry": "orbit", "ladder": [[0, 1], [0, 1, 2]], "ooc": [3]},
        {"geometry": "orthotopic", "ladder": [0, 1], "thresholds": {"a.f": 2, "b.f": "b2"}},
        {"geometry": "random", "fraction": 0.5, "seed": 3},
        {"geometry": "diagonal-band", "ladder": [0, 1, 2], "require": {"coverage": 1}},
        {"id": {"where": {"a.f": {"at_most": "a1"}}}, "factors": ["a.f", "b.f"]},
        {
            "geometry": "algebra",
            "ladder": [{"cells": [["a0", 0]]}, {"cells": [["a0", 0], [1, 1]]}],
            "ooc": {"cells": [[3, 3]]},
        },
    ],
)
def test_round_trips(tmp_path: Path, declaration: dict[str, Any]) -> None:
    split = declare(declaration, TWO)
    assert load_split(written(tmp_path, dump(split.declaration)), TWO) == split
    stored = json.loads(json.dumps(split.to_dict()))
    assert DeclaredSplit.from_dict(stored, TWO) == split
    assert [r["cells"] for r in stored["ladder"]] == [len(c) for c in split.ladder]


def test_every_rung_shares_the_cells_that_no_rung_shows() -> None:
    split = declare({"geometry": "diagonal-band", "ladder": [0, 1]}, TWO)
    assert split.held_out == split.ladder[-1].complement()
    narrow = declare({"geometry": "diagonal-band", "gap": 0}, TWO)
    assert narrow.ladder[0] == split.ladder[0]
    assert split.held_out <= narrow.held_out


def test_a_stored_split_notices_that_its_cells_changed() -> None:
    stored = declare({"geometry": "orbit", "residues": [0, 1]}, TWO).to_dict()
    with pytest.raises(IntegrityError, match="digest"):
        DeclaredSplit.from_dict(stored, grid_schema(4, 8))
    with pytest.raises(InvalidInputError, match="with a declaration"):
        DeclaredSplit.from_dict({"geometry": "orbit"}, TWO)


def test_another_grid_is_refused() -> None:
    split = declare({"geometry": "orbit", "residues": [0, 1]}, TWO)
    for ask in (split.id_cells, split.ooc_cells):
        with pytest.raises(InvalidInputError, match=r"grid \(4, 4\)"):
            ask((4, 8))


WRONG: list[tuple[str, str]] = [
    ("x = 1\ngeometry = 'orbit'\nresidues = [0]", r"split.toml, key 'x': .*'x'"),
    ("\ngeometry = 'orbits'", r"key 'geometry': expected one of \[.*got 'orbits'"),
    ("geometry = 3", "key 'geometry': expected text; got 3"),
    ("geometry = 'orbit'", r"split.toml: expected the keys \['geometry', 'residues'\]"),
    ("", r"split.toml: expected the keys \['id'\]"),
    ("geometry = 'orbit'\nresidues = 1", "key 'residues': expected a list; got 1"),
    (
        "geometry = 'orbit'\nresidues = [0,\n 'x']",
        r"key 'residues.1': expected a whole number in 0..3; got 'x'",
    ),
    ("geometry = 'orbit'\nresidues = [true]", "key 'residues.0': .*got True"),
    ("geometry = 'orbit'\nresidues = [0, 0]", "key 'residues': .*distinct"),
    ("geometry = 'orbit'\nresidues = [0]\nooc = [0]", "split.toml: geometry 'orbit'.*disjoint"),
    ("geometry = 'orbit'\nresidues = [0]\nladder = [[0]]", "key 'residues': .*both"),
    ("geometry = 'orbit'\nladder = []", "key 'ladder': expected at least one rung"),
    (
        "geometry = 'orbit'\nladder = [\n [0],\n [1],\n]",
        r"key 'ladder': expected strictly nested ID cells; got \[4, 4\] cells",
    ),
    (
        "geometry = 'orbit'\nladder = [\n [0],\n [0, 3],\n]\nooc = [3]",
        "key 'ladder.1': geometry 'orbit'.*share 4",
    ),
    (
        "geometry = 'corner'\nthresholds = {object.shape = 'cube'}",
        "key 'thresholds.object.shape': expected a value of 'object.shape'; got 'cube'",
    ),
    (
        "geometry = 'corner'\nthresholds = {object.hue = 1}",
        "key 'thresholds.object.hue': .*got 'object.hue'",
    ),
    ("geometry = 'corner'\nthresholds = 4", "key 'thresholds': expected a table; got 4"),
    ("geometry = 'random'\nfraction = 2\nseed = 0", "key 'fraction': .*in .0, 1.; got 2"),
    ("geometry = 'random'\nfraction = nan\nseed = 0", "key 'fraction': .*got nan"),
    ("geometry = 'random'\nfraction = 1979-05-27\nseed = 0", "key 'fraction'.*a number"),
    (
        f"geometry = 'random'\nfraction = 0.5\nseed = 0x{'f' * 5000}",
        "key 'seed': .*very many digits",
    ),
    ("factors = ['object.shape']\nid = {full = true}", "key 'factors': .*in this order"),
    ("id = {full = true}", "key 'id': geometry 'algebra'.*0 OOC"),
    ("id = {full = false}", "key 'id.full': expected true"),
    ("a = [", "split.toml: expected a TOML file; got one that is not"),
    ("a = 1\na = 2", "split.toml: expected a TOML file"),
    ("a = " + "[" * 5000 + "]" * 5000, "split.toml: expected a TOML file"),
    ("id = " + "{union = [" * 200 + "{full = true}" + "]}" * 200, "split.toml"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_mistakes_are_named_with_file_and_key_path(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        load_split(written(tmp_path, text), SMOKE)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="UTF-8"):
        load_split(written(tmp_path, b"geometry = '\xff'"), SMOKE)
    with pytest.raises(InvalidInputError, match="bytes"):
        load_split(written(tmp_path, "#" * (LARGEST_FILE + 1)), SMOKE)
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(UsageError, match="expected a file"):
            load_split(path, SMOKE)


def test_one_recombined_factor_has_no_combinations() -> None:
    with pytest.raises(InvalidInputError, match="two recombined factors"):
        declare({"id": {"full": True}}, grid_schema(4))


def never_more_than_refused(folder: Path, text: bytes, schema: Schema = THREE) -> None:
    try:
        split = load_split(written(folder, text), schema)
    except InvalidInputError:
        return
    assert all(not len(ids & split.held_out) for ids in split.ladder)


WORDS = sorted(
    {k for entry in GEOMETRIES.values() for k in entry.readers}
    | {
        *BASES,
        *STEPS,
        *JUDGES,
        *GEOMETRIES,
        "full",
        "geometry",
        "ladder",
        "require",
        "at_most",
        "not",
    }
    | {"algebra", "symmetric", "a.f", "b.f", "a", "f", "a0", "b1", "c3", "id", "ooc", "factors"}
)
LEAVES = st.one_of(
    st.sampled_from(WORDS), st.integers(-2, 6), st.booleans(), st.floats(), st.just(2**70)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=10,
)
CALM = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)


@CALM
@given(st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=5))
def test_any_words_in_any_place_are_read_or_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    never_more_than_refused(tmp_path, dump(data).encode())


VALID: list[dict[str, Any]] = [
    {"geometry": "orbit", "ladder": [[0], [0, 1]], "ooc": [3], "require": {"novelty": 3}},
    {"geometry": "corner", "thresholds": {"a.f": "a2", "b.f": 2}},
    {"geometry": "banded-pairs", "bands": [{"factors": ["a.f", "b.f"], "residues": [0, 1]}]},
    {"geometry": "cogent", "noun": "a.f", "colour": "b.f", "lists": {"a0": ["b1", 2]}},
    {"geometry": "orthogonal-cross", "anchors": [["a0", 1, "c2"], [0, 0, 0]]},
    {"geometry": "random", "ladder": [0.25, 0.5], "seed": 7, "require": {"hamming": 3}},
    {"geometry": "count", "factor": "c.f", "threshold": "c2", "factors": ["a.f", "b.f", "c.f"]},
    {"id": {"where": {"a": {"f": {"not": ["a1"]}}}, "minus": {"cells": [[0, "b1", 2]]}}},
    {"id": {"cells": [["a0", "b1", 0]], "permutation_closure": ["a.f", "b.f"]}},
    {
        "id": {"ooc_of": {"geometry": "covering-array", "strength": 2}, "complement": True},
        "ooc": {
            "product": [
                {"factors": ["c.f", "a.f"], "full": True},
                {"factors": ["b.f"], "cells": [["b1"], [2]]},
            ],
            "minus": [{"id_of": {"geometry": "covering-array", "strength": 2}}],
        },
    },
]


def places(value: Any) -> list[list[Any]]:
    """Return every table or list inside a value with one of its keys."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [[value, k] for k in keys] + [p for k in keys for p in places(value[k])]


@CALM
@given(st.sampled_from(VALID), st.data())
def test_a_changed_declaration_is_read_or_refused(
    tmp_path: Path, declaration: dict[str, Any], data: st.DataObject
) -> None:
    changed = json.loads(json.dumps(declaration))
    inside, key = data.draw(st.sampled_from(places(changed)), "place")
    if data.draw(st.booleans(), "drop"):
        del inside[key]
    else:
        inside[key] = data.draw(st.one_of(LEAVES, VALUES), "value")
    never_more_than_refused(tmp_path, dump(changed).encode())


@pytest.mark.parametrize("declaration", VALID)
def test_the_unchanged_declarations_are_read(declaration: dict[str, Any]) -> None:
    assert len(declare(declaration, THREE).held_out)


@CALM
@given(st.binary(max_size=4), st.integers(0, len(ORBIT)), st.integers(0, 9))
def test_a_damaged_file_is_read_or_refused(
    tmp_path: Path, junk: bytes, at: int, dropped: int
) -> None:
    text = ORBIT.encode()
    never_more_than_refused(tmp_path, text[:at] + junk + text[at + dropped :], TWO)


@CALM
@given(st.sets(st.integers(0, 3), min_size=1, max_size=3), st.data())
def test_random_orbit_declarations_keep_their_promises(
    tmp_path: Path, residues: set[int], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(sorted(residues)))
    ladder = [sorted(order[: n + 1]) for n in range(len(order))]
    text = dump(
        {
            "geometry": "orbit",
            "ladder": ladder,
            "require": {"marginal_tv": 0, "coverage": 1, "novelty": 3, "atom_divergence": 1e-9},
        }
    )
    split = load_split(written(tmp_path, text), THREE)
    assert [len(ids) for ids in split.ladder] == [16 * len(rung) for rung in ladder]
    assert dump(split.declaration) == text


GRID = Grid.of(grid_schema(4, 4))


def check(promise: dict[str, Any], *rungs: CellSet, grid: Grid = GRID) -> None:
    node = Node(promise, ("require",), "split.toml")
    check_requirements(node, grid, rungs, rungs[-1].complement())


ORBIT_CELLS = orbit((4, 4), residues=[0, 1]).id_cells
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
    check(promise, ORBIT_CELLS)


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
        (
            ORBIT_CELLS,
            {"pair_coverage": 0.75},
            r"pair coverage at least 3/4 .*1/4 \(0.25\) too little",
        ),
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
        check({"symmetric": ["a.f", "b.f"]}, ORBIT_CELLS)
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
        check(promise, ORBIT_CELLS)


# Datasets under a declared split: the same images, and a certificate that states confounds.

CORNER_SPLIT = {
    "geometry": "corner",
    "thresholds": {"object.shape": "star", "background.environment": "city"},
}


def preset(require: dict[str, object]) -> Preset:
    base = load_preset("smoke", scale=0.07, resolution=16)
    return with_split(base, declare({**CORNER_SPLIT, "require": require}, base.schema))


def outcome(folder: Path) -> dict[str, str]:
    return {c.name: c.status for c in verify(folder).checks}


def test_unpromised_shift_is_stated_and_the_data_can_be_scored(tmp_path: Path) -> None:
    drawn_dataset(tmp_path / "data", preset=preset({"coverage": 1}))
    found = outcome(tmp_path / "data")
    assert found["balance"] == "stated"
    assert found["coverage"] == found["no-leak"] == found["nuisances"] == "pass"
    Dataset(tmp_path / "data").check()
    balance = next(c for c in verify(tmp_path / "data").checks if c.name == "balance")
    assert "2/3" in balance.found  # the exact marginal shift of a corner block on a 4 x 4 grid


@pytest.mark.parametrize(
    "declaration",
    [
        {"geometry": "orbit", "residues": [0, 1]},
        {"geometry": "count", "factor": "object.shape", "threshold": 2},
    ],
)
def test_declared_geometry_with_the_name_of_a_rule_is_stated(
    tmp_path: Path, declaration: dict[str, object]
) -> None:
    base = load_preset("smoke", scale=0.07, resolution=16)
    drawn_dataset(tmp_path / "data", preset=with_split(base, declare(declaration, base.schema)))
    assert outcome(tmp_path / "data")["stability"] == "stated"


def test_promise_that_the_images_break_fails(tmp_path: Path) -> None:
    kept = preset({"marginal_tv": 1})
    drawn_dataset(tmp_path / "data", preset=kept)
    assert outcome(tmp_path / "data")["balance"] == "pass"
    # `declare` refuses a promise it cannot keep, so break it behind its back.
    promised = {**kept.split.declaration, "require": {"marginal_tv": 0}}  # type: ignore[attr-defined]
    broken = replace(kept, split=replace(kept.split, declaration=promised))  # type: ignore[type-var]
    drawn_dataset(tmp_path / "broken", preset=broken)
    assert outcome(tmp_path / "broken")["balance"] == "fail"


def test_reindexing_keeps_the_pixels_of_a_cell_and_block() -> None:
    base = load_preset("smoke", scale=0.07, resolution=16)
    plain, corner = make_plan(base), make_plan(preset({}))
    cells = [np.stack([p.latents[k] for k in p.schema.recombined], 1) for p in (plain, corner)]
    seen = {
        (tuple(c), b): plain.spec_hash(i)
        for i, (c, b) in enumerate(zip(cells[0], plain.block, strict=True))
    }
    shared = [
        (corner.spec_hash(i), seen[tuple(c), b])
        for i, (c, b) in enumerate(zip(cells[1], corner.block, strict=True))
        if (tuple(c), b) in seen
    ]
    assert len(shared) > 50
    assert all(a == b for a, b in shared)
    assert plain.dataset != corner.dataset


@pytest.mark.parametrize("scale", [0.03, 0.1, 1.0])
def test_rungs_of_any_ladder_stay_whole(scale: float) -> None:
    base = load_preset("smoke", scale=scale)
    ladder = {"geometry": "orbit", "ladder": [[0], [0, 1], [0, 1, 2]], "ooc": [3]}
    changed = with_split(base, declare(ladder, base.schema))
    plan = make_plan(changed)
    sizes = {int((plan.rungs >> r & 1).sum()) for r in range(3)}
    assert len(sizes) == 1


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALAR = st.one_of(TEXT, st.integers(-(2**62), 2**62), st.booleans(), st.floats(allow_nan=False))
CONTENT = st.recursive(
    SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(TEXT, CONTENT, max_size=4))
def test_what_is_written_reads_back(data: dict[str, Any]) -> None:
    assert tomllib.loads(dump(data)) == data
