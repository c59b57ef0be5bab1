"""A result file is strict, finite, hashed, complete and survives a round trip."""

import json
import math

import numpy as np
import pytest
from factories import make_result
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recombine.benchmark.results.credit import is_orcid
from recombine.benchmark.results.result import Result, with_credit, write_schema
from recombine.renderer.core.errors import IntegrityError, InvalidInputError


@pytest.fixture
def result():
    return make_result(steps=(0, 3, 10))


@pytest.fixture
def saved(result, tmp_path):
    return result.save(tmp_path)


def rewrite(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


def test_round_trip(result, saved):
    assert Result.load(saved) == result
    assert saved.name == "autoencoder--smoke-64px-n1024.json"
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_saving_twice_writes_the_same_bytes(result, tmp_path):
    first = result.save(tmp_path / "a.json").read_bytes()
    assert Result.load(tmp_path / "a.json").save(tmp_path / "b.json").read_bytes() == first


def test_a_second_method_of_one_id_goes_beside_the_first(result, tmp_path):
    usual = tmp_path / result.file_name
    assert result.path_in(tmp_path) == usual
    result.save(usual)
    assert make_result(steps=(0, 3, 11)).path_in(tmp_path) == usual  # scored again
    others = [
        make_result(method={"code": "other:Model"}),
        make_result(method={"settings": {"width": 9}}),
        make_result(data={"identity": "f" * 64}),
    ]
    for other in others:
        assert other.file_name == result.file_name
        beside = other.path_in(tmp_path)
        assert beside == usual.with_stem(f"{usual.stem}-{other.result_id[:10]}")
        other.save(beside)
        assert other.path_in(tmp_path) == beside
    assert Result.load(usual) == result
    usual.write_text("{}")
    assert result.path_in(tmp_path) != usual


def test_tables_take_one_line_per_seed(saved):
    lines = saved.read_text().splitlines()
    assert sum(line.count(",") == 8 and "[" in line for line in lines) >= 6


def test_text_that_looks_like_a_table_is_left_alone(tmp_path):
    note = 'see [  1,  2 ] and "x" [ 3 ]'
    result = make_result(method={"note": note})
    assert Result.load(result.save(tmp_path)).method.note == note


def test_id_depends_on_content_only(result):
    assert make_result(steps=(0, 3, 10)).result_id == result.result_id
    assert make_result(steps=(0, 3, 11)).result_id != result.result_id


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["training"].update(wall_s=1.0),
        lambda d: d.update(trust="rerun"),
        lambda d: d["compute_curve"].update(ooc=[0.9] * 3),
    ],
)
def test_an_edited_file_is_found(saved, change):
    with pytest.raises(IntegrityError, match="was edited"):
        Result.load(rewrite(saved, change))


def put(*path, value):
    def change(data):
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value

    return change


BLOCKS = ("scores", "ooc_test", "blocks")


def swap_blocks(data):
    """Move a right answer of one cell onto another one's: two of one image in the first."""
    blocks = data["scores"]["ooc_test"]["blocks"]
    rows = [[int(digit) for digit in row] for row in blocks["right"][0]]
    block = next(i for i, pair in enumerate(zip(*rows[:2], strict=True)) if pair == (1, 1))
    rows[0][block], rows[1][block] = 2, 0
    blocks["right"][0] = ["".join(map(str, row)) for row in rows]


def swap_cells(data):
    """Give the first two cells each other's answers."""
    rows = data["scores"]["ooc_test"]["blocks"]["right"][0]
    other = next(i for i, row in enumerate(rows) if row.count("1") != rows[0].count("1"))
    rows[0], rows[other] = rows[other], rows[0]


def more_blocks(hits):
    """Add a block of so many right answers that no cell has."""

    def change(data):
        blocks = data["scores"]["ooc_test"]["blocks"]
        del blocks["images"], blocks["right"]
        for name in ("numbers", "counts"):
            blocks[name].append(99 if name == "numbers" else 8)
        blocks["hits"] = [[*row, hits] for row in blocks["hits"]]

    return change


def test_a_file_says_how_many_images_and_answers_every_block_has(result, saved):
    blocks = Result.load(saved).scores.ooc_test.blocks
    shown = np.array([[int(digit, 36) for digit in row] for row in blocks.images])
    assert shown.sum(axis=0).tolist() == list(blocks.counts)
    right = np.array([[[int(d, 36) for d in row] for row in table] for table in blocks.right])
    assert right.sum(axis=1).tolist() == [list(row) for row in blocks.hits]
    assert right.sum(axis=2).tolist() == [list(row) for row in result.scores.ooc_test.hits]


