"""The workflows: what they may do, and what happens when their steps run on a pull request."""

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
from recombine.leaderboard.board.registry import register
from recombine.renderer.certificate.verify import verify
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset

pytestmark = pytest.mark.long

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


RIGHTS = {
    ("release", "publish"): {"id-token": "write"},
    ("board", "deploy"): {"pages": "write", "id-token": "write"},
    ("ingest", "record"): {"contents": "write"},
}
EVENTS = {
    "board": {"push", "workflow_run"},
    "board-release": {"push"},
    "ingest": {"pull_request_target"},
    "release": {"push"},
    "submission": {"pull_request_target"},
}


@pytest.mark.parametrize("path", WORKFLOWS, ids=IDS)
def test_a_workflow_can_read_and_a_job_that_can_more_runs_nothing_of_a_stranger(path):
    plan = load(path)
    assert plan["permissions"] == {"contents": "read"}
    for word in ("secrets", "github.token", "GITHUB_TOKEN", "actions/cache"):
        assert word not in path.read_text()
    # PyYAML reads the key `on` as true.
    assert set(plan[True]) == EVENTS[path.stem]
    for name, job in plan["jobs"].items():
        right = RIGHTS.get((path.stem, name), {})
        assert job.get("permissions", {}) == right
        assert job["runs-on"] == "ubuntu-24.04"  # a machine of GitHub's that is thrown away
        if "environment" in job:
            assert right, "an environment is for a job with a right of its own"
        for step in job["steps"]:
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is ("contents" in right)
            if right:  # git, and GitHub's own actions
                assert not re.search(r"python|pip|recombine", step.get("run", ""))


