"""Blind questions: every image once, order secret, misbehaviour found and named."""

from collections import Counter

import numpy as np
import pytest
import torch
from fakes import Approach, FakeDataset, Pixels, halves
from torch import nn

from recombine.benchmark.inference import query
from recombine.benchmark.inference.query import DependentAnswersError, run_inference
from recombine.benchmark.protocol.contract import SlotOutput
from recombine.benchmark.protocol.rounding import audible
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
    arguments = {"batch_size": 16, "device": CPU, "min_slots": 2, "who": "method-x", "key": b"k"}
    arguments |= over  # one key: which images are asked again is the same in every run
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
    assert answers.among.largest == answers.again.largest == answers.twin.largest == (0.0,)
    answers.check("method-x")


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
        run(recorder, dataset, indices, key=None)
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
        twice = torch.cat([images, images])  # a batch of one has no statistics
        slots = self.norm(halves(twice).flatten(1)).unflatten(1, (2, 96))
        return SlotOutput(slots=slots[: len(images)])


class Drifting(Pixels):
    """Adapts to the stream: every call changes the next."""

    calls = 0

    def encode(self, images):
        self.calls += 1
        return SlotOutput(slots=halves(images) * (1 + 0.1 * self.calls))


class Random(Pixels):
    def encode(self, images):
        return SlotOutput(slots=halves(images) + 0.1 * torch.randn(len(images), 2, 96))


class Constant(BatchNorm):
    """Batch statistics beside a constant so big that relative to it nothing changes."""

    slot_dim = 97

    def encode(self, images):
        slots = self.norm(halves(images).flatten(1)).unflatten(1, (2, 96))
        return SlotOutput(slots=nn.functional.pad(slots, (0, 1), value=1e5))


class Shifted(BatchNorm):
    """The same on top of a constant in every number."""

    def encode(self, images):
        return SlotOutput(slots=super().encode(images).slots + 1e4)


class OneOfMany(Pixels):
    """Hides one number that depends on the batch among many that do not."""

    def encode(self, images):
        slots = halves(images)
        rank = slots[:, 0, 0].argsort().argsort().float() / len(images)
        slots[:, 1, 7] = rank
        return SlotOutput(slots=slots)


class Few(Pixels):
    """Looks at the other images only for one image in ten."""

    def encode(self, images):
        slots = halves(images)
        chosen = (slots.sum(dim=(1, 2)) * 1e3).long() % 10 == 0
        return SlotOutput(slots=slots + chosen[:, None, None] * slots.mean(0))


@pytest.mark.parametrize("kind", [BatchNorm, Constant, Shifted, OneOfMany, Few])
def test_answers_that_depend_on_the_batch_are_refused(dataset, indices, kind):
    answers = run(kind(), dataset, indices)
    assert answers.again.largest == (0.0,)
    with pytest.raises(DependentAnswersError, match="batch-statistics") as caught:
        answers.check("method-x")
    assert caught.value.reason == "batch-statistics"


@pytest.mark.parametrize("method", [Drifting(), Random()])
def test_methods_that_do_not_repeat_are_refused_at_once(dataset, indices, method, monkeypatch):
    asked = []
    monkeypatch.setattr(query, "checked_output", counting(query.checked_output, asked))
    with pytest.raises(DependentAnswersError, match="not-repeatable"):
        run(method, dataset, indices)
    assert len(asked) == 2  # one batch, and the same again


def counting(function, calls):
    def counted(*arguments, **options):
        calls.append(1)
        return function(*arguments, **options)

    return counted


class SlowDrift(Pixels):
    """Answers are centred on all that it has seen: a change too small for two batches in a row."""

    def setup(self, spec, device):
        self.seen, self.mean = 0, torch.zeros(2, 96)

    def encode(self, images):
        slots = halves(images)
        self.seen += len(slots)
        self.mean = self.mean + (slots - self.mean).sum(0) / self.seen
        return SlotOutput(slots=slots - self.mean)