def test_sums_over_blocks_are_enough():
    plain = make_result().model_dump(mode="json", exclude={"schema_version", "result_id"})
    for score in plain["scores"].values():
        del score["blocks"]["images"], score["blocks"]["right"]
    result = Result.sealed(**plain)
    assert result.scores.ooc_test.blocks.right == ()
    for score in plain["scores"].values():
        score["blocks"] = None
    assert Result.sealed(**plain).scores.ooc_test.blocks is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("surprise", value=1), "surprise"),
        (put("scores", "ooc_test", "extra", value=1), "extra"),
        (put("schema_version", value="3.0"), "schema_version"),
        (put("training", "wall_s", value=-1.0), "wall_s"),
        (put("training", "wall_s", value="60"), "wall_s"),
        (put("seeds", value=[0, 0, 1]), "seeds must be different"),
        (put("seeds", value=[0, 1]), "one row per seed"),
        (put("scores", "ooc_test", "estimate", value=0.123), "is not the mean"),
        (put("scores", "ooc_test", "hits", 0, 0, value=25), "hits <= count"),
        (put("scores", "ooc_test", "counts", 0, 0, value=0), "1 <= count"),
        (put("scores", "ooc_test", "n_images", value=7), "add up"),
        (put("scores", "ooc_test", "hits", 0, value=[1]), "n_seeds x n_cells"),
        (put("scores", "id_test", "cells", value=[["a", "b"]]), "cells and per_seed"),
        (put("scores", "id_test", "cells", 0, value=["only one"]), "one value name"),
        (put("gap", "estimate", value=0.0), "gap must be"),
        (put("compute_curve", "steps", value=[0, 10, 3]), "ascend"),
        (put("compute_curve", "ooc", value=[0.5]), "one value per step"),
        (put("method", "id", value="Has Spaces"), "method.id"),
        (put("method", "inference", value="magic"), "inference"),
        (put("created", value="yesterday"), "created"),
        (put("data", "certificate_sha256", value="abc"), "certificate_sha256"),
        (put("method", "note", value="x" * 3000), "note"),
        (put(*BLOCKS, "counts", 3, value=2), "every block needs hits <= counts"),
        (put(*BLOCKS, "counts", value=[8] * 23), "one number per block"),
        (put(*BLOCKS, "numbers", value=[]), "one number per block"),
        (put(*BLOCKS, "hits", 0, value=[8]), "one number per block"),
        (put(*BLOCKS, "images", 0, value="1" * 23), "one digit per block"),
        (put(*BLOCKS, "images", 0, value="1" * 23 + "2"), "images must add up to counts"),
        (put(*BLOCKS, "images", value=[]), "right needs images"),
        (put(*BLOCKS, "images", 0, value="1" * 23 + "-"), "images"),
        (put(*BLOCKS, "right", 1, 0, value="0" * 24), "right must add up to hits"),
        (put(*BLOCKS, "right", value=[["0" * 24] * 8]), "right needs one table per seed"),
        (swap_blocks, "right must be at most images"),
        (swap_cells, "of every cell"),
        (more_blocks(1), "blocks must hold as many hits per seed as cells"),
        (more_blocks(0), "blocks must hold n_images images"),
        (put("scores", "ooc_test", "distinct", value=[3]), "distinct must name"),
        (put("scores", "ooc_test", "distinct", value=[1, 0]), "distinct must name"),
        (put("scores", "ooc_test", "distinct", value=[0, 0]), "distinct must name"),
    ],
)
def test_what_is_wrong_is_named(saved, change, message):
    with pytest.raises(InvalidInputError, match=message):
        Result.load(rewrite(saved, change))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_numbers_are_finite(saved, value):
    text = saved.read_text().replace('"wall_s": 60.0', f'"wall_s": {value}')
    assert value in text
    saved.write_text(text)
    with pytest.raises(InvalidInputError):
        Result.load(saved)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_result_with_nan_cannot_be_made(value):
    with pytest.raises(InvalidInputError, match="finite"):
        make_result(training={"wall_s": value})


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b'{"a": 1}'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError):
        Result.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="found none"):
        Result.load(tmp_path / "none.json")


