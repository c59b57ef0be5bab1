"""`review`: what came out again is on record, whatever else came is refused."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from recombine.benchmark.results.result import Result
from recombine.cli.main import main
from recombine.leaderboard.ledger.records import read_tiers
from recombine.leaderboard.submissions.bundle import write_bundle
from recombine.renderer.store import dataset as reader

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / name) for name in ("leaderboard", "benchmark")]

from world import METHOD, bundle_in, dataset, found, score_once  # noqa: E402 - the path comes first


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    return score_once(tmp_path_factory.mktemp("scored"))


@pytest.fixture(autouse=True)
def its_data(monkeypatch):
    monkeypatch.setattr(reader, "Dataset", lambda folder: dataset())


def review(head, *more):
    return main(["review", str(head), "--data", "x", "--results", "none", *map(str, more)])


def ids(paths):
    return {Result.load(path).result_id for path in paths}


def test_a_bundle_is_recorded_as_rescored(scored, tmp_path):
    bundle = bundle_in(tmp_path / "s", scored)
    assert review(bundle.folder, "--out", tmp_path / "out") == 0
    assert read_tiers(tmp_path / "out") == dict.fromkeys(
        ids((tmp_path / "out").glob("*.json")), "rescored"
    )
    assert review(bundle.folder, "--out", tmp_path / "new", "--no-record") == 0
    assert read_tiers(tmp_path / "new") == {}


def test_a_maintainers_results_take_the_same_route(scored, tmp_path, capsys):
    results, runs = scored
    board = tmp_path / "board"
    for tier in ("rescored", "retrained", "retrained", "rescored"):
        args = ["--runs", runs, "--out", board, "--tier", tier, "--json"]
        assert review(results[0].parent, *args) == 0
        paths = [Path(name) for name in json.loads(capsys.readouterr().out)]
        assert ids(paths) == ids(results)
    assert read_tiers(board) == dict.fromkeys(ids(results), "retrained")
    assert (board / "verified.jsonl").read_text().count("\n") == 2 * len(results)


def test_in_place_only_the_ledger_is_added(scored, tmp_path):
    results, runs = scored
    folder = Path(shutil.copytree(results[0].parent, tmp_path / "r"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert review(next(folder.glob("*.json")), "--runs", runs) == 0
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {name: after[name] for name in before} == before
    assert "verified.jsonl" in after


def test_a_prettier_number_is_not_recorded(scored, tmp_path, capsys):
    results, runs = scored
    plain = json.loads(results[0].read_text())
    plain["training"]["generated_images_seen"] += 1
    fields = {k: v for k, v in plain.items() if k not in ("schema_version", "result_id")}
    forged = Result.sealed(**fields).save(tmp_path / "r" / "forged.json")
    assert review(forged, "--runs", runs) == 3
    assert "training/generated_images_seen" in capsys.readouterr().err
    assert read_tiers(tmp_path / "r") == {}


def test_predictions_are_fetched_where_the_manifest_says(scored, tmp_path, capsys):
    results, runs = scored
    mirror = tmp_path / "mirror"
    bundle = write_bundle(tmp_path / "s", results, found(runs), METHOD, mirror.as_uri())
    (bundle.folder / "predictions").rename(mirror)
    assert review(bundle.folder, "--out", tmp_path / "out") == 3
    assert "--file-root" in capsys.readouterr().err
    small = ["--out", tmp_path / "out", "--file-root", tmp_path, "--max-megabytes", 0]
    assert review(bundle.folder, *small) == 3
    assert "to fetch" in capsys.readouterr().err
    assert review(bundle.folder, "--out", tmp_path / "out", "--file-root", tmp_path) == 0
    assert list(read_tiers(tmp_path / "out").values()).count("rescored") == len(results)
    content = bytearray((mirror / "seed-0.safetensors").read_bytes())
    content[-1] ^= 1
    (mirror / "seed-0.safetensors").write_bytes(content)
    assert review(bundle.folder, "--out", tmp_path / "other", "--file-root", tmp_path) == 5
    assert "SHA-256" in capsys.readouterr().err


def test_a_file_without_a_key_is_named(scored, tmp_path, capsys):
    (tmp_path / "key").write_text("secret words")
    bundle = bundle_in(tmp_path / "s", scored)
    assert review(bundle.folder, "--key", tmp_path / "key", "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "64 hexadecimal digits" in error
    assert "secret words" not in error
