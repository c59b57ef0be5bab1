"""`plot` through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recombine.benchmark.inference.runlog import FileRunLog
from recombine.cli.main import main
from tests.benchmark.factories import make_result

pytest.importorskip("matplotlib")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    make_result().save(tmp_path / "results")
    make_result(entry="pixels").save(tmp_path / "results")
    return tmp_path / "results"


def test_plot_writes_the_figure_and_says_so(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "scatter.svg"
    assert main(["plot", "scatter", str(results), "--out", str(out)]) == 0
    assert "scatter of 2 results" in capsys.readouterr().out
    assert "Pixels" in out.read_text()
    one = sorted(results.glob("*.json"))[0]
    assert main(["plot", "cells", str(one), "--out", str(out), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 1


def test_the_board_becomes_a_figure_and_a_table(results: Path, tmp_path: Path) -> None:
    figure, table = tmp_path / "rows.svg", tmp_path / "board.tex"
    assert main(["plot", "rows", str(results), "--out", str(figure)]) == 0
    assert "rank set" in figure.read_text()
    assert main(["plot", "table", str(results), "--out", str(table)]) == 0
    assert table.read_text().count("Pixels") == 1
    assert main(["plot", "table", str(results), "--out", str(table.with_suffix(".md"))]) == 0
    assert table.with_suffix(".md").read_text().count("| pixels, direct |") == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["scatter", "RESULTS", "--out", "a.jpg"], ".svg, .pdf, .png"),
        (["scatter", "EMPTY", "--out", "a.svg"], "recombine score"),
        (["cells", "RESULTS", "--out", "a.svg"], "one result file; got 2"),
        (["table", "RESULTS", "--out", "a.svg"], ".tex"),
        (["decoders", "RESULTS", "--out", "a.tex"], ".md"),
        (["training", "--out", "a.svg"], "got none"),
        (["training", "RESULTS/nothing", "--out", "a.svg"], "no such file"),
    ],
)
def test_bad_requests_are_one_line(
    argv: list[str], words: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"RESULTS": str(results), "EMPTY": str(tmp_path / "empty")}
    assert main(["plot", *(places.get(a, a) for a in argv)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_decoders_are_written_from_full_results_only(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "decoders.md"
    assert main(["plot", "decoders", str(results), "--out", str(out)]) == 3
    assert "--full" in capsys.readouterr().err
    known = {"metric": "m", "metric_version": "1.0", "direction": "higher", "n_images": 9}
    contrast = {**known, "chance": 1.0, "estimate": 0.25, "per_seed": [0.25]}
    further = {"decoder": {"compositional_contrast": contrast}}
    make_result(further=further).save(results)
    assert main(["plot", "decoders", str(results), "--out", str(out)]) == 0
    assert out.read_text().count("| 0.250 |") == 1


def test_training_curves_are_drawn_from_the_logs_of_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileRunLog(tmp_path / "runs" / "leak" / "seed-0.log.jsonl") as log:
        log.scalar("encoder", 1.5, 0)
    out = tmp_path / "curves.svg"
    assert main(["plot", "training", str(tmp_path / "runs"), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == ["leak/seed-0"]
    assert "encoder" in out.read_text()
    (tmp_path / "empty").mkdir()
    assert main(["plot", "training", str(tmp_path / "empty"), "--out", str(out)]) == 3
