"""The log counts and writes one valid JSON line per event."""

import json

import pytest

from recombine.benchmark.runlog import FileRunLog
from recombine.renderer.errors import UsageError


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_counts_and_lines(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    with FileRunLog(path) as log:
        log.count_generated(10)
        log.count_generated(5)
        log.config_tried({"lr": 0.1, "path": tmp_path}, 0.9)
        log.scalar("loss", 2.0, 7)
    assert (log.generated, log.configs) == (15, 1)
    config, scalar, end = events(path)
    assert config["score"] == 0.9
    assert config["config"]["lr"] == 0.1
    assert (scalar["name"], scalar["value"], scalar["step"]) == ("loss", 2.0, 7)
    assert (end["event"], end["generated"], end["configs"]) == ("end", 15, 1)
    assert 0 <= config["t"] <= end["t"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_without_a_number_are_null(tmp_path, value):
    with FileRunLog(tmp_path / "log.jsonl") as log:
        log.scalar("loss", value, 0)
    assert "NaN" not in (tmp_path / "log.jsonl").read_text()
    assert events(tmp_path / "log.jsonl")[0]["value"] is None


def test_lines_are_there_while_the_run_goes_on(tmp_path):
    with FileRunLog(tmp_path / "log.jsonl") as log:
        log.scalar("loss", 1.0, 0)
        assert len(events(tmp_path / "log.jsonl")) == 1


def test_negative_counts_are_refused(tmp_path):
    with FileRunLog(tmp_path / "log.jsonl") as log, pytest.raises(UsageError, match="got -1"):
        log.count_generated(-1)
