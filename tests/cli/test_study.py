"""`study` at its tiny size: a report, a picture, and nothing computed twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recombine.cli.main import main

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("study", ["invertibility", "variance"])
def test_a_study_reports_draws_and_resumes(
    study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["study", study, "--out", str(tmp_path), "--size", "tiny", "--workers", "1"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert f"picture: {tmp_path / study}.svg" in out
    assert "holds: " in out or "FAILS: " in out
    units = sorted((tmp_path / "units").iterdir())
    times = [path.stat().st_mtime_ns for path in units]
    assert main([*argv, "--json", "--picture", "png"]) == 0
    printed = json.loads(capsys.readouterr().out)
    report = json.loads(Path(printed["report"]).read_text())
    assert len(report["rows"]) == len(units)
    assert [c["holds"] for c in report["claims"]] == [c["holds"] for c in printed["claims"]]
    assert Path(printed["picture"]).read_bytes().startswith(b"\x89PNG")
    assert [path.stat().st_mtime_ns for path in units] == times


def test_no_seeds_no_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "variance", "--out", str(tmp_path), "--seeds", "0"]) == 2
    assert "--seeds" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["granularity"], ["variance", "--data", "runs/smoke"]])
def test_only_the_study_on_data_takes_data(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *words, "--out", str(tmp_path)]) == 2
    assert "--data: expected a dataset folder for granularity" in capsys.readouterr().err
