"""`submission`: new, check, bundle and review, from an example to a ledger."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from recombine.benchmark.results.credit import Credit
from recombine.benchmark.results.result import Result, with_credit
from recombine.benchmark.sandbox import bubblewrap as isolation_bwrap
from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.cli.main import main
from recombine.leaderboard.ledger.records import read_tiers
from recombine.leaderboard.submissions.bundle import write_bundle
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import ResourceError
from recombine.renderer.store import dataset as reader
from tests.renderer.drawn_fixture import drawn_dataset

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / name) for name in ("leaderboard", "benchmark")]

from world import METHOD, bundle_in, dataset, found, score_once  # noqa: E402 - the path comes first

pytestmark = pytest.mark.long

BROKEN = """
import torch
from recombine.benchmark.protocol.contract import SlotOutput

class Random:
    slot_dim = 3

    def setup(self, spec, device):
        self.slots = spec.max_slots

    def encode(self, images):
        return SlotOutput(slots=torch.rand(len(images), self.slots, 3))

class Thief:
    def __init__(self):
        open("/etc/shadow")
"""


@pytest.fixture
def bwrap() -> None:
    try:
        require_bwrap()
    except ResourceError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken" / "broken.py"
    path.parent.mkdir()
    path.write_text(BROKEN)
    return path


@pytest.mark.usefixtures("bwrap")
@pytest.mark.parametrize("kind", ["encoder", "inverter"])
def test_new_submission_then_check(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    assert main(["submission", "new", str(folder), "--kind", kind]) == 0
    printed = capsys.readouterr().out.splitlines()
    commands = [line.split() for line in printed if line.startswith("  recombine submission check")]
    assert len(commands) == 1
    assert main(commands[0][1:]) == 0
    out = capsys.readouterr().out
    assert "no check failed" in out
    assert "drawn by code, never scored" in out
    assert f"recombine score {folder}/method.py" in out
    assert main(["submission", "new", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.usefixtures("bwrap")
def test_a_broken_submission_exits_3_with_reasons(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submission", "check", f"{broken}:Random"]) == 3
    out = capsys.readouterr().out
    assert "checks failed: determinism" in out
    assert "determinism: draw no random numbers at test time" in out
    assert main(["submission", "check", f"{broken}:Random", "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is False
    assert report["id"] == "random"
    failed = {c["name"] for c in report["checks"] if c["status"] == "fail"}
    assert failed == {"determinism", "batch", "order"}


@pytest.mark.usefixtures("bwrap")
@pytest.mark.parametrize("command", ["submission check", "score"])
def test_a_thief_is_one_line_and_exit_code_3(
    command: str, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*command.split(), f"{broken}:Thief"]
    if command == "score":
        drawn_dataset(tmp_path / "data")
        assert verify(tmp_path / "data").passed
        argv += ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "results")]
        assert main(argv) == 3
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "[outside-file]" in error
        assert not (tmp_path / "results").exists()
        return
    assert main(argv) == 3
    assert "/etc/shadow" in capsys.readouterr().out


def test_without_bubblewrap(
    broken: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require_bwrap.cache_clear()
    monkeypatch.setattr(isolation_bwrap.shutil, "which", lambda _name: None)
    assert main(["submission", "check", f"{broken}:Random"]) == 4
    error = capsys.readouterr().err
    assert "sudo apt-get install -y bubblewrap" in error
    assert error.count("\n") == 1
    assert main(["submission", "check", f"{broken}:Random", "--trust-local"]) == 3
    assert "determinism" in capsys.readouterr().out
    monkeypatch.undo()
    require_bwrap.cache_clear()


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["submission", "check", "supervisd"], 2, "Did you mean 'supervised'"),
        (["submission", "check", "FOLDER/broken.py:Rndom"], 2, "Did you mean 'Random'"),
        (
            ["submission", "check", "FOLDER/broken.py:Random", "--max-memory-gb", "0"],
            2,
            "--max-memory-gb",
        ),
        (["submission", "check", "supervised", "--size", "huge"], 2, "sizes"),
    ],
)
def test_bad_input_is_one_line(
    argv: list[str], code: int, words: str, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.replace("FOLDER", str(broken.parent)) for word in argv]) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_baseline_is_checked_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submission", "check", "supervised", "--size", "tiny", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["kind"], report["id"], report["passed"]) == ("Learner", "supervised", True)
    assert report["seconds"] < 120


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    return score_once(tmp_path_factory.mktemp("scored"))


def submit(scored, out, *more):
    results, runs = scored
    args = ["--predictions", str(runs), "--out", str(out), "--licence", "MIT"]
    return main(["submission", "bundle", *map(str, results), *args, *more])


def test_a_bundle_and_its_text_are_judged(scored, tmp_path, capsys, monkeypatch):
    assert submit(scored, tmp_path / "s", "--authors", "A. Name", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert "Contract check: not run" in Path(made["pull_request"]).read_text()
    monkeypatch.setattr(reader, "Dataset", lambda folder: dataset())
    args = ["--data", "x", "--results", str(tmp_path / "now"), "--out", str(tmp_path / "new")]
    summary = tmp_path / "summary.md"
    assert main(["submission", "review", made["bundle"], *args, "--summary", str(summary)]) == 0
    assert "added" in summary.read_text()
    (result,) = (tmp_path / "new").glob("*.json")
    assert json.loads(result.read_text())["trust"] == "rescored"


def test_predictions_are_found_below_the_folder_of_the_results(scored, tmp_path, capsys):
    results, runs = scored
    there = [Path(shutil.copy2(path, tmp_path)) for path in results]
    for picture in results[0].parent.glob("*.png"):
        shutil.copy2(picture, tmp_path)
    call = ["submission", "bundle", *map(str, there), "--authors", "A. Name", "--licence", "MIT"]
    call += ["--out", str(tmp_path / "s")]
    assert main(call) == 3
    assert "--predictions" in capsys.readouterr().err
    shutil.copytree(runs, tmp_path / "runs")
    assert main(call) == 0


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


def test_what_the_card_says_need_not_be_said_again(scored, tmp_path):
    said = Credit(authors=("A. Name",), licence="closed", paper="https://example.org/p")
    results = [with_credit(Result.load(path), said).save(tmp_path) for path in scored[0]]
    assert submit((results, scored[1]), tmp_path / "s", "--paper", "https://example.org/q") == 0
    (card,) = (tmp_path / "s").glob("*/method.json")
    found = json.loads(card.read_text())
    given = (found["authors"], found["licence"], found["paper"])
    assert given == (["A. Name"], "MIT", "https://example.org/q")


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
    assert main(["submission", "review", str(tmp_path / "head"), *args]) == 3
    assert "evil.py" in capsys.readouterr().err


@pytest.fixture
def its_data(monkeypatch):
    monkeypatch.setattr(reader, "Dataset", lambda folder: dataset())


def review(head, *more):
    return main(
        ["submission", "review", str(head), "--data", "x", "--results", "none", *map(str, more)]
    )


def ids(paths):
    return {Result.load(path).result_id for path in paths}


@pytest.mark.usefixtures("its_data")
def test_a_bundle_is_recorded_as_rescored(scored, tmp_path):
    bundle = bundle_in(tmp_path / "s", scored)
    assert review(bundle.folder, "--out", tmp_path / "out") == 0
    assert read_tiers(tmp_path / "out") == dict.fromkeys(
        ids((tmp_path / "out").glob("*.json")), "rescored"
    )
    assert review(bundle.folder, "--out", tmp_path / "new", "--no-record") == 0
    assert read_tiers(tmp_path / "new") == {}


@pytest.mark.usefixtures("its_data")
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


@pytest.mark.usefixtures("its_data")
def test_in_place_only_the_ledger_is_added(scored, tmp_path):
    results, runs = scored
    folder = Path(shutil.copytree(results[0].parent, tmp_path / "r"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert review(next(folder.glob("*.json")), "--runs", runs) == 0
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {name: after[name] for name in before} == before
    assert "verified.jsonl" in after


@pytest.mark.usefixtures("its_data")
def test_a_prettier_number_is_not_recorded(scored, tmp_path, capsys):
    results, runs = scored
    plain = json.loads(results[0].read_text())
    plain["training"]["generated_images_seen"] += 1
    fields = {k: v for k, v in plain.items() if k not in ("schema_version", "result_id")}
    forged = Result.sealed(**fields).save(tmp_path / "r" / "forged.json")
    assert review(forged, "--runs", runs) == 3
    assert "training/generated_images_seen" in capsys.readouterr().err
    assert read_tiers(tmp_path / "r") == {}


@pytest.mark.usefixtures("its_data")
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


@pytest.mark.usefixtures("its_data")
def test_a_file_without_a_key_is_named(scored, tmp_path, capsys):
    (tmp_path / "key").write_text("secret words")
    bundle = bundle_in(tmp_path / "s", scored)
    assert review(bundle.folder, "--key", tmp_path / "key", "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "64 hexadecimal digits" in error
    assert "secret words" not in error
