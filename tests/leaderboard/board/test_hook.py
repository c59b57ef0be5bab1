"""The git hook on a local repository: good results pass, anything else is one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sample_board import sample

from recombine.leaderboard.ledger.records import LEDGER, record_tier

ROOT = Path(__file__).parents[3]
HOOK, CONFIG = ROOT / "scripts" / "pre-commit", ROOT / ".pre-commit-config.yaml"
COMMAND = Path(sys.executable).parent / "recombine"
RESULTS = Path("leaderboard") / "results"
NOW = "2026-01-01T00:00:00Z"
pytestmark = pytest.mark.skipif(
    not (HOOK.is_file() and COMMAND.is_file()), reason="needs a checkout and the command"
)
SETTINGS = ["user.name=T", "user.email=t@example.org", "commit.gpgsign=false"]


class Repository:
    """A leaderboard with the hook as a plain link."""

    def __init__(self, folder):
        self.folder, self.results = folder, folder / RESULTS
        self.git("init", "-q")
        (folder / ".git" / "hooks").mkdir(exist_ok=True)
        (folder / ".git" / "hooks" / "pre-commit").symlink_to(HOOK)

    def git(self, *args, path=f"{COMMAND.parent}:{os.environ['PATH']}"):
        named = [part for one in SETTINGS for part in ("-c", one)]
        return subprocess.run(
            ["git", *named, *args], cwd=self.folder, capture_output=True, text=True,
            env={**os.environ, "PATH": path}, check=False,
        )  # fmt: skip

    def commit(self, **settings):
        self.git("add", "--all")
        return self.git("commit", "--quiet", "--message", "x", **settings)


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


@pytest.fixture
def filled(repository):
    """Return a repository with one result and its ledger line."""
    sample(0).save(repository.results)
    record_tier(repository.results, [sample(0)], "rescored", NOW)
    done = repository.commit()
    assert (done.returncode, done.stderr) == (0, "")
    return repository


def refused(done, *words):
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def test_a_good_file_passes_and_other_commits_are_not_held_up(filled):
    (filled.folder / "note").write_text("hello")
    assert filled.commit(path="/usr/bin:/bin").returncode == 0
    sample(1).save(filled.results)
    assert filled.commit().returncode == 0


def test_an_edited_file_is_refused_with_one_line(filled):
    path = sample(1).save(filled.results)
    path.write_text(path.read_text().replace("Autoencoder", "Superencoder", 1))
    refused(filled.commit(), str(RESULTS / path.name), "edited")


def test_a_file_of_another_schema_is_refused_with_one_line(filled):
    (filled.results / "mine.json").write_text('{"accuracy": 1.0}')
    refused(filled.commit(), f"{RESULTS}/mine.json", "not a valid result")


def test_what_is_staged_counts_not_what_lies_there(filled):
    path = sample(1).save(filled.results)
    good = path.read_text()
    path.write_text("{}")
    filled.git("add", "--all")
    path.write_text(good)
    refused(filled.git("commit", "-q", "-m", "x"), "not a valid result")


def test_results_are_superseded_never_removed(filled):
    (one,) = filled.results.glob("*.json")
    one.rename(filled.folder / "elsewhere.json")
    refused(filled.commit(), str(RESULTS / one.name), "must stay")


def test_results_may_move_into_the_archive_unchanged(filled):
    (one,) = filled.results.glob("*.json")
    moved = filled.folder / "leaderboard" / "archive" / "1.x" / one.name
    moved.parent.mkdir(parents=True)
    one.rename(moved)
    text = moved.read_text()
    moved.write_text(f"{text}\n")
    refused(filled.commit(), str(RESULTS / one.name), "must stay")
    moved.write_text(text)
    assert filled.commit().returncode == 0


def test_the_ledger_only_grows(filled):
    (filled.results / LEDGER).unlink()
    record_tier(filled.results, [sample(0)], "retrained", NOW)
    refused(filled.commit(), LEDGER, "must only grow")
    (filled.results / LEDGER).write_text("x")
    filled.git("add", "--all")
    refused(filled.git("commit", "-q", "-m", "x"), LEDGER)


def test_a_changed_line_is_refused(repository):
    sample(0).save(repository.results)
    record_tier(repository.results, [sample(0)], "rescored", NOW)
    ledger = repository.results / LEDGER
    ledger.write_text(ledger.read_text().replace("rescored", "retrained"))
    refused(repository.commit(), f"{RESULTS}/{LEDGER}", "matches its hash")


def test_without_the_command_it_says_what_to_do(filled):
    sample(1).save(filled.results)
    bare = filled.folder / "bare"
    bare.mkdir()
    for name in ("git", "sh", "head"):
        (bare / name).symlink_to(shutil.which(name))
    refused(filled.commit(path=str(bare)), "make setup")


def test_the_framework_runs_the_same_script():
    yaml = pytest.importorskip("yaml")
    (repository,) = yaml.safe_load(CONFIG.read_text())["repos"]
    (hook,) = repository["hooks"]
    assert repository["repo"] == "local"
    assert ROOT / hook["entry"] == HOOK
    assert (hook["language"], hook["pass_filenames"]) == ("script", False)
    assert os.access(HOOK, os.X_OK)
