"""Streams that are closed, full or not read, and paths that no file can have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recombine.cli.main import main

RECOMBINE = f"{sys.executable} -m recombine.cli.main"


def shell(words: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash and end with the exit code of its first command."""
    line = f"{RECOMBINE} {words}\nexit ${{PIPESTATUS[0]}}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help | head -0", 0),
        ("render --help | head -0", 0),
        ("--help >&-", 0),
        ("--help <&- >&- 2>&-", 0),
        ("rendr >&- 2>&-", 2),
        ("rendr 2>/dev/full", 2),
        ("render --wrokers 2 >&- 2>&-", 2),
    ],
)
def test_nobody_who_reads_is_no_error(words: str, code: int) -> None:
    done = shell(words)
    assert done.returncode == code, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("words", ["--version", "--help", "render --help", "dataset"])
def test_a_full_disk_behind_stdout_is_one_line(words: str) -> None:
    done = shell(f"{words} >/dev/full")
    assert done.returncode == 4
    assert done.stderr.startswith("recombine: stdout: expected a place to write to; got No space")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["render", "smoke", "--out", ""],
        ["render", "smoke", "--out="],
        ["render", "smoke", "--out", "a" * 256],
        ["render", "smoke", "--out", "ä" * 130],
        ["dataset", "verify", ""],
        ["dataset", "verify", f"/tmp/{'a' * 300}/x"],
        ["dataset", "verify", "x/" * 2100],
        ["board", "build", "--data", ""],
    ],
)
def test_a_path_that_no_file_can_have_is_a_usage_error(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("recombine: path: expected 1 to 240 bytes per name")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_the_system_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def refused(_args: list[str]) -> None:
        raise OSError(5, "Input/output error", str(tmp_path / "disk"))

    monkeypatch.setattr("recombine.cli.main.parse", refused)
    assert main(["dataset", "verify", str(tmp_path)]) == 4
    said = capsys.readouterr().err
    assert said == f"recombine: {tmp_path / 'disk'}: the system refused it: Input/output error\n"
