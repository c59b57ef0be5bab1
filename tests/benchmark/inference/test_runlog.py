"""The log counts and writes one valid JSON line per event."""

import json

import pytest

from recombine.benchmark.inference import runlog
from recombine.benchmark.inference.runlog import FileRunLog, drop_states, states_folder
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.renderer.core.errors import UsageError


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


def test_a_resumed_log_goes_on_from_the_state(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(runlog.time, "monotonic", lambda: now[0])
    path, states = tmp_path / "log.jsonl", tmp_path / "states"
    with FileRunLog(path, states) as log:
        log.count_generated(3)
        log.config_tried({}, 0.5)
        state = log.state()
        log.scalar("lost", 1.0, 1)
    states.mkdir()
    with FileRunLog(path, states) as log:
        log.scalar("before the state is found", 1.0, 0)
        log.restore({**state, "seconds": 50.0})
        log.count_generated(1)
        now[0] += 2.0
        assert log.seconds == 52.0
    assert (log.generated, log.configs) == (4, 1)
    assert [event["event"] for event in events(path)] == ["config", "end"]
    assert events(path)[-1]["generated"] == 4


def test_without_states_a_log_begins_anew(tmp_path):
    for _ in range(2):
        with FileRunLog(tmp_path / "log.jsonl", tmp_path / "states") as log:
            log.scalar("loss", 1.0, 0)
    assert len(events(tmp_path / "log.jsonl")) == 2


def test_states_belong_to_one_run_and_go_with_it(tmp_path):
    budget = TrainBudget()
    kept = [states_folder(tmp_path, seed, key * 16, budget) for seed in (1, 11) for key in "ab"]
    assert len(set(kept)) == 4
    for folder in kept:
        folder.mkdir()
    drop_states(tmp_path, 1)
    assert [folder.exists() for folder in kept] == [False, False, True, True]
    assert states_folder(tmp_path, 1, "key", TrainBudget(max_seconds=1)) is None
    assert states_folder(tmp_path, 1, "key", TrainBudget(max_gflop=1)) is None
