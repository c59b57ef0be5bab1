"""`compare` and `rescore` through the command line, on drawn data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recombine.benchmark.results.result import Result
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission
from recombine.cli.main import main
from recombine.renderer.certificate.verify import verify
from recombine.renderer.store.dataset import Dataset
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
            f"{source}:Small",
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
    assert main(["compare", *files]) == 0
    out = capsys.readouterr().out
    assert "joint slot accuracy" in out
    assert "object.shape" in out
    assert "the first has 2 seeds" in out
    assert main(["compare", *files, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    scores = [Result.load(file).scores.ooc_test.estimate for file in files]
    assert data["headline"][0]["difference"]["value"] == pytest.approx(scores[0] - scores[1])
    assert data["second"] == Result.load(files[1]).result_id


def test_compare_refuses_a_missing_file(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(results / "small1.json"), str(results / "none.json")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_rescore_a_folder_is_identical_and_writes_the_same_bytes(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["rescore", str(results), "--data", str(results / "data"), "--out", str(tmp_path)]
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
    argv = ["rescore", str(forged), "--data", str(results / "data"), "--runs", str(results)]
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
    assert main(["rescore", str(tmp_path), "--data", str(tmp_path)]) == 2
    assert "recombine score" in capsys.readouterr().err
