"""`check`, `new-submission` and the isolation of `score`, through the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from recombine.benchmark.sandbox import bubblewrap as isolation_bwrap
from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.cli.main import main
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import ResourceError
from tests.renderer.drawn_fixture import drawn_dataset

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
    assert main(["new-submission", str(folder), "--kind", kind]) == 0
    printed = capsys.readouterr().out.splitlines()
    commands = [line.split() for line in printed if line.startswith("  recombine check")]
    assert len(commands) == 1
    assert main(commands[0][1:]) == 0
    out = capsys.readouterr().out
    assert "no check failed" in out
    assert "drawn by code, never scored" in out
    assert f"recombine score {folder}/method.py" in out
    assert main(["new-submission", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.usefixtures("bwrap")
def test_a_broken_submission_exits_3_with_reasons(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", f"{broken}:Random"]) == 3
    out = capsys.readouterr().out
    assert "checks failed: determinism" in out
    assert "determinism: draw no random numbers at test time" in out
    assert main(["check", f"{broken}:Random", "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is False
    assert report["id"] == "random"
    failed = {c["name"] for c in report["checks"] if c["status"] == "fail"}
    assert failed == {"determinism", "batch", "order"}


@pytest.mark.usefixtures("bwrap")
@pytest.mark.parametrize("command", ["check", "score"])
def test_a_thief_is_one_line_and_exit_code_3(
    command: str, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [command, f"{broken}:Thief"]
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
    assert main(["check", f"{broken}:Random"]) == 4
    error = capsys.readouterr().err
    assert "sudo apt-get install -y bubblewrap" in error
    assert error.count("\n") == 1
    assert main(["check", f"{broken}:Random", "--trust-local"]) == 3
    assert "determinism" in capsys.readouterr().out
    monkeypatch.undo()
    require_bwrap.cache_clear()


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["check", "supervisd"], 2, "Did you mean 'supervised'"),
        (["check", "FOLDER/broken.py:Rndom"], 2, "Did you mean 'Random'"),
        (["check", "FOLDER/broken.py:Random", "--max-memory-gb", "0"], 2, "--max-memory-gb"),
        (["check", "supervised", "--size", "huge"], 2, "sizes"),
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
    assert main(["check", "supervised", "--size", "tiny", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["kind"], report["id"], report["passed"]) == ("Learner", "supervised", True)
    assert report["seconds"] > 0
