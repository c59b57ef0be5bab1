"""`results`: compare, rescore, plot and table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recombine.benchmark.inference.runlog import FileRunLog
from recombine.benchmark.results.result import Result
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission
from recombine.benchmark.submissions.loading import load_learner
from recombine.cli.main import main
from recombine.renderer.certificate.verify import verify
from recombine.renderer.store.dataset import Dataset
from tests.benchmark.factories import make_result
from tests.renderer.drawn_fixture import drawn_dataset

METHOD = """
import torch
from recombine.benchmark.protocol.contract import SlotOutput

class Small:
    size = {size}
    slot_dim = 3 * {size} ** 2

    def setup(self, spec, device):
        self.slots = spec.max_slots

    def encode(self, images):
        small = torch.nn.functional.adaptive_avg_pool2d(images, self.size).flatten(1)
        return SlotOutput(slots=small[:, None, :].repeat(1, self.slots, 1))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score two methods on one dataset; return the folder of results, runs and data."""
    folder = tmp_path_factory.mktemp("compare")
    drawn_dataset(folder / "data")
    assert verify(folder / "data").passed
    for size in (1, 2):
        source = folder / f"small{size}.py"
        source.write_text(METHOD.format(size=size))
        (result,) = score_submission(
            load_learner(f"{source}:Small"),
            Dataset(folder / "data"),
            seeds=(0, 1),
            out_dir=folder / "runs" / str(size),
            options=RunOptions(readout_labels=60),
        )
        result.save(folder / f"small{size}.json")
    return folder


def test_compare_prints_for_people_and_programs(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(results / f"small{size}.json") for size in (1, 2)]
    assert main(["results", "compare", *files]) == 0
    out = capsys.readouterr().out
    assert "joint slot accuracy" in out
    assert "object.shape" in out
    assert "A has 2 seeds" in out
    assert main(["results", "compare", *files, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    scores = [Result.load(file).scores.ooc_test.estimate for file in files]
    assert data["headline"][0]["difference"]["value"] == pytest.approx(scores[0] - scores[1])
    assert data["second"] == Result.load(files[1]).result_id


def test_compare_refuses_a_missing_file(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["results", "compare", str(results / "small1.json"), str(results / "none.json")]) == 3
    )
    assert capsys.readouterr().err.count("\n") == 1


def test_rescore_a_folder_is_identical_and_writes_the_same_bytes(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [
        "results",
        "rescore",
        str(results),
        "--data",
        str(results / "data"),
        "--out",
        str(tmp_path),
    ]
    assert main(argv) == 0
    assert capsys.readouterr().out.count(": identical, OOC") == 2
    for size in (1, 2):
        name = f"small{size}.json"
        assert (tmp_path / name).read_bytes() == (results / name).read_bytes()


def test_a_forged_entry_exits_5_and_shows_the_number(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = Result.load(results / "small2.json").model_dump(
        mode="json", exclude={"schema_version", "result_id"}
    )
    factor = plain["scores"]["ooc_test"]
    factor["chance"] = 0.5
    forged = Result.sealed(**plain).save(tmp_path / "forged.json")
    argv = [
        "results",
        "rescore",
        str(forged),
        "--data",
        str(results / "data"),
        "--runs",
        str(results),
    ]
    assert main(argv) == 5
    out = capsys.readouterr().out
    assert "forged.json: contradiction" in out
    assert "scores/ooc_test/chance: 0.5 -> 0.0625" in out
    assert main([*argv, "--json"]) == 5
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["verdict"] == "contradiction"
    assert {"path": "scores/ooc_test/chance", "old": 0.5, "new": 0.0625} in entry["changes"]


def test_an_empty_folder_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", "rescore", str(tmp_path), "--data", str(tmp_path)]) == 2
    assert "recombine score" in capsys.readouterr().err


@pytest.fixture
def files(tmp_path: Path) -> Path:
    make_result().save(tmp_path / "results")
    make_result(entry="pixels").save(tmp_path / "results")
    return tmp_path / "results"


def test_plot_writes_the_figure_and_says_so(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "scatter.svg"
    assert main(["results", "plot", "scatter", str(files), "--out", str(out)]) == 0
    assert "scatter of 2 results" in capsys.readouterr().out
    assert "Pixels" in out.read_text()
    one = sorted(files.glob("*.json"))[0]
    assert main(["results", "plot", "cells", str(one), "--out", str(out), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 1


def test_the_board_becomes_a_figure_and_a_table(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure, table = tmp_path / "rows.svg", tmp_path / "board.tex"
    assert main(["results", "plot", "rows", str(files), "--out", str(figure)]) == 0
    assert "verdict" in figure.read_text()
    assert main(["results", "table", str(files), "--out", str(table)]) == 0
    assert table.read_text().count("Pixels") == 1
    assert main(["results", "table", str(files), "--out", str(table.with_suffix(".md"))]) == 0
    text = table.with_suffix(".md").read_text()
    assert text.count("| pixels, direct |") == 1
    capsys.readouterr()
    assert main(["results", "table", str(files)]) == 0
    assert capsys.readouterr().out == text + "\n"
    assert main(["results", "table", str(files), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 2


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["plot", "scatter", "RESULTS", "--out", "a.jpg"], ".svg, .pdf, .png"),
        (["plot", "scatter", "EMPTY", "--out", "a.svg"], "recombine score"),
        (["plot", "cells", "RESULTS", "--out", "a.svg"], "one result file; got 2"),
        (["table", "RESULTS", "--out", "a.svg"], ".tex"),
        (["table", "--decoders", "RESULTS", "--out", "a.tex"], ".md"),
        (["plot", "training", "--out", "a.svg"], "got none"),
        (["plot", "training", "RESULTS/nothing", "--out", "a.svg"], "no such file"),
    ],
)
def test_bad_requests_are_one_line(
    argv: list[str], words: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"RESULTS": str(files), "EMPTY": str(tmp_path / "empty")}
    assert main(["results", *(places.get(a, a) for a in argv)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_decoders_are_written_from_full_results_only(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "decoders.md"
    assert main(["results", "table", "--decoders", str(files), "--out", str(out)]) == 3
    assert "--full" in capsys.readouterr().err
    known = {"metric": "m", "metric_version": "1.0", "direction": "higher", "n_images": 9}
    contrast = {**known, "chance": 1.0, "estimate": 0.25, "per_seed": [0.25]}
    further = {"decoder": {"compositional_contrast": contrast}}
    make_result(further=further).save(files)
    assert main(["results", "table", "--decoders", str(files), "--out", str(out)]) == 0
    assert out.read_text().count("| 0.250 |") == 1


def test_training_curves_are_drawn_from_the_logs_of_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileRunLog(tmp_path / "runs" / "leak" / "seed-0.log.jsonl") as log:
        log.scalar("encoder", 1.5, 0)
    out = tmp_path / "curves.svg"
    assert (
        main(["results", "plot", "training", str(tmp_path / "runs"), "--out", str(out), "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["runs"] == ["leak/seed-0"]
    assert "encoder" in out.read_text()
    (tmp_path / "empty").mkdir()
    assert main(["results", "plot", "training", str(tmp_path / "empty"), "--out", str(out)]) == 3
