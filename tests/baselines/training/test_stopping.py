from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from recombine.baselines.registry import load_baseline
from recombine.baselines.training.loop import EarlyStop, Schedule, endless, train
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.benchmark.serving.data import Batch, TrainData
from recombine.renderer.core.errors import UsageError
from tests.baselines.drawn_fixture import DrawnData, ListLog, drawn


class _Walk(nn.Module):
    """One number that training moves upward by about the learning rate per step."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.zeros(()))

    def up(self, _: Batch) -> Tensor:
        return -self.at


def _walk(best: float, patience: int, log: ListLog) -> _Walk:
    data, model = drawn(8, px=16, seed=0), _Walk()
    schedule = Schedule(steps=40, batch_size=8, rate=0.1, weight_decay=0.0)
    stop = EarlyStop(data, lambda _: (model.at - best).abs(), patience=patience, every=2)  # type: ignore[arg-type]
    batches = endless(data, 8, 40, seed=0)  # type: ignore[arg-type]
    train(model, model.up, batches, schedule, log=log, name="walk", stop=stop)
    return model


def test_training_ends_past_the_best_and_gives_it_back() -> None:
    log = ListLog()
    model = _walk(0.5, 3, log)
    looks = [value for name, value, _ in log.scalars if name == "id-val"]
    lowest = looks.index(min(looks))
    assert len(looks) == lowest + 1 + 3
    assert abs(float(model.at.detach()) - 0.5) == pytest.approx(min(looks))
    assert [-score for _, score in log.tried] == pytest.approx(looks)
    assert not model.training


def test_a_loss_that_falls_to_the_end_changes_nothing() -> None:
    log = ListLog()
    patient, plain = _walk(100, 1, log), _Walk()
    assert [s for name, _, s in log.scalars if name == "id-val"] == list(range(1, 40, 2))
    data = drawn(8, px=16, seed=0)
    schedule = Schedule(steps=40, batch_size=8, rate=0.1, weight_decay=0.0)
    train(plain, plain.up, endless(data, 8, 40, seed=0), schedule, log=log, name="walk")  # type: ignore[arg-type]
    assert torch.equal(patient.at, plain.at)


def test_the_value_is_the_mean_over_all_validation_images() -> None:
    data, model = drawn(300, px=16, seed=0), _Walk()
    stop = EarlyStop(data, lambda b: b.factors["object.x"].mean(), patience=1, every=1)  # type: ignore[arg-type]
    log = ListLog()
    assert not stop.after(1, 9, model, log)
    assert log.scalars[0][1] == pytest.approx(float(data.factors["object.x"].mean()), abs=1e-6)
    assert data.images_served == len(data)
    again = EarlyStop(data, stop.loss, patience=1, every=1)  # type: ignore[arg-type]
    again.load(stop.tensors())  # after a restart, looks before it are on record as well
    assert data.images_served == 2 * len(data)


def test_supervised_rows_have_it_as_an_option(drawn_fixture: tuple[DrawnData, DrawnData]) -> None:
    train_data, val = drawn_fixture
    plain = load_baseline("supervised", "tiny")
    assert plain.patience == 0
    before = val.images_served
    log = ListLog()
    row = replace(plain, patience=1, look_every=3)
    row.fit(train_data, val, seed=0, budget=TrainBudget(), log=log)
    assert [config["steps"] for config, _ in log.tried][:2] == [3, 6]
    assert val.images_served - before == len(log.tried) * len(val)
    log = ListLog()
    plain.fit(train_data, val, seed=0, budget=TrainBudget(), log=log)
    assert not log.tried


def test_out_of_combination_images_cannot_be_handed_over() -> None:
    for split in ("ooc_test", "id_test"):
        with pytest.raises(UsageError, match="a learner may see"):
            TrainData(None, split)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least 1"):
        EarlyStop(drawn(2, px=16, seed=0), lambda _: torch.zeros(()), patience=0, every=1)  # type: ignore[arg-type]
