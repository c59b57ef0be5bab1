"""Records hold what the result files say, in the shared schema's form (its file, MIT licence)."""

import json
from pathlib import Path

import jsonschema
import pytest
from sample_board import sample, write_results

from recombine.leaderboard.board.entries import load_entry
from recombine.leaderboard.exports.every_eval_ever import (
    SCHEMA_VERSION,
    record,
    record_path,
    write_records,
)
from recombine.leaderboard.ledger.records import record_tier

SCHEMA = json.loads(
    (Path(__file__).parents[1] / "every_eval_ever" / "eval.schema.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return [load_entry(path) for path in write_results(folder)]


def valid(plain):
    checker = jsonschema.Draft7Validator(SCHEMA)
    return [f"{list(error.path)}: {error.message}" for error in checker.iter_errors(plain)]


def test_every_entry_validates_against_the_schema(entries):
    assert SCHEMA["version"] == SCHEMA_VERSION
    for entry in entries:
        assert valid(record(entry)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r.pop("model_info"),
        lambda r: r.update(surprise=1),
        lambda r: r["evaluation_results"][0]["score_details"].update(score="1"),
        lambda r: r["evaluation_results"][0]["metric_config"].pop("min_score"),
        lambda r: r["model_info"]["additional_details"].update(search_steps=3),
    ],
)
def test_the_check_can_fail(entries, spoil):
    plain = record(entries[0])
    spoil(plain)
    assert valid(plain)


def test_scores_and_intervals_are_those_of_the_file(entries):
    for entry in entries:
        found = {one["evaluation_name"]: one for one in record(entry)["evaluation_results"]}
        scores = entry.result.scores
        parts = {"id_test.joint": scores.id_test, "ooc_test.joint": scores.ooc_test}
        parts |= {"gap": entry.result.gap, "paired_gap": entry.result.paired_gap}
        parts |= {f"ooc_test.{name}": one for name, one in scores.ooc_test.per_factor.items()}
        for name, part in parts.items():
            details = found[f"smoke {name}"]["score_details"]
            assert details["score"] == part.estimate
            ends = details["uncertainty"]["confidence_interval"]
            assert (ends["lower"], ends["upper"]) == part.ci95
        assert found["smoke gap"]["metric_config"]["lower_is_better"] is True
        assert found["smoke ooc_test.joint"]["score_details"]["details"]["chance"] == "0.0625"


def test_what_is_not_known_is_left_out(entries):
    uncounted = record(entries[5])
    assert "gflop_per_image" not in uncounted["model_info"]["additional_details"]
    alone = sample(0, seeds=1)
    assert alone.scores.ooc_test.ci95 is None
    entry = type(entries[0])(Path("x"), alone, b"")
    assert valid(record(entry)) == []
    joint = record(entry)["evaluation_results"][0]
    assert "uncertainty" not in joint["score_details"]


def test_files_lie_where_the_datastore_expects_them(entries, tmp_path):
    paths = write_records(entries, tmp_path)
    pattern = SCHEMA["properties"]["detailed_evaluation_results"]["properties"]["file_path"]
    for path, entry in zip(paths, entries, strict=True):
        relative = path.relative_to(tmp_path).as_posix()
        jsonschema.validate(relative.replace(".json", "_samples.jsonl"), pattern)
        assert json.loads(path.read_text()) == record(entry)
    assert len(set(paths)) == len(entries)
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_records(entries, tmp_path)] == before


def test_strangers_methods_are_not_called_ours(tmp_path):
    theirs = sample(0, method={"name": "Mine", "code": "method:Mine"}).save(tmp_path / "a.json")
    claimed, ours = sample(1).save(tmp_path / "b.json"), sample(2).save(tmp_path / "c.json")
    record_tier(tmp_path, [sample(2)], "retrained", "2026-01-01T00:00:00Z")
    for path in (theirs, claimed):  # that it is a baseline, only its file says
        where = record_path(load_entry(path))
        assert where.startswith("data/recombine-smoke/recombine-submissions/")
    assert record_path(load_entry(ours)).startswith("data/recombine-smoke/recombine/")