def test_a_result_with_another_id_is_not_saved(result, tmp_path):
    with pytest.raises(IntegrityError):
        result.model_copy(update={"trust": "rescored"}).save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_cut_of_a_file_is_refused(saved):
    whole = saved.read_bytes()
    for end in range(0, len(whole) - 2, 97):
        saved.write_bytes(whole[:end])
        with pytest.raises(InvalidInputError):
            Result.load(saved)


def test_every_flipped_digit_is_found(saved):
    whole = saved.read_bytes()
    digits = [i for i, byte in enumerate(whole) if chr(byte).isdigit()]
    for at in digits[::23]:
        flipped = bytearray(whole)
        flipped[at] = ord("0") + (flipped[at] - ord("0") + 1) % 10
        if json.loads(flipped) == json.loads(whole):
            continue  # the 17th digit of a number: still the same number
        saved.write_bytes(bytes(flipped))
        with pytest.raises((InvalidInputError, IntegrityError)):
            Result.load(saved)


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0"])
def test_a_file_of_an_earlier_schema_says_how_to_bring_it_up(saved, version):
    data = json.loads(saved.read_text())
    data["schema_version"] = version
    del data["method"]["role"], data["data"]["recipe"]
    saved.write_text(json.dumps(data))
    with pytest.raises(InvalidInputError) as error:
        Result.load(saved)
    told = str(error.value)
    assert str(saved) in told
    assert f"schema {version}, expected 2.3" in told
    assert f"python scripts/migrate_results.py {saved.parent}" in told


def test_role_and_recipe_are_part_of_what_is_sealed(tmp_path):
    recipe = {"preset": "smoke", "scale": 0.08, "values": None, "ooc_val": False, "rung": 0}
    recipe["split"] = {"geometry": "boxes", "cells": [[0, 1], [2, 3]], "share": 0.5}
    bound = make_result(method={"role": "bound"}, data={"recipe": recipe})
    again = Result.load(bound.save(tmp_path))
    assert (again.method.role, again.data.recipe) == ("bound", recipe)
    assert again.result_id != make_result(data={"recipe": recipe}).result_id
    with pytest.raises(InvalidInputError, match="role"):
        make_result(method={"role": "winner"})


ORCID = "0000-0002-1825-0097"


def test_credit_is_part_of_what_is_sealed(tmp_path):
    said = {"authors": [f"A. Name ({ORCID})", "B. Name"], "paper": "https://example.org/p"}
    credited = make_result(credit=said)
    again = Result.load(credited.save(tmp_path))
    assert again.credit.people == (("A. Name", ORCID), ("B. Name", ""))
    assert again.result_id != make_result().result_id
    assert with_credit(make_result(), again.credit) == again


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("authors", ["A. Name (0000-0002-1825-0098)"]),  # wrong check digit
        ("authors", ["A. Name (x)"]),
        ("authors", ["(0000-0002-1825-0097)"]),
        ("authors", [" "]),
        ("authors", [" A"]),
        ("authors", ["A"] * 51),
        ("code", "http://example.org"),
        ("code", "javascript:alert(1)"),
        ("paper", "https://known.org@elsewhere.org"),
        ("paper", "https://localhost"),
        ("paper", 'https://example.org/">'),
    ],
)
def test_credit_that_misleads_is_refused(field, value):
    with pytest.raises(InvalidInputError, match=f"credit.{field}"):
        make_result(credit={field: value})


def test_an_orcid_may_end_with_x():
    assert is_orcid("0000-0002-1694-233X")
    assert not is_orcid("0000-0002-1694-2330")


def test_published_schema_accepts_results_and_refuses_others(saved, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(write_schema(tmp_path / "schema.json").read_text())
    data = json.loads(saved.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)
    for change in (put("surprise", value=1), put("training", "wall_s", value=-1.0)):
        broken = json.loads(saved.read_text())
        change(broken)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_every_field_of_the_schema_is_closed():
    schema = Result.json_schema()
    assert schema["$defs"].pop("JsonValue") == {}  # a declared split, inside the recipe
    for name, part in [("Result", schema), *schema["$defs"].items()]:
        assert part["additionalProperties"] is False, name


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(
        np.int64, st.tuples(st.integers(1, 3), st.integers(1, 4)), elements=st.integers(0, 9)
    )
)
def test_any_counts_make_a_valid_result(hits):
    counts = np.full_like(hits, 9)
    result = make_result(id_hits=hits, id_counts=counts, ooc_hits=hits, ooc_counts=counts)
    assert result.gap.estimate == 0
    assert Result.model_validate_json(result.model_dump_json()) == result