@pytest.mark.parametrize("name", ["submission", "ingest"])
def test_a_stranger_decides_by_no_step_how_a_proposal_is_judged(name):
    plan = load(FOLDER / f"{name}.yml")
    # Of these events GitHub takes the YAML from the default branch; `pull_request` would not.
    assert plan[True]["pull_request_target"]["branches"] == ["main"]
    for step in steps(FOLDER / f"{name}.yml"):
        place = step.get("with", {})
        if "actions/checkout" in step.get("uses", "") and place["path"] != "head":
            assert place["ref"] == "main"
        # Nothing in `head` is a command, a package or a folder that Python looks into.
        run = step.get("run", "")
        assert not re.search(r"(pip install|PYTHONPATH|cd|bash|sh|source|python) [^\n]*head", run)
        if "recombine" in run and "review" in run:
            assert step["working-directory"] == "base"
            assert step["env"]["PYTHONSAFEPATH"] == "1"


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
    """The leaderboard's bare repository, a maintainer's clone, and a submitter's files."""

    bare: Path
    maintainer: Path
    bundle: Path
    claimed: dict


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Draw data once, register them, score a method on them, and remove them again."""
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
    register(place / "smoke").saved(place / "registry")
    shutil.rmtree(place / "smoke")
    return place


@pytest.fixture
def place(scored, tmp_path):
    bare, maintainer = tmp_path / "leaderboard.git", tmp_path / "maintainer"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), str(maintainer))
    (maintainer / "leaderboard" / "results").mkdir(parents=True)
    (maintainer / "leaderboard" / "results" / "README.md").write_text("one file per entry\n")
    shutil.copytree(scored / "registry", maintainer / "leaderboard" / "datasets")
    shutil.copytree(TOP / "data_cards" / "smoke", maintainer / "data_cards" / "smoke")
    for name in (".gitignore", "renderer/blender/libraries.txt"):
        (maintainer / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, maintainer / name)
    (maintainer / "constraints.txt").write_text("torch==1.0\n")
    (maintainer / "trusted.py").write_text("trusted = True\n")
    push(maintainer, "begin", "main")
    (bundle,) = (p for p in (scored / "submissions").iterdir() if p.is_dir())
    claimed = json.loads(next(bundle.glob("result-*.json")).read_text())
    return Place(bare, maintainer, bundle, claimed)


def push(clone, why, branch):
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", why)
    git(clone, "push", "--quiet", "origin", f"HEAD:{branch}")


def propose(place, tmp_path, more=lambda clone: None):
    """Play the contributor: a fork, a branch, a push."""
    clone = tmp_path / "contributor"
    git(tmp_path, "clone", "--quiet", str(place.bare), str(clone))
    git(clone, "switch", "--quiet", "-c", place.bundle.name)
    shutil.copytree(place.bundle, clone / "submissions" / place.bundle.name)
    more(clone)
    push(clone, "Submission", "refs/pull/7/head")
    merge(place)


def merge(place):
    """Play what GitHub does with a pull request whenever it or its base moves."""
    git(place.maintainer, "fetch", "--quiet", "origin", "refs/pull/7/head", "main")
    git(place.maintainer, "switch", "--quiet", "--detach", "main")
    head = git(place.bare, "rev-parse", "refs/pull/7/head").strip()
    git(place.maintainer, "merge", "--quiet", "--no-ff", "-m", "Merge", head)
    git(place.maintainer, "push", "--quiet", "--force", "origin", "HEAD:refs/pull/7/merge")
    git(place.maintainer, "switch", "--quiet", "main")


def runner(place, tmp_path, name="submission", more=(), **overrides):
    event = {
        "github.event.pull_request.number": "7",
        "github.event.pull_request.head.sha": git(
            place.bare, "rev-parse", "refs/pull/7/head"
        ).strip(),
        **dict(more),
    }
    workspace = tmp_path / f"{name}-machine"
    workspace.mkdir()
    return Runner(FOLDER / f"{name}.yml", place.bare, workspace, event, overrides)


def accuracies(result):
    return [result["scores"][split]["estimate"] for split in ("id_test", "ooc_test")]


LABEL = {"github.event.label.name": "accept"}


def test_from_a_pull_request_to_the_published_board(place, tmp_path):
    propose(place, tmp_path)
    # Meanwhile the base moved on; the proposal is behind, and that changes nothing.
    (place.maintainer / "trusted.py").write_text("trusted = 'still'\n")
    push(place.maintainer, "unrelated", "main")
    merge(place)

    machine = runner(place, tmp_path)
    assert machine.run() == 0, machine.log
    installed = (machine.shims / "pip.log").read_text().splitlines()
    assert [line.split()[-1] for line in installed] == ["torch==1.0+cpu", "./code[render]"]
    assert "--constraint code/constraints.txt" in installed[1]
    assert "libgl1" in (machine.shims / "sudo.log").read_text()
    summary = machine.summary.read_text()
    assert "Scored again from the predictions" in summary
    assert "no image was read" in summary
    preview = machine.artifacts["preview"]
    assert place.claimed["method"]["name"] in (preview / "index.html").read_text()
    assert not list(machine.workspace.rglob("verified.jsonl")), "a check puts nothing on record"

    # The maintainer looks at the preview and gives the label.
    ingest = runner(place, tmp_path, "ingest", LABEL)
    assert ingest.run() == 0, ingest.log
    git(place.maintainer, "pull", "--quiet", "origin", "main")
    (new,) = (place.maintainer / "leaderboard" / "results").glob("*.json")
    result = Result.load(new).model_dump(mode="json")
    assert result["trust"] == "rescored"
    assert accuracies(result) == pytest.approx(accuracies(place.claimed), abs=1e-9)
    assert (place.maintainer / "submissions" / place.bundle.name / "manifest.json").is_file()
    assert "refs/pull/7/head" in git(
        place.bare, "for-each-ref", "--merged", "main", "--format", "%(refname)"
    ), "GitHub shows the pull request as merged"
    assert not git(place.maintainer, "status", "--porcelain")

    done = {"github.event.workflow_run.conclusion": "success"}
    board = runner(place, tmp_path, "board", done)
    assert board.run() == 0, board.log
    (site,) = board.deployed
    assert "rescored" in (site / "index.html").read_text()
    assert list((site / "data").iterdir()), "the data cards"


def test_nothing_of_a_proposal_runs_and_other_changes_are_refused(place, tmp_path):
    marker = tmp_path / "ran"
    evil = f"open({str(marker)!r}, 'w')\n"

    def plant(clone):
        for name in ("sitecustomize.py", "trusted.py", "recombine/__init__.py", "conftest.py"):
            path = clone / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(evil)
        (clone / "constraints.txt").write_text("evil==1\n")
        (clone / "leaderboard" / "datasets" / "smoke.toml").write_text("mine\n")
        (clone / ".github" / "workflows").mkdir(parents=True)
        (clone / ".github" / "workflows" / "submission.yml").write_text("on: push\n")

    propose(place, tmp_path, plant)
    before = git(place.bare, "rev-parse", "main")
    for name in ("submission", "ingest"):
        machine = runner(place, tmp_path, name, LABEL)
        assert machine.run() == 3
        assert "expected only new files in submissions/" in machine.log
        assert "evil" not in (machine.shims / "pip.log").read_text()
        assert not marker.exists()
        assert machine.artifacts == {}
    assert git(place.bare, "rev-parse", "main") == before


def test_what_is_pushed_after_the_label_is_not_merged(place, tmp_path):
    propose(place, tmp_path)
    accepted = git(place.bare, "rev-parse", "refs/pull/7/head").strip()
    ingest = runner(place, tmp_path, "ingest", LABEL)
    assert ingest.event["github.event.pull_request.head.sha"] == accepted
    clone = tmp_path / "contributor"
    (clone / "submissions" / "later").write_text("later\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "later")
    hold = ingest._download_artifact

    def meanwhile(options):
        git(clone, "push", "--quiet", "origin", "HEAD:refs/pull/7/head")
        return hold(options)

    ingest._download_artifact = meanwhile
    assert ingest.run() == 3
    assert "label it again" in ingest.log
    assert git(place.bare, "rev-list", "--count", "main").strip() == "1"


def test_another_label_does_nothing(place, tmp_path):
    propose(place, tmp_path)
    ingest = runner(place, tmp_path, "ingest", {"github.event.label.name": "question"})
    assert ingest.run() == 0
    assert ingest.done == []


def test_a_proposal_has_a_size(place, tmp_path):
    propose(place, tmp_path)
    machine = runner(place, tmp_path, MAX_MEGABYTES="0")
    assert machine.run() != 0
    assert machine.done[-1] == "Size cap"
    assert "of at most 0" in machine.log


def test_another_version_of_the_code_is_no_fault_of_the_submission(place, tmp_path):
    path = place.maintainer / "leaderboard" / "datasets" / "smoke.toml"
    text = path.read_text()
    # As if this version drew another plan: the same digests, and another recipe.
    path.write_text(text.replace("scale = 0.07", "scale = 0.14"))
    push(place.maintainer, "another recipe", "main")
    propose(place, tmp_path)
    machine = runner(place, tmp_path)
    assert machine.run() == 4
    assert "No submission is at fault" in machine.log


def test_an_empty_board_publishes_nothing(place, tmp_path):
    workspace = tmp_path / "publisher"
    workspace.mkdir()
    board = Runner(FOLDER / "board.yml", place.bare, workspace, {"github.event_name": "push"})
    assert board.run() == 0, board.log
    assert board.deployed == []


def test_what_a_review_fetches_is_not_committed():
    kept = "leaderboard/results/.fetched/x-0123456789/predictions/seed-0.safetensors"
    assert git(TOP, "check-ignore", kept).strip() == kept
