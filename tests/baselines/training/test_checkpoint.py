"""kill -9 in the middle of training: run it again, and the weights are the same to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recombine.baselines.training import checkpoint
from recombine.baselines.training.loop import Schedule, endless, seeded, train
from recombine.benchmark.inference.runlog import FileRunLog
from recombine.benchmark.serving.data import Batch
from tests.baselines.drawn_fixture import DrawnData, ListLog, drawn

ROWS = ("autoencoder-replay", "vae-replay", "moco", "diet", "slot-attention", "ensemble")
KILLS = (4, 9, 15)
SCRIPT = """
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path

import torch
torch.set_num_threads(1)
from recombine.baselines.training import checkpoint
from recombine.baselines.training import loop
from recombine.baselines.registry import load_baseline
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.benchmark.inference.runlog import FileRunLog
from tests.baselines.drawn_fixture import drawn

folder, train, val = Path(sys.argv[1]), drawn(64, px=32, seed=1), drawn(24, px=32, seed=2)
checkpoint.EVERY, plain_step = 0.0, loop._step


def fit(name, where, states, killed_at):
    calls = 0

    def step(*arguments):
        nonlocal calls
        calls += 1
        if calls == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain_step(*arguments)

    loop._step, train.images_served = step, 0
    row = load_baseline(name, "tiny", cache_dir=where / "cache")
    if name == "slot-attention":
        row = replace(row, patience=1, look_every=2)
    with FileRunLog(where / "log.jsonl", states) as log:
        method = row.fit(train, val, seed=3, budget=TrainBudget(), log=log)
    method.setup(train.spec, torch.device("cpu"))
    images = val.images[:4]
    answer = method.read(method.init(images)) if hasattr(method, "init") else method.encode(images)
    events = [json.loads(line) for line in (where / "log.jsonl").read_text().splitlines()]
    curves = [{k: v for k, v in event.items() if k != "t"} for event in events]
    return answer.slots.tolist(), curves, train.images_served, log.generated, calls


for name in sys.argv[3:]:
    whole = fit(name, folder / name / "whole", None, -1)
    where, killed = folder / name / "killed", 0
    for moment in json.loads(sys.argv[2]):
        child = os.fork()
        if child == 0:
            fit(name, where, where / "states", moment)
            os._exit(0)
        killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    again = fit(name, where, where / "states", -1)
    same = [a == b for a, b in zip(whole, again)]
    print(json.dumps({"name": name, "killed": killed, "same": same[:4], "steps": again[4],
                      "whole": whole[4]}), flush=True)
"""


def test_killed_training_resumes_to_the_same_bits(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(KILLS), *ROWS],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["name"] for one in told] == list(ROWS)
    for one in told:
        assert one["killed"] >= 1, one
        assert one["same"] == [True] * 4, one  # answers, curves, images served, generated
        assert one["steps"] < one["whole"], one  # the rest only, not everything again


class _Noisy(nn.Module):
    """Draws from the global generator and from its own, and keeps a running mean."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator
        self.slope = nn.Parameter(torch.zeros(3))
        self.normal = nn.BatchNorm1d(3)

    def error(self, batch: Batch) -> Tensor:
        x = batch.factors["object.x"][:, None] + torch.rand(3, generator=self.generator)
        x = nn.functional.dropout(self.normal(x), 0.3)
        return (x * self.slope - 1).square().mean()


def _fit(data: DrawnData, log: ListLog | FileRunLog, steps: int, stop_at: int = -1) -> _Noisy:
    schedule = Schedule(steps=steps, batch_size=6, rate=0.05)
    with seeded(1) as generator:
        model = _Noisy(generator)

        def loss(batch: Batch) -> Tensor:
            log.count_generated(2)
            if log.generated == 2 * stop_at:
                raise KeyboardInterrupt
            return model.error(batch)

        train(model, loss, endless(data, 6, steps, seed=0), schedule, log=log, name="noisy")
    return model


def _states(model: nn.Module) -> dict[str, list[float]]:
    return {key: value.tolist() for key, value in model.state_dict().items()}


def test_every_random_source_and_buffer_is_part_of_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    data = drawn(20, px=16, seed=0)
    whole = _fit(data, ListLog(), 25)
    served = data.images_served
    with FileRunLog(tmp_path / "log", tmp_path / "states") as log, pytest.raises(KeyboardInterrupt):
        _fit(data, log, 25, stop_at=18)
    data.images_served = 0
    with FileRunLog(tmp_path / "log", tmp_path / "states") as log:
        again = _fit(data, log, 25)
        assert log.generated == 50
    assert _states(again) == _states(whole)
    assert data.images_served == served == 150
    steps = [json.loads(line).get("step") for line in (tmp_path / "log").read_text().splitlines()]
    assert steps == [0, 20, None]


def test_another_stage_finds_nothing_and_a_damaged_state_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    data = drawn(20, px=16, seed=0)
    with FileRunLog(tmp_path / "log", tmp_path / "states") as log:
        _fit(data, log, 5)
        _fit(data, log, 6)  # another schedule
    assert log.generated == 2 * 11
    paths = sorted((tmp_path / "states").iterdir())
    assert len(paths) == 2
    with FileRunLog(tmp_path / "log", tmp_path / "states") as log:
        _fit(data, log, 5)
    assert log.generated == 2 * 5  # from the state: no step was made again
    for path in paths:
        path.write_bytes(path.read_bytes()[:100])
    with FileRunLog(tmp_path / "log", tmp_path / "states") as log:
        assert _states(_fit(data, log, 5)) == _states(_fit(data, ListLog(), 5))


def test_states_are_kept_only_where_the_log_says_and_now_and_then(tmp_path: Path) -> None:
    data = drawn(20, px=16, seed=0)
    with FileRunLog(tmp_path / "log") as log:
        _fit(data, log, 5)
    with FileRunLog(tmp_path / "log", tmp_path / "states") as log:
        _fit(data, log, 5)  # is over long before `EVERY`
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