def remembering(kind):
    """Return a method that gives every image the answer that it gave first."""

    class Remembering(kind):
        def encode(self, images):
            keys = [image.numpy().tobytes() for image in images]
            new = [i for i, key in enumerate(keys) if key not in self.known]
            if new:
                slots = super().encode(images[new]).slots
                self.known |= dict(zip((keys[i] for i in new), slots, strict=True))
            return SlotOutput(slots=torch.stack([self.known[key] for key in keys]))

    method = Remembering()
    method.known = {}
    return method


class Vote(Pixels):
    """Adds to every image what it knows of its nearest neighbours among all that it has seen."""

    def setup(self, spec, device):
        self.seen = torch.zeros(0, 2, 96)

    def encode(self, images):
        slots = halves(images)
        self.seen = torch.cat([self.seen, slots])
        near = torch.cdist(slots.flatten(1), self.seen.flatten(1)).topk(3, largest=False).indices
        return SlotOutput(slots=self.seen[near].mean(1))


@pytest.mark.parametrize("kind", [SlowDrift, Random, BatchNorm, Vote])
def test_memory_between_calls_is_found_by_the_twin(dataset, indices, kind):
    answers = run(remembering(kind), dataset, indices)
    assert answers.again.largest == answers.among.largest == (0.0,)
    with pytest.raises(DependentAnswersError, match="memory-between-calls"):
        answers.check("method-x")


def test_a_cache_of_honest_answers_is_no_memory(dataset, indices):
    answers = run(remembering(Pixels), dataset, indices)
    answers.check("method-x")
    assert answers.twin.largest == (0.0,)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_rounding_to_16_bits_is_allowed(dataset, indices, kind):
    class Half(Pixels):
        """Rounds differently in batches of different size, as kernels of accelerators do."""

        def encode(self, images):
            draw = torch.Generator().manual_seed(len(images))
            noise = torch.rand(2, 96, generator=draw) - 0.5
            slots = halves(images) * (1 + torch.finfo(kind).eps * noise)
            return SlotOutput(slots=slots.to(kind).float())

    answers = run(Half(), dataset, indices)
    assert max(answers.among.largest) > 0
    answers.check("method-x")


def test_a_constant_that_is_all_rounding_is_allowed(dataset, indices):
    class Rounded(Pixels):
        def encode(self, images):
            slots = halves(images)
            slots[:, 0, 0] = 1 + 1e-7 * (len(images) % 3)
            return SlotOutput(slots=slots)

    run(Rounded(), dataset, indices).check("method-x")


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


def test_a_loud_number_hides_no_change_that_a_readout_could_read():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(400, 1, 4)).astype(np.float32)
    loud = np.where(rng.random((400, 1, 9)) < 0.5, -1e6, 1e6).astype(np.float32)
    first = np.concatenate([signal * np.float32(1e-4), loud], axis=2)
    again = first.copy()
    again[:, :, :4] *= -1
    rows = np.arange(64)
    change = query.measured_change([first], rows, [again[rows]], "batch")
    heard = audible(first)
    # Either the change is seen, or nothing of it is read.
    assert change.share[0] > 0.5 or not heard[:, :, :4].any()
    assert np.array_equal(heard[:, :, 4:], loud)
    assert np.array_equal(audible(signal), signal)


def test_a_few_images_with_huge_numbers_hide_no_change():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(400, 1, 4)).astype(np.float32)
    first[rng.permutation(400)[:5]] += 1e6
    rows = np.flatnonzero(np.abs(first[:, 0, 0]) < 100)[:64]
    change = query.measured_change([first], rows, [-first[rows]], "batch")
    assert change.share[0] > 0.9


def test_loud_images_that_no_readout_was_fitted_on_hide_no_change():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(400, 1, 4)).astype(np.float32)
    read = np.arange(100)
    first[100 + rng.permutation(300)[:30]] += 1e6
    rows = np.flatnonzero(np.abs(first[:, 0, 0]) < 100)[:64]
    assert query.measured_change([first], rows, [-first[rows]], "twin").share[0] < 0.1
    assert query.measured_change([first], rows, [-first[rows]], "twin", read).share[0] > 0.9
