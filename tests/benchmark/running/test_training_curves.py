"""Reading training curves back from logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from recombine.benchmark.inference.runlog import FileRunLog
from recombine.benchmark.running.training_curves import Curve, Tail, logs, read_curves
from recombine.renderer.core.errors import InvalidInputError


def _log(path: Path, *values: float) -> Path:
    with FileRunLog(path) as log:
        log.config_tried({"rate": 0.1}, 0.5)
        for step, value in enumerate(values):
            log.scalar("encoder", value, 20 * step)
        log.scalar("decoder", 3.0, 0)
    return path


def test_curves_are_what_training_recorded(tmp_path: Path) -> None:
    path = _log(tmp_path / "seed-0.log.jsonl", 2.0, float("nan"), 0.5)
    assert read_curves("a/seed-0", path) == [
        Curve("a/seed-0", "encoder", (0, 40), (2.0, 0.5)),
        Curve("a/seed-0", "decoder", (0,), (3.0,)),
    ]


def test_runs_are_named_from_the_folder_that_they_share(tmp_path: Path) -> None:
    one = _log(tmp_path / "runs" / "leak" / "cpu" / "seed-0.log.jsonl", 1.0)
    two = _log(tmp_path / "runs" / "supervised" / "cpu" / "seed-1.log.jsonl", 1.0)
    everything = {"leak/cpu/seed-0": one, "supervised/cpu/seed-1": two}
    assert logs([tmp_path / "runs"]) == everything
    assert logs([tmp_path / "runs" / "supervised", tmp_path / "runs" / "leak"]) == everything
    assert logs([one]) == {"seed-0": one}
    assert logs([one, two]) == everything


def test_a_log_that_grows_is_read_on_and_one_begun_again_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "seed-0.log.jsonl"
    tail = Tail(path)
    assert tail.events() == ([], False)
    path.write_text('{"a": 1}\n{"a": 2')
    assert tail.events() == ([{"a": 1}], False)
    path.write_text('{"a": 1}\n{"a": 22}\n')
    assert tail.events() == ([{"a": 22}], False)
    assert tail.events() == ([], False)
    path.write_text('{"a": 3}\n')
    assert tail.events() == ([{"a": 3}], True)


@pytest.mark.parametrize("text", ["[1]\n", "no json\n"])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.log.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="one JSON object per line"):
        read_curves("x", path)
