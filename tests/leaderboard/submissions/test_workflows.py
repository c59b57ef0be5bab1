"""The workflows: what they may do, and what happens when their steps run on a pull request."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("yaml")

from factories import make_result
from runner import Runner, git, load

from recombine.benchmark.results.result import Result
from recombine.benchmark.scoring.score import score_submission
from recombine.cli.main import main
from recombine.renderer.certificate.verify import verify
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset

TOP = Path(__file__).parents[3]
FOLDER = TOP / ".github" / "workflows"
if not FOLDER.is_dir():
    pytest.skip("workflows are part of a checkout", allow_module_level=True)
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
IDS = [path.stem for path in WORKFLOWS]
RELEASE = FOLDER / "release.yml"  # alone in having a right beyond reading


def steps(path):
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=IDS)
def test_actions_are_pinned_by_commit_and_say_their_version(path):
    used = re.findall(r"uses: (.*)", path.read_text())
    assert len(used) == sum("uses" in step for step in steps(path)) > 0
    for one in used:
        known = r"(actions/[a-z-]+|pypa/gh-action-pypi-publish)"
        assert re.fullmatch(known + r"@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


def test_one_action_has_one_pin():
    used = {one for path in WORKFLOWS for one in re.findall(r"uses: (\S+)", path.read_text())}
    assert len({one.split("@")[0] for one in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=IDS)
def test_a_workflow_can_read_and_nothing_else(path):
    plan = load(path)
    assert plan["permissions"] == {"contents": "read"}
    if path != RELEASE:
        jobs = plan["jobs"].values()
        assert not any("permissions" in job or "environment" in job for job in jobs)
        assert "id-token" not in path.read_text()
    for word in ("secrets", "github.token", "GITHUB_TOKEN"):
        assert word not in path.read_text()
    # PyYAML reads the key `on` as true. Runs by a stranger's event have no secrets to begin with;
    # pull_request_target and workflow_run would have some.
    assert set(plan[True]) <= {"push", "pull_request"}
    checkouts = [s for s in steps(path) if "actions/checkout" in s.get("uses", "")]
    assert checkouts
    assert all(one["with"]["persist-credentials"] is False for one in checkouts)


def test_a_release_needs_a_tag_and_its_right_is_that_of_a_job_without_scripts():
    plan = load(RELEASE)
    assert plan[True] == {"push": {"tags": ["v*"]}}
    right = {name: job["permissions"] for name, job in plan["jobs"].items() if "permissions" in job}
    assert right == {"publish": {"id-token": "write"}}
    publish = plan["jobs"]["publish"]
    assert publish["environment"] == "pypi"
    assert set(publish["needs"]) == {"build", "test"}
    # Only what was built and tried is published: no checkout, no script, no address or password.
    names = [step.get("uses", "a script").split("@")[0] for step in publish["steps"]]
    assert names == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert "with" not in publish["steps"][1]


def test_a_release_is_tried_on_every_python_that_the_package_names():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: "
    named = [c.removeprefix(prefix) for c in project["classifiers"] if c.startswith(prefix)]
    assert load(RELEASE)["jobs"]["test"]["strategy"]["matrix"]["python"] == named


def test_a_tag_that_is_not_the_version_releases_nothing():
    version = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"]
    (script,) = (s["run"] for s in steps(RELEASE) if s.get("name") == "The tag is the version")
    for tag, code in ((f"v{version}", 0), ("v99.0", 3), (version, 3)):
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        environment = {**os.environ, "PATH": path, "GITHUB_REF_NAME": tag}
        command = ["bash", "-e", "-c", script]
        ran = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True)
        assert ran.returncode == code, ran.stderr
        assert code == 0 or tag in ran.stderr


def test_a_tag_of_the_board_keeps_its_site_with_the_day_of_the_commit(tmp_path):
    path = FOLDER / "board-release.yml"
    assert load(path)[True] == {"push": {"tags": ["board-v*"]}}
    make_result().save(tmp_path / "leaderboard" / "results")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Results", "--date", "2026-03-04T05:06:07Z")
    (script,) = (s["run"] for s in steps(path) if s.get("name") == "The release")
    summary = tmp_path / "summary.md"
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    more = {"GITHUB_REF_NAME": "board-v2026.1", "GITHUB_STEP_SUMMARY": str(summary), "PATH": path}
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, **more}, check=True)
    (made,) = json.loads((tmp_path / "archive" / "releases.json").read_text())["releases"]
    day = git(tmp_path, "log", "-1", "--format=%cs").strip()
    assert (made["version"], made["date"]) == ("2026.1", day)
    assert summary.read_text() == f"{made['sha256']}  board-2026.1.zip\n"


@pytest.mark.parametrize("path", WORKFLOWS, ids=IDS)
def test_no_expression_becomes_a_script(path):
    for step in steps(path):
        assert "${{" not in step.get("run", "")
        assert step.get("working-directory", "base") == "base"


@dataclass
class Place:
    """The leaderboard's bare repository, a maintainer's clone, and a server of data."""

    bare: Path
    maintainer: Path
    store: Path
    bundle: Path
    text: Path


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Draw data once, score a method on them, and bundle it as its author does."""
    place = tmp_path_factory.mktemp("scored")
    drawn_dataset(place / "smoke")
    verify(place / "smoke")
    sys.path.insert(0, str(TOP / "examples"))
    from mean_colour import MeanColour

    results = score_submission(
        MeanColour(), Dataset(place / "smoke"), seeds=(0,), out_dir=place / "runs"
    )
    paths = [str(result.save(place / "results")) for result in results]
    options = ["--predictions", str(place / "runs"), "--out", str(place / "submissions")]
    assert (
        main(["submission", "bundle", *paths, *options, "--authors", "A", "--licence", "MIT"]) == 0
    )
    subprocess.run(
        ["tar", "--create", "--file", "smoke.tar", "--directory", "smoke", "."],
        cwd=place, check=True,
    )  # fmt: skip
    return place


