"""Reading training curves back from logs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recombine.benchmark.inference.runlog import FileRunLog
from recombine.benchmark.results.artifacts import CURVE_POINTS, TrainingCurve
from recombine.benchmark.running.training_curves import (
    Curve,
    Tail,
    curve_ends,
    deciding_end,
    logs,
    read_curves,
    thinned,
)
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


def test_a_kept_curve_has_few_points_that_are_means(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = 1 + rng.normal(0, 0.1, 1200)
    (kept,) = thinned(Curve("r", "encoder", tuple(range(0, 24000, 20)), tuple(values)), 3)
    assert (kept.seed, kept.name, len(kept.steps)) == (3, "encoder", CURVE_POINTS)
    assert kept.values[0] == pytest.approx(values[:20].mean(), abs=1e-4)
    assert np.mean(kept.values) == pytest.approx(values.mean(), abs=1e-4)


def test_steps_that_begin_again_begin_another_curve() -> None:
    curve = Curve("r", "loss", (0, 20, 0, 20), (4.0, 3.0, 2.0, 1e31))
    found = [(one.name, one.steps, one.values) for one in thinned(curve, 0)]
    assert found == [("loss", (0, 20), (4.0, 3.0)), ("loss 2", (0,), (2.0,))]


def _kept(name: str, first: float, last: float, seed: int = 0) -> TrainingCurve:
    """Return a curve whose fifths before and at the end have these means."""
    values = (*[9.0] * 31, *[first] * 10, *[last] * 10)
    return TrainingCurve(seed=seed, name=name, steps=tuple(range(0, 510, 10)), values=values)


def test_the_end_of_a_curve_is_told_in_words() -> None:
    falling = [_kept("encoder", 2.0, 1.8), _kept("encoder", 2.0, 1.92, seed=1)]
    (end,) = curve_ends(falling)
    assert end.change == pytest.approx(-0.07)
    assert end.words == "still falling 7 % over the last fifth"
    flat = curve_ends([_kept("decoder", -2.0, -1.99)])
    assert flat[0].words == "flat over the last fifth (+0.5 %)"
    short = TrainingCurve(seed=0, name="x", steps=(0, 1, 2), values=(3.0, 2.0, 1.0))
    assert curve_ends([short])[0].words == "too few points to say"


def test_validation_images_decide_where_there_are_any_else_the_worst_stage() -> None:
    stages = [_kept("encoder", 2.0, 1.8), _kept("decoder", 2.0, 1.0)]
    decided = deciding_end(stages)
    assert decided is not None
    assert decided.name == "decoder"
    looked = deciding_end([*stages, _kept("encoder id-val", 2.0, 2.0)])
    assert looked is not None
    assert (looked.name, looked.change) == ("encoder id-val", 0.0)
    assert deciding_end([]) is None
