"""Blind questions: every image once, order secret, misbehaviour found and named."""

from collections import Counter

import numpy as np
import pytest
import torch
from fakes import Approach, FakeDataset, Pixels, halves
from torch import nn

from recombine.benchmark.inference import query
from recombine.benchmark.inference.query import run_inference
from recombine.benchmark.protocol.contract import SlotOutput
from recombine.renderer.core.errors import InvalidInputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=4, val=2, test=4)


@pytest.fixture
def indices(dataset):
    return np.flatnonzero(dataset.splits != "id_train")


def run(method, dataset, indices, steps=(0,), **over):
    method.setup(None, CPU)
    arguments = {"batch_size": 16, "device": CPU, "min_slots": 2, "who": "method-x"} | over
    return run_inference(method, dataset, indices, steps=steps, **arguments)


class Recorder(Pixels):
    """Remembers every batch it is asked about."""

    def __init__(self):
        self.batches = []

    def encode(self, images):
        assert torch.is_inference_mode_enabled()
        self.batches.append(images.clone())
        return super().encode(images)


def test_answers_are_in_the_order_of_the_index_whatever_the_order_asked(dataset, indices):
    answers = run(Pixels(), dataset, indices[::-1])
    assert np.array_equal(answers.image_index, np.sort(indices))
    for row in (0, 17, len(indices) - 1):
        pixels = dataset.images([answers.image_index[row]]).transpose(0, 3, 1, 2) / 255.0
        expected = halves(torch.tensor(pixels, dtype=torch.float32)).flip(1)[0].numpy()
        assert np.allclose(answers.slots[0][row], expected, atol=1e-6)
    assert answers.slots[0].dtype == np.float32
    assert answers.batch_change == answers.repeat_change == (0.0,)


def test_every_image_is_asked_and_a_few_again(dataset, indices):
    recorder = Recorder()
    run(recorder, dataset, indices)
    asked = Counter(image.numpy().tobytes() for batch in recorder.batches for image in batch)
    assert len(asked) == len(indices)
    again = sum(asked.values()) - len(indices)
    assert again >= 16 + query.MIN_REPEATED  # one whole batch, and the repeated images