@pytest.fixture
def place(scored, tmp_path):
    bare, maintainer = tmp_path / "leaderboard.git", tmp_path / "maintainer"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), str(maintainer))
    (maintainer / "leaderboard" / "results").mkdir(parents=True)
    (maintainer / "leaderboard" / "results" / "README.md").write_text("one file per entry\n")
    (maintainer / "constraints.txt").write_text("torch==1.0\n")
    (maintainer / "trusted.py").write_text("trusted = True\n")
    digest = hashlib.sha256((scored / "smoke.tar").read_bytes()).hexdigest()
    lock = f"# sum name address\n{digest} smoke https://example.org/smoke.tar\n"
    (maintainer / "leaderboard" / "data.lock").write_text(lock)
    push(maintainer, "begin", "main")
    (bundle,) = (p for p in (scored / "submissions").iterdir() if p.is_dir())
    return Place(bare, maintainer, scored, bundle, bundle.with_suffix(".md"))


def push(clone, why, branch):
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", why)
    git(clone, "push", "--quiet", "origin", f"HEAD:{branch}")


def propose(place, tmp_path, more=lambda clone: None):
    """Play the contributor, and what GitHub does with a pull request."""
    clone = tmp_path / "contributor"
    git(tmp_path, "clone", "--quiet", str(place.bare), str(clone))
    git(clone, "switch", "--quiet", "-c", place.bundle.name)
    shutil.copytree(place.bundle, clone / "submissions" / place.bundle.name)
    more(clone)
    push(clone, "Submission", "refs/pull/7/head")
    git(place.maintainer, "fetch", "--quiet", "origin", "refs/pull/7/head")
    merge = ("merge", "--quiet", "--no-ff", "-m", "Merge", "FETCH_HEAD")
    git(place.maintainer, "switch", "--quiet", "--detach", "main")
    git(place.maintainer, *merge)
    git(place.maintainer, "push", "--quiet", "origin", "HEAD:refs/pull/7/merge")
    git(place.maintainer, "switch", "--quiet", "main")


def runner(place, tmp_path, **overrides):
    event = {
        "github.event.pull_request.base.ref": "main",
        "github.event.pull_request.number": "7",
        "hashFiles('base/leaderboard/data.lock')": "0",
    }
    workspace = tmp_path / "machine"
    workspace.mkdir()
    path = FOLDER / "submission.yml"
    return Runner(path, place.bare, workspace, event, place.store, overrides)


