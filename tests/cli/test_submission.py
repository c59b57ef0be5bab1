"""`submit` and `review`: from result files to a judged bundle, by commands alone."""

import json
import sys
from pathlib import Path

import pytest

from recombine.cli.main import main
from recombine.renderer.store import dataset as reader

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / name) for name in ("leaderboard", "benchmark")]

from world import dataset, score_once  # noqa: E402 - the path comes first


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    return score_once(tmp_path_factory.mktemp("scored"))


def submit(scored, out, *more):
    results, runs = scored
    args = ["--predictions", str(runs), "--out", str(out), "--licence", "MIT"]
    return main(["submit", *map(str, results), *args, *more])


def test_a_bundle_and_its_text_are_judged(scored, tmp_path, capsys, monkeypatch):
    assert submit(scored, tmp_path / "s", "--authors", "A. Name", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert "Contract check: not run" in Path(made["pull_request"]).read_text()
    monkeypatch.setattr(reader, "Dataset", lambda folder: dataset())
    args = ["--data", "x", "--results", str(tmp_path / "now"), "--out", str(tmp_path / "new")]
    summary = tmp_path / "summary.md"
    assert main(["review", made["bundle"], *args, "--summary", str(summary)]) == 0
    assert "added" in summary.read_text()
    (result,) = (tmp_path / "new").glob("*.json")
    assert json.loads(result.read_text())["trust"] == "rescored"


def test_people_are_told_what_comes_next(scored, tmp_path, capsys):
    assert submit(scored, tmp_path, "--authors", "A. Name") == 0
    said = capsys.readouterr().out
    assert "git switch --create noisy-" in said
    assert f"cp -r {tmp_path}/noisy-" in said


def test_a_bundle_that_is_in_place_is_not_copied(scored, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert submit(scored, "submissions", "--authors", "A. Name") == 0
    (text,) = Path("submissions").glob("*.md")
    left = text.with_name(f".{text.name}.01234567.tmp")  # what a killed run leaves
    left.touch()
    assert submit(scored, "submissions", "--authors", "A. Name") == 0
    assert not left.exists()
    said = capsys.readouterr().out
    assert "git add submissions/noisy-" in said
    assert "cp -r" not in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "--authors"),
        (["--authors", "A", "--code", "http://x.org"], "--code"),
        (["--authors", "A", "--code", "javascript:alert(1)"], "--code"),
    ],
)
def test_an_incomplete_card_is_a_usage_error(scored, tmp_path, capsys, more, message):
    assert submit(scored, tmp_path, *more) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_proposal_that_changes_code_is_refused(tmp_path, capsys):
    for name in ("base", "head"):
        (tmp_path / name).mkdir()
    (tmp_path / "head" / "evil.py").write_text("")
    args = ["--base", str(tmp_path / "base"), "--data", str(tmp_path)]
    assert main(["review", str(tmp_path / "head"), *args]) == 3
    assert "evil.py" in capsys.readouterr().err