def test_order_is_secret_and_splits_are_mixed(dataset, indices):
    orders = []
    for _ in range(2):
        recorder = Recorder()
        run(recorder, dataset, indices)
        orders.append(torch.cat(recorder.batches))
    assert not torch.equal(orders[0], orders[1])
    by_pixels = {dataset.images([i]).tobytes(): dataset.splits[i] for i in indices}
    batch = (recorder.batches[0] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert len({by_pixels[image.tobytes()] for image in batch}) >= 2


class BatchNorm(Pixels):
    slot_dim = 96

    def __init__(self):
        self.norm = nn.BatchNorm1d(192)  # train mode: uses the batch's own statistics

    def encode(self, images):
        return SlotOutput(slots=self.norm(halves(images).flatten(1)).unflatten(1, (2, 96)))


class Drifting(Pixels):
    """Adapts to the stream: every call changes the next."""

    calls = 0

    def encode(self, images):
        self.calls += 1
        return SlotOutput(slots=halves(images) * (1 + 0.1 * self.calls))


class Random(Pixels):
    def encode(self, images):
        return SlotOutput(slots=halves(images) + 0.1 * torch.randn(len(images), 2, 96))


def test_batch_statistics_are_found_but_are_repeatable(dataset, indices):
    answers = run(BatchNorm(), dataset, indices)
    assert answers.batch_change[0] > 0.05
    assert answers.repeat_change[0] < 0.05


@pytest.mark.parametrize("method", [Drifting(), Random()])
def test_methods_that_do_not_repeat_are_found(dataset, indices, method):
    answers = run(method, dataset, indices)
    assert answers.repeat_change[0] > 1e-2
    assert answers.batch_change[0] > 1e-2


def test_search_is_read_at_the_asked_steps(dataset, indices):
    answers = run(Approach(), dataset, indices, steps=(0, 1, 5))
    assert list(answers.slots) == [0, 1, 5]
    final = halves(torch.tensor(dataset.images(answers.image_index).transpose(0, 3, 1, 2) / 255.0))
    for steps, slots in answers.slots.items():
        reached = 1 - (2 / 3) ** steps
        assert np.allclose(slots[:, :, 16:], reached * final.numpy(), atol=1e-5)


class InPlaceState(Approach):
    """Changes its state in place, as an optimiser does."""

    def step(self, images, state):
        state["seen"] += 1
        return state

    def read(self, state):
        return SlotOutput(slots=torch.cat([state["known"], state["seen"]], dim=2)[:, :, 4:])

    slot_dim = 108


def test_what_was_read_does_not_change_later(dataset, indices):
    answers = run(InPlaceState(), dataset, indices, steps=(0, 2))
    assert np.all(answers.slots[0][:, :, 12:] == 0)
    assert np.all(answers.slots[2][:, :, 12:] == 2)


def output_of(change):
    class Method(Pixels):
        def encode(self, images):
            return change(SlotOutput(slots=halves(images)).slots)

    return Method()


def poisoned(value):
    def change(slots):
        slots[-1, 0, 0] = value
        return SlotOutput(slots=slots)

    return change


BAD = {
    "not an output": (lambda s: s.numpy(), "a SlotOutput with a tensor"),
    "array": (lambda s: SlotOutput(slots=s.numpy()), "a SlotOutput with a tensor"),
    "float64": (lambda s: SlotOutput(slots=s.double()), "torch.float32"),
    "short batch": (lambda s: SlotOutput(slots=s[:-1]), r"\(\d+, S, D\)"),
    "flat": (lambda s: SlotOutput(slots=s.flatten(1)), r"\(\d+, S, D\)"),
    "other width": (lambda s: SlotOutput(slots=s[:, :, :5]), "slot_dim = 96"),
    "too few slots": (lambda s: SlotOutput(slots=s[:, :1]), "2 to 64 slots"),
    "too many slots": (lambda s: SlotOutput(slots=s.repeat(1, 40, 1)), "2 to 64 slots"),
    "NaN": (poisoned(float("nan")), "NaN"),
    "infinite": (poisoned(float("inf")), "NaN"),
    "huge": (poisoned(1e7), "at most 1e"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_wrong_answers_are_refused_by_name(dataset, indices, name):
    change, message = BAD[name]
    with pytest.raises(InvalidInputError, match=rf"method-x: expected .*{message}"):
        run(output_of(change), dataset, indices)


def test_the_number_of_slots_may_not_vary(dataset, indices):
    class Method(Pixels):
        def encode(self, images):
            return SlotOutput(slots=halves(images).repeat(1, 1 + len(images) % 2, 1))

    with pytest.raises(InvalidInputError, match="one number of slots"):
        run(Method(), dataset, indices, batch_size=17)


def test_images_must_stay_as_they_are(dataset, indices):
    class Method(Approach):
        def step(self, images, state):
            images += 1
            return state

    with pytest.raises(InvalidInputError, match="changed them in place"):
        run(Method(), dataset, indices, steps=(0, 1))


@pytest.mark.parametrize("n", [1, 2, 9])
def test_tiny_sets(dataset, indices, n):
    answers = run(Pixels(), dataset, indices[:n])
    assert answers.slots[0].shape == (n, 2, 96)


def test_gradients_are_available_to_search_and_do_not_leak(dataset, indices):
    class Method(Approach):
        def read(self, state):
            slots = torch.cat([state["known"], state["seen"]], dim=2)
            return SlotOutput(slots=slots.requires_grad_(True))

    assert run(Method(), dataset, indices, steps=(0, 1)).slots[1].shape[2] == 112
