from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recombine.cli.main import main
from recombine.cli.measure import Influence, Interaction
from recombine.renderer.measure.influence import Masks
from recombine.renderer.measure.interaction import Report, summary


def report(objects: int) -> Report:
    """A measured dataset of four scenes, second order 0.05 of the first where there is one."""
    second = 0.1 * (objects > 1)
    arrays = {
        "index": np.arange(4),
        "objects": np.full(4, objects),
        "energy": np.tile([2.0, second, 0.0], (4, 1)),
        "energy_se": np.tile([0.0, second / 50, 0.0], (4, 1)),
        "floor": np.tile([0.0, second / 10, 0.0], (4, 1)),
        **{k: np.full(4, 0.25) for k in ("share", "share_floor", "zero", "outside")},
    }
    half = np.array([True, True, False, False])
    found = {"dataset": "two/1.0", "samples": 8}
    found |= summary(arrays, {"id_test": half, "ooc_test": ~half})
    return Report(found, *(Path(f"interaction.{x}") for x in ("h5", "json", "png")))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict:
    options: dict = {"objects": 2}

    def measure(folder: Path, **given: object) -> Report:
        options.update(given, folder=folder)
        return report(options["objects"])

    def mask(folder: Path, **given: object) -> Masks:
        options.update(given, folder=folder)
        kinds = {"object0": {"pairs": 3, "mask": 0.5, "visible": 0.125}}
        found = {"dataset": "two/1.0", "samples": 8, "kinds": kinds}
        return Masks(found, *(Path(f"counterfactual.{x}") for x in ("h5", "json", "png")))

    monkeypatch.setattr("recombine.renderer.measure.interaction.measure_dataset", measure)
    monkeypatch.setattr("recombine.renderer.measure.influence.mask_dataset", mask)
    return options


def test_table_says_what_is_measured_and_what_does_not_exist(
    asked: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Interaction(Path("data"), scenes=4, samples=8, workers=3).run() == 0
    out = capsys.readouterr().out
    assert asked["folder"] == Path("data")
    assert (asked["scenes"], asked["samples"], asked["workers"]) == (4, 8, 3)
    assert "5.00e-02 +- 5.0e-04, measured" in out
    assert "no such order" in out
    assert "ooc_test - id_test: +0.00e+00" in out
    assert "interaction.h5" in out


def test_one_object_has_no_second_order(asked: dict, capsys: pytest.CaptureFixture[str]) -> None:
    asked["objects"] = 1
    assert Interaction(Path("data")).run() == 0
    out = capsys.readouterr().out
    assert "measured" not in out.split("Order 2 and 3")[0]
    assert "with\none object there is no second order" in out


def test_json_is_the_summary_alone(asked: dict, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "interaction", "data", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(report(2).summary))
    assert asked["scenes"] == 64


@pytest.mark.parametrize(
    "options", [["--scenes", "1"], ["--samples", "0"], ["--workers", "0"]], ids=lambda o: o[0]
)
def test_numbers_out_of_range_are_usage_errors(
    asked: dict, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", "interaction", "data", *options]) == 2
    assert options[0] in capsys.readouterr().err
    assert "folder" not in asked


def test_influence_prints_shares_per_edit(asked: dict, capsys: pytest.CaptureFixture[str]) -> None:
    assert Influence(Path("data"), pairs=3).run() == 0
    out = capsys.readouterr().out
    assert asked["pairs"] == 3
    assert asked["samples"] == 0
    for text in ("object0", "50.00 %", "12.50 %", "counterfactual.h5"):
        assert text in out
    assert main(["measure", "influence", "data", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kinds"]["object0"]["pairs"] == 3


def test_a_folder_without_data_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("interaction", "influence"):
        assert main(["measure", command, str(tmp_path / "nothing")]) == 3
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "nothing" in error


@pytest.mark.parametrize("kind", [Interaction, Influence])
def test_another_folder_can_be_written_to(kind: type, asked: dict, tmp_path: Path) -> None:
    assert kind(Path("data"), out=tmp_path).run() == 0
    assert (asked["folder"], asked["out"]) == (Path("data"), tmp_path)