def test_from_a_pull_request_to_the_published_board(place, tmp_path):
    propose(place, tmp_path)
    # Meanwhile the base moved on; the proposal is behind and must not suffer.
    (place.maintainer / "trusted.py").write_text("trusted = 'still'\n")
    push(place.maintainer, "unrelated", "main")
    git(place.maintainer, "switch", "--quiet", "--detach", "main")
    git(place.maintainer, "fetch", "--quiet", "origin", "refs/pull/7/head")
    git(place.maintainer, "merge", "--quiet", "--no-ff", "-m", "Merge", "FETCH_HEAD")
    git(place.maintainer, "push", "--quiet", "--force", "origin", "HEAD:refs/pull/7/merge")
    git(place.maintainer, "switch", "--quiet", "main")

    machine = runner(place, tmp_path)
    assert machine.run() == 0, machine.log
    installed = (machine.shims / "pip.log").read_text().splitlines()
    assert [line.split()[-1] for line in installed] == ["torch==1.0+cpu", "./code"]
    assert "--constraint code/constraints.txt" in installed[1]
    assert "Scored again from the predictions" in machine.summary.read_text()
    claimed = json.loads(next(place.bundle.glob("result-*.json")).read_text())
    assert claimed["method"]["name"] in (machine.artifacts["preview"] / "index.html").read_text()
    assert not list(machine.workspace.rglob("verified.jsonl")), "no machine of a stranger's event"

    # The maintainer merges, scores once more on a trusted machine, and puts it on record.
    git(place.maintainer, "merge", "--quiet", "--no-ff", "-m", "Merge", "FETCH_HEAD")
    results = place.maintainer / "leaderboard" / "results"
    merged = place.maintainer / "submissions" / place.bundle.name
    data = ("--data", str(place.store / "smoke"), "--results", str(results))
    assert main(["submission", "review", str(merged), *data, "--out", str(results)]) == 0
    (new,) = results.glob("*.json")
    result = Result.load(new)
    assert result.trust == "rescored"
    assert result.scores.ooc_test.estimate == claimed["scores"]["ooc_test"]["estimate"]
    push(place.maintainer, "Entry", "main")
    workspace = tmp_path / "publisher"
    workspace.mkdir()
    board = Runner(FOLDER / "board.yml", place.bare, workspace, {"github.ref": "main"})
    assert board.run() == 0, board.log
    assert "rescored" in (board.artifacts["site"] / "index.html").read_text()


def test_nothing_of_a_proposal_runs_and_other_changes_are_refused(place, tmp_path):
    marker = tmp_path / "ran"
    evil = f"open({str(marker)!r}, 'w')\n"

    def plant(clone):
        for name in ("sitecustomize.py", "trusted.py", "recombine/__init__.py", "conftest.py"):
            path = clone / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(evil)
        (clone / "constraints.txt").write_text("evil==1\n")

    propose(place, tmp_path, plant)
    machine = runner(place, tmp_path)
    assert machine.run() == 3
    assert "expected only new files in submissions/" in machine.log
    assert "constraints.txt" in machine.log
    assert "evil" not in (machine.shims / "pip.log").read_text()
    assert not marker.exists()
    assert machine.artifacts == {}


@pytest.mark.parametrize(
    ("overrides", "lock", "step", "said"),
    [
        ({"MAX_MEGABYTES": "0"}, None, "Size cap", "of at most 0"),
        ({}, "# none yet\n", "Data of the leaderboard, by hash", "data.lock"),
        ({}, f"{'0' * 64} smoke https://example.org/smoke.tar\n", "Data of", "FAILED"),
    ],
)
def test_a_run_stops_at_what_is_wrong(place, tmp_path, overrides, lock, step, said):
    if lock is not None:
        (place.maintainer / "leaderboard" / "data.lock").write_text(lock)
        push(place.maintainer, "lock", "main")
    propose(place, tmp_path)
    machine = runner(place, tmp_path, **overrides)
    assert machine.run() != 0
    assert machine.done[-1].startswith(step)
    assert said in machine.log
    assert not (machine.workspace / "data" / "smoke").exists()


def test_an_empty_board_publishes_nothing(place, tmp_path):
    workspace = tmp_path / "publisher"
    workspace.mkdir()
    board = Runner(FOLDER / "board.yml", place.bare, workspace, {"github.ref": "main"})
    assert board.run() == 0, board.log
    assert board.artifacts == {}
