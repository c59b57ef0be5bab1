from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recombine.baselines.training.loop import (
    Schedule,
    autocast,
    budget_share,
    cached_stage,
    endless,
    learning_rate,
    seeded,
    train,
)
from recombine.benchmark.inference.runlog import FileRunLog
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.benchmark.running.training_curves import read_curves
from recombine.benchmark.serving.data import Batch
from tests.baselines.drawn_fixture import DrawnData, ListLog, drawn


@pytest.fixture(scope="module")
def few() -> DrawnData:
    return drawn(20, px=16, seed=0)


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    schedule = Schedule(steps=50, rate=2.0)
    rates = [learning_rate(schedule, s) for s in range(50)]
    assert rates[4] == max(rates) == 2.0
    assert rates[:5] == sorted(rates[:5])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("limit", "share"), [(None, 1.0), (2000, 1.0), (500, 0.5), (1, 0.001)])
def test_budget_share(limit: int | None, share: float) -> None:
    assert budget_share(TrainBudget(max_images_seen=limit), 1000) == share


def test_within_scales_steps_only() -> None:
    schedule = Schedule(steps=100, batch_size=8, rate=0.5)
    half = schedule.within(0.5)
    assert asdict(half) == {**asdict(schedule), "steps": 50}
    assert schedule.within(1e-9).steps == 1


def test_endless_serves_equal_batches_and_whole_epochs(few: DrawnData) -> None:
    before = few.images_served
    batches = list(endless(few, 8, 5, seed=3))
    assert [len(b.images) for b in batches] == [8] * 5
    assert few.images_served - before == 40
    first_epoch = torch.cat([b.factors["object.x"] for b in batches[:2]])
    assert len(first_epoch.unique()) == 16
    assert not torch.equal(batches[0].images, batches[2].images)


def test_endless_cuts_batches_to_the_data(few: DrawnData) -> None:
    assert [len(b.images) for b in endless(few, 64, 3, seed=0)] == [20, 20, 20]


class _Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))
        self.fixed = nn.Parameter(torch.ones(1), requires_grad=False)

    def error(self, batch: Batch) -> Tensor:
        x = batch.factors["object.x"]
        return (self.slope * x - 3 * x).square().mean()


def test_train_fits_a_line_and_logs(few: DrawnData, run_log: ListLog) -> None:
    model = _Line()
    schedule = Schedule(steps=300, batch_size=10, rate=0.1, weight_decay=0.0)
    train(model, model.error, endless(few, 10, 300, seed=0), schedule, log=run_log, name="line")
    assert float(model.slope.detach()) == pytest.approx(3, abs=0.05)
    assert float(model.fixed.detach()) == 1
    assert not model.training
    assert [s for _, _, s in run_log.scalars] == list(range(0, 300, 20))
    assert run_log.scalars[-1][1] < run_log.scalars[0][1] / 100


def test_train_stops_at_the_deadline(few: DrawnData, run_log: ListLog) -> None:
    model, before = _Line(), few.images_served
    train(
        model,
        model.error,
        endless(few, 10, 100, seed=0),
        Schedule(steps=100, batch_size=10),
        log=run_log,
        name="line",
        deadline=time.monotonic() - 1,
    )
    assert few.images_served - before == 10


def test_seeded_is_repeatable_and_leaves_the_outside_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with seeded(5) as generator:
        inside = torch.rand(3), torch.rand(3, generator=generator)
    assert torch.equal(torch.rand(3), expected)
    with seeded(5) as generator:
        again = torch.rand(3), torch.rand(3, generator=generator)
    assert torch.equal(inside[0], again[0])
    assert torch.equal(inside[1], again[1])
    assert not torch.equal(inside[0], inside[1])


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("float32", None)])
def test_autocast(precision: str, dtype: torch.dtype | None) -> None:
    with autocast(precision):  # type: ignore[arg-type]
        product = torch.rand(2, 2) @ torch.rand(2, 2)
    assert product.dtype == (dtype or torch.float32)


def test_fingerprint_changes_with_pixels_and_labels() -> None:
    data = drawn(4, px=16, seed=0)
    before = data.fingerprint()
    assert drawn(4, px=16, seed=0).fingerprint() == before
    assert data.images_served == 0
    data.factors["object.shape"][0] = (data.factors["object.shape"][0] + 1) % 4
    relabelled = data.fingerprint()
    assert relabelled != before
    data.images[0, 0, 0, 0] = 1 - data.images[0, 0, 0, 0].round()
    assert data.fingerprint() not in (before, relabelled)


class _Counter:
    def __init__(self) -> None:
        self.built = 0

    def __call__(self) -> dict[str, Tensor]:
        self.built += 1
        return {"a": torch.arange(3.0) + self.built}


def test_a_stage_is_built_once_per_identity(tmp_path: Path) -> None:
    build, folder = _Counter(), tmp_path / "cache"
    first, found = cached_stage(folder, {"seed": 0}, build)
    assert not found
    again, found = cached_stage(folder, {"seed": 0}, build)
    assert found
    assert build.built == 1
    assert torch.equal(first["a"], again["a"])
    cached_stage(folder, {"seed": 1}, build)
    assert build.built == 2
    assert {p.suffix for p in folder.iterdir()} == {".safetensors"}


def test_a_stage_found_again_tells_its_curve_and_its_time(tmp_path: Path) -> None:
    build = _Counter()
    with FileRunLog(tmp_path / "one.log.jsonl") as log:
        log.scalar("encoder", 0.5, 20)
        log.count_spent(100.0, 50.0)
        cached_stage(tmp_path / "cache", {}, build, log)
    with FileRunLog(tmp_path / "two.log.jsonl") as log:
        assert cached_stage(tmp_path / "cache", {}, build, log)[1]
        assert log.seconds >= 100
        assert log.cpu_seconds >= 50
    (curve,) = read_curves("", tmp_path / "two.log.jsonl")
    assert (curve.name, curve.steps, curve.values) == ("encoder", (20,), (0.5,))


def test_a_damaged_stage_is_built_again(tmp_path: Path) -> None:
    build = _Counter()
    cached_stage(tmp_path, {}, build)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:20])
    _, found = cached_stage(tmp_path, {}, build)
    assert not found
    assert cached_stage(tmp_path, {}, build)[1]


def test_without_a_folder_nothing_is_stored(tmp_path: Path) -> None:
    build = _Counter()
    for _ in range(2):
        assert not cached_stage(None, {}, build)[1]
    assert build.built == 2
    assert list(tmp_path.iterdir()) == []
