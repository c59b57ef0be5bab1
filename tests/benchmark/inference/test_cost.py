"""Parameters, memory, seconds and operations of known methods."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fakes import Approach, FakeDataset, Pixels
from torch import nn

from recombine.benchmark.inference import cost as costs
from recombine.benchmark.inference.flops import ELSEWHERE
from recombine.benchmark.protocol.contract import SlotOutput
from recombine.benchmark.serving.data import to_images


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


class Remembers(Linear):
    """Answers an image that it has seen from memory."""

    def begin(self):
        self.memory = {}

    def encode(self, images):
        keys = [one.numpy().tobytes() for one in (images * 255).round().byte()]
        new = [place for place, key in enumerate(keys) if key not in self.memory]
        if new:
            slots = super().encode(images[new]).slots
            self.memory |= {keys[place]: row for place, row in zip(new, slots, strict=True)}
        return SlotOutput(slots=torch.stack([self.memory[key] for key in keys]))


def test_remembered_answers_save_nothing():
    remembers, honest = Remembers(), Linear()
    remembers.begin()
    remembers.encode(images)
    for _ in range(2):
        found, true = (costs.measure_cost(one, images) for one in (remembers, honest))
        assert found.start_gflop == true.start_gflop > 0


class Elsewhere(Linear):
    """Works in a thread of its own."""

    def encode(self, images):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self.work, images).result()

    def work(self, images):
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            slots = super().encode(images)
        return slots


def test_work_of_other_threads_makes_costs_unknown():
    cost = costs.measure_cost(Elsewhere(), images[:4], batches=(1,))
    assert cost.gflop_at(0) is None
    assert cost.uncounted == {ELSEWHERE: 1}
    assert cost.start_cpu > 0.004  # of 0.02 s, whichever thread spent them


class EasyOnSome(Linear):
    """Looks longer at bright images."""

    def encode(self, images):
        for _ in range(int((images.mean(dim=(1, 2, 3)) > 0.5).sum())):
            self.layer(images[:1].flatten(1).unflatten(1, (2, 96)))
        return super().encode(images)


def test_costs_are_a_mean_over_images_of_both_kinds():
    dataset = FakeDataset(train=1, val=1, test=6)
    inside = set(dataset.indices("id_test"))
    dataset.images = lambda rows: np.stack(
        [np.full((8, 8, 3), 60 if i in inside else 200, np.uint8) for i in rows]
    )
    pixels = costs.unasked_images(dataset, b"k")
    assert pixels.shape == (costs.MEASURED, 8, 8, 3)
    bright = pixels.mean(axis=(1, 2, 3)) > 128
    assert bright.sum() == costs.MEASURED // 2
    assert 0 < bright[: costs.COUNTED].sum() < costs.COUNTED  # mixed, not one kind first
    cost = costs.measure_cost(EasyOnSome(), to_images(pixels))
    share = bright[: costs.COUNTED].mean()
    assert cost.start_gflop == pytest.approx((1 + share) * 2 * 2 * 96 * 8 * 1e-9)


def test_no_image_that_costs_are_measured_on_is_asked_or_shown_twice():
    dataset = FakeDataset(train=1, val=1, test=6)
    stored = {image.tobytes() for image in dataset.images(range(len(dataset)))}
    pixels = costs.unasked_images(dataset)
    assert not stored & {image.tobytes() for image in pixels}
    shown = []

    class Recorder(Linear):
        def encode(self, images):
            shown.extend(one.numpy().tobytes() for one in images)
            return super().encode(images)

    costs.measure_cost(Recorder(), to_images(pixels))
    assert len(set(shown)) == len(shown)


def test_a_changed_image_is_one_grey_level_off_and_stays_an_image():
    whole = torch.linspace(0, 1, 256).round(decimals=9).expand(2, 3, 8, 256)
    whole = (whole * 255).round() / 255
    changed = costs.one_level(whole, torch.Generator().manual_seed(0))
    assert changed.min() >= 0
    assert changed.max() <= 1
    levels = (changed * 255 - whole * 255).abs()
    assert levels.max() == pytest.approx(1, abs=1e-4)
    assert levels.round().mean() == pytest.approx(costs.CHANGED_PIXELS, abs=0.02)


def test_answers_do_not_depend_on_what_was_drawn_while_measuring():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()

    class Draws(Linear):
        def encode(self, images):
            torch.rand(7)
            return super().encode(images)

    method = Draws()
    torch.random.set_rng_state(before)
    costs.measure_cost(method, images[:2], batches=(1,))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_work_that_escapes_the_counter_makes_costs_unknown():
    class ByHand(Pixels):
        """Spends its time where no operation of the tensor library is seen."""

        def encode(self, images):
            for _ in images:
                sum(i * i for i in range(300_000))
            return super().encode(images)

    method = ByHand()
    method.setup(None, torch.device("cpu"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the harness does
    try:
        cost = costs.measure_cost(method, images[:2], batches=(1,))
        light = costs.measure_cost(Linear(), images[:2], batches=(1,))
    finally:
        torch.set_num_threads(threads)
    assert cost.start_gflop is None
    # Threads of a pool may still spin after earlier tests, and are then what is named.
    assert {costs.UNSEEN, ELSEWHERE} & set(cost.uncounted)
    assert costs.UNSEEN not in light.uncounted
