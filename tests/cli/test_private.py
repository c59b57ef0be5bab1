"""`private`: a season by commands alone."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from recombine.cli.main import main
from recombine.renderer import reader

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / name) for name in ("leaderboard", "benchmark")]

import ed25519_stand_in  # noqa: E402 - the path comes first
from factories import make_result  # noqa: E402
from fakes import FakeDataset  # noqa: E402

DATA = FakeDataset()


@pytest.fixture(autouse=True)
def library(monkeypatch):
    try:
        import cryptography  # noqa: F401
    except ImportError:
        ed25519_stand_in.install(monkeypatch)
    monkeypatch.setattr(reader, "Dataset", lambda folder: DATA)


def call(capsys, *args):
    assert main(["private", *map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_season_from_start_to_audit(tmp_path, capsys):
    season = tmp_path / "season"
    opened = call(capsys, "open", season)
    assert f"--split {season}/secret/split.toml" in opened["render"]
    call(capsys, "open", season, "--data", "x")
    path = make_result(data={"root": DATA.root}).save(tmp_path / "result.json")
    scored = call(capsys, "score", season, "--team", "a", "--result", path)
    assert scored["answer"]["left"] == 9
    assert len(call(capsys, "reveal", season, "--data", "x")["key"]) == 64
    shutil.rmtree(season / "secret")
    found = call(capsys, "audit", season, "--data", "x", "--head", scored["head"])
    assert all(found.values())


def test_missing_options_are_usage_errors(tmp_path, capsys):
    assert main(["private", "score", str(tmp_path)]) == 2
    assert main(["private", "reveal", str(tmp_path)]) in (2, 3)
    assert "expected" in capsys.readouterr().err


def test_an_edited_log_is_an_integrity_failure(tmp_path, capsys):
    season = tmp_path / "season"
    call(capsys, "open", season)
    log = season / "log.jsonl"
    log.write_text(log.read_text().replace('"preset":"smoke"', '"preset":"smokf"'))
    assert main(["private", "audit", str(season)]) == 5
    assert "log" in capsys.readouterr().err
