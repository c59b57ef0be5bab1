from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
import torch

from recombine.baselines.registry import load_baseline
from recombine.baselines.training import device
from recombine.baselines.training.device import (
    OnDevice,
    compiled,
    device_of,
    generator_of,
    on_device,
)
from recombine.baselines.training.loop import Schedule
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.renderer.core.errors import ResourceError
from tests.baselines.drawn_fixture import DrawnData, ListLog

Data = tuple[DrawnData, DrawnData]


@dataclass(frozen=True)
class Where:
    size: str = "cpu"

    @on_device
    def fit(self, data: Any, val: Any, *, seed: int) -> tuple[torch.device, Any]:
        """Say where things are made."""
        return torch.zeros(seed).device, data


def test_only_the_gpu_size_moves(drawn_fixture: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = drawn_fixture
    assert Where().fit(train, val, seed=1) == (torch.device("cpu"), train)
    monkeypatch.setattr(device, "device_of", lambda _size: torch.device("meta"))
    where, moved = Where("gpu").fit(train, val, seed=1)
    assert where.type == "meta"
    assert moved.data is train
    assert torch.zeros(1).device.type == "cpu"  # outside, nothing has changed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["supervised", "autoencoder-replay", "vae", "diet"])
def test_a_missing_gpu_is_named(name: str, drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    with pytest.raises(ResourceError, match="--size cpu"):
        load_baseline(name, "gpu").fit(train, val, seed=0, budget=TrainBudget(), log=ListLog())


def test_moved_batches_are_the_same_and_counted(drawn_fixture: Data) -> None:
    train = replace(drawn_fixture[0], images_served=0)
    moved = OnDevice(train, torch.device("meta"))  # type: ignore[arg-type]
    assert len(moved) == len(train)
    assert moved.spec is train.spec
    batch = next(iter(moved.batches(5, seed=0)))
    for tensor in (batch.images, batch.masks, *batch.factors.values()):
        assert tensor is not None
        assert tensor.device.type == "meta"
        assert len(tensor) == 5
    assert moved.images_served == train.images_served == 5
    moved.count_again(3)
    assert train.images_served == 8


def test_draws_are_made_where_things_are_made() -> None:
    assert device_of("cpu").type == device_of("tiny").type == "cpu"
    assert generator_of(3).device.type == "cpu"
    assert torch.equal(
        torch.rand(4, generator=generator_of(3)), torch.rand(4, generator=generator_of(3))
    )
    if torch.cuda.is_available():
        with torch.device("cuda"):
            assert generator_of(3).device.type == "cuda"


def test_compiled_networks_learn_the_same_and_are_as_before_afterwards() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    names, images = list(model.state_dict()), torch.rand(5, 3)
    plain = torch.autograd.grad(model(images).sum(), list(model.parameters()))
    with compiled(model, True, backend="eager"):
        assert model._compiled_call_impl is not None
        made = torch.autograd.grad(model(images).sum(), list(model.parameters()))
    assert model._compiled_call_impl is None
    assert list(model.state_dict()) == names
    for one, other in zip(plain, made, strict=True):
        torch.testing.assert_close(one, other)


def test_compiling_is_for_cuda_with_triton_only(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Linear(1, 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with compiled(model, True):
        assert model._compiled_call_impl is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda _: None)
    with pytest.warns(RuntimeWarning, match="uncompiled"), compiled(model, True):
        assert model._compiled_call_impl is None
    with compiled(model, False):
        assert model._compiled_call_impl is None


@pytest.mark.parametrize("name", ["supervised", "autoencoder", "vae-cross-attention", "diet"])
def test_only_the_gpu_size_compiles(name: str) -> None:
    def schedules(settings: Any) -> list[Schedule]:
        values = [getattr(settings, f.name) for f in fields(settings)]
        return [v for v in values if isinstance(v, Schedule)]

    for size in ("tiny", "cpu", "gpu"):
        found = schedules(load_baseline(name, size))
        assert found
        assert all(schedule.compile == (size == "gpu") for schedule in found)


_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
LOSS, ANSWER = 0.02, 0.2  # relative, and in standard deviations


@pytest.mark.parametrize("where", ["cpu", pytest.param("cuda", marks=_GPU)])
@pytest.mark.parametrize(
    "name", ["supervised", "simclr", "autoencoder-replay", "vae-cross-attention-replay"]
)
def test_bfloat16_and_float32_agree(name: str, where: str, drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    row = replace(load_baseline(name, "tiny"), size="gpu" if where == "cuda" else "tiny")
    first, answers = [], []
    for precision in ("float32", "bf16"):
        if hasattr(row, "base"):
            row = replace(row, base=replace(row.base, precision=precision))
        else:
            row = replace(row, precision=precision)
        log = ListLog()
        method = row.fit(train, val, seed=0, budget=TrainBudget(), log=log)
        method.setup(train.spec, torch.device(where))
        images = val.images[:32].to(where)
        answer = method.init(images) if hasattr(method, "init") else None
        slots = method.encode(images).slots if answer is None else method.read(answer).slots
        assert slots.device.type == where
        first.append(log.scalars[0][1])
        answers.append(slots.float())
    assert first[0] != first[1]  # the precision is heeded
    assert first[1] == pytest.approx(first[0], rel=LOSS)
    assert (answers[0] - answers[1]).abs().mean() < ANSWER * answers[0].std()
