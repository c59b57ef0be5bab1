"""Parameters, memory, seconds and operations of known methods."""

import numpy as np
import pytest
import torch
from fakes import Approach, Pixels
from torch import nn

from recombine.benchmark.inference import cost as costs
from recombine.benchmark.protocol.contract import SlotOutput


class Linear(Pixels):
    slot_dim = 8

    def __init__(self):
        self.layer = nn.Linear(96, 8)

    def encode(self, images):
        return SlotOutput(slots=self.layer(images.flatten(1).unflatten(1, (2, 96))))


class Descent(Approach):
    """Search on a linear decoder: each step is one forward and one backward pass."""

    slot_dim = 4

    def __init__(self):
        self.decoder = nn.Linear(4, 96).requires_grad_(False)

    def init(self, images):
        return torch.zeros(len(images), 2, 4)

    def step(self, images, state):
        state = state.requires_grad_(True)
        loss = (self.decoder(state).flatten(1) - images.flatten(1)).square().sum()
        return (state - 0.01 * torch.autograd.grad(loss, state)[0]).detach()

    def read(self, state):
        return SlotOutput(slots=state)


class Uncountable(Linear):
    def encode(self, images):
        if torch.utils._python_dispatch._get_current_dispatch_mode() is not None:
            raise RuntimeError("not under a mode")
        return super().encode(images)


images = torch.rand(40, 3, 8, 8)


def test_encoder_cost():
    cost = costs.measure_cost(Linear(), images)
    assert cost.start_gflop == pytest.approx(2 * 2 * 96 * 8 * 1e-9)
    assert cost.gflop_at(0) == cost.start_gflop
    assert cost.step_gflop == 0
    assert cost.params == 96 * 8 + 8
    assert [timing.batch for timing in cost.timings] == [1, 32]
    assert all(0 < t.start_median <= t.start_p95 for t in cost.timings)


def test_search_cost_grows_with_steps():
    cost = costs.measure_cost(Descent(), images[:3])
    per_step = 2 * (2 * 2 * 4 * 96) * 1e-9
    assert cost.step_gflop == pytest.approx(per_step)
    assert cost.gflop_at(100) == pytest.approx(cost.start_gflop + 100 * per_step)
    assert [timing.batch for timing in cost.timings] == [1, 3]
    assert all(t.step_median > 0 for t in cost.timings)


def test_a_method_that_cannot_be_counted_says_so():
    cost = costs.measure_cost(Uncountable(), images)
    assert cost.gflop_at(0) is None
    assert cost.uncounted == {"counting failed: RuntimeError": 1}
    assert cost.timings


def test_shared_storages_count_once():
    layer = nn.Linear(10, 10, bias=False)
    tied = nn.ModuleList([layer, nn.Linear(10, 10, bias=False)])
    tied[1].weight = layer.weight
    assert costs.count_params(tied) == 100
    view = {"a": torch.zeros(50), "b": torch.zeros(3)}
    view["c"] = view["a"][10:20]
    assert costs.count_params(view) == 53


def test_tensors_are_found_wherever_a_method_keeps_them():
    class Holder:
        def __init__(self):
            self.parts = [{"net": nn.BatchNorm1d(4)}, (torch.zeros(7),)]
            self.bank = nn.Linear(2, 2)
            self.bank.extra = torch.zeros(5)
            self.self = self

    statistics = 4 + 4 + 1  # running mean, running variance, batches seen
    assert costs.count_params(Holder()) == 8 + statistics + 7 + 6 + 5


def test_no_tensors_no_parameters():
    assert costs.count_params(Pixels()) == 0
    assert costs.count_params(None) == 0


def test_peak_memory_sees_a_big_array_and_can_be_reset():
    if not costs.reset_peak_rss():
        pytest.skip("this system does not allow it")
    before = costs.peak_rss()
    block = np.ones(64 * 2**20, np.uint8)
    after = costs.peak_rss()
    assert after - before > 50 * 2**20
    del block
    assert costs.reset_peak_rss()
    assert costs.peak_rss() < after


def test_without_procfs_there_is_no_number(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "STATUS", tmp_path / "none")
    monkeypatch.setattr(costs, "CLEAR_REFS", tmp_path / "no" / "file")
    assert costs.peak_rss() is None
    assert costs.reset_peak_rss() is False


def test_a_cpu_has_no_device_memory():
    assert costs.measure_cost(Linear(), images[:2]).peak_device_bytes is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_device_memory_holds_weights_images_and_activations():
    method = Linear()
    method.layer = method.layer.cuda()
    cost = costs.measure_cost(method, images.cuda())
    assert 4 * (cost.params + images.numel()) < cost.peak_device_bytes < 64 * 2**20
