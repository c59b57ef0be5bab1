"""`season`: a season by commands alone."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import tyro

from recombine.cli.main import main
from recombine.cli.render import Render
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.store import dataset as reader

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / name) for name in ("leaderboard", "benchmark")]

import ed25519_stand_in  # noqa: E402 - the path comes first
from factories import make_result  # noqa: E402

ROOT = "5eed" * 16


class Planned:
    """What the printed render command would plan, with made-up images."""

    root = identity = ROOT

    def __init__(self, command):
        self.plan = make_plan(_preset_of(command))

    def check(self):
        """Do nothing: there are no files."""


def _preset_of(command):
    """Read a printed command with the program's own parser."""
    words = shlex.split(command)
    assert words[:2] == ["recombine", "render"]
    return tyro.cli(Render, args=words[2:]).chosen()


@pytest.fixture(autouse=True)
def library(monkeypatch):
    try:
        import cryptography  # noqa: F401
    except ImportError:
        ed25519_stand_in.install(monkeypatch)


def call(capsys, *args):
    assert main(["season", *map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_season_from_start_to_audit(tmp_path, capsys, monkeypatch):
    """The printed commands are followed word for word, but for the pixels."""
    season = tmp_path / "my season"
    options = ("--preset", "object-background", "--values", 4, "--scale", 0.02)
    render, commit = call(capsys, "open", season, *options)["next"]
    data = Planned(render)
    monkeypatch.setattr(reader, "Dataset", lambda folder: data)
    assert main([*shlex.split(commit)[1:], "--json"]) == 0
    capsys.readouterr()
    path = make_result(data={"identity": ROOT}).save(tmp_path / "result.json")
    scored = call(capsys, "score", season, "--team", "a", "--result", path)
    assert scored["answer"]["left"] == 9
    assert len(call(capsys, "reveal", season, "--data", "x")["key"]) == 64
    shutil.rmtree(season / "secret")
    found = call(capsys, "audit", season, "--data", "x", "--head", scored["head"])
    assert all(found.values())
    assert len(found) == 15
    again = tmp_path / "again"
    call(capsys, "audit", season, "--out", again)
    command = f"{render}".replace(str(season), str(again))
    assert Planned(command).plan.digest() == data.plan.digest(), "anyone can render it again"


def test_an_open_season_reveals_nothing(tmp_path, capsys):
    call(capsys, "open", tmp_path / "s")
    assert main(["season", "audit", str(tmp_path / "s"), "--out", str(tmp_path / "o")]) == 2
    assert "wait for its end" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_missing_options_are_usage_errors(tmp_path, capsys):
    for words in (["score"], ["score", "--team", "a"], ["reveal"]):
        with pytest.raises(SystemExit) as caught:
            main(["season", *words, str(tmp_path)])
        assert caught.value.code == 2
        assert "equired" in capsys.readouterr().err


def test_an_edited_log_is_an_integrity_failure(tmp_path, capsys):
    season = tmp_path / "season"
    call(capsys, "open", season)
    log = season / "log.jsonl"
    log.write_text(log.read_text().replace('"preset":"smoke"', '"preset":"smokf"'))
    assert main(["season", "audit", str(season)]) == 5
    assert "log" in capsys.readouterr().err
