"""Objects of this process: modules, instances and classes, and never a text."""

import pytest
import torch
from fakes import FakeDataset, Pixels, Trained
from torch import nn

from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.protocol.contract import Encoder, MethodCard, SplitSpec
from recombine.benchmark.running.harness import RunOptions, run_key, run_seed
from recombine.benchmark.submissions.fingerprint import settings_of
from recombine.benchmark.submissions.modules import encoder_of, submission_of
from recombine.renderer.core.errors import InvalidInputError, UsageError

SPEC = SplitSpec((8, 8), 2, {})
CPU = torch.device("cpu")
IMAGES = torch.rand(5, 3, 8, 8)
OPTIONS = RunOptions(readout_labels=20)


class Normed(nn.Module):
    """Answers in another way while it trains."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 6)
        )

    def forward(self, images):
        assert images.dtype == torch.float32
        assert 0 <= images.min() <= images.max() <= 1
        return self.layers(images)


class Halves(nn.Module):
    """Two slots, or whatever ``change`` makes of them."""

    def __init__(self, change=lambda slots: slots):
        super().__init__()
        self.change = change

    def forward(self, images):
        left, right = images[..., :4].flatten(1), images[..., 4:].flatten(1)
        return self.change(torch.stack([left, right], dim=1))


def ready(module):
    encoder = encoder_of(module)
    encoder.setup(SPEC, CPU)
    return encoder


def test_a_vector_stands_for_every_slot():
    encoder = ready(Normed())
    assert isinstance(encoder, Encoder)
    slots = encoder.encode(IMAGES).slots
    assert slots.shape == (5, 2, 6)
    assert encoder.slot_dim == 6
    assert torch.equal(slots[:, 0], slots[:, 1])


def test_slots_are_kept_as_they_are():
    encoder = ready(Halves())
    assert encoder.slot_dim == 96
    assert torch.equal(encoder.encode(IMAGES).slots, Halves()(IMAGES))


def test_other_number_types_become_float32():
    assert ready(Halves(torch.Tensor.double)).encode(IMAGES).slots.dtype == torch.float32


def test_it_answers_in_evaluation_mode_and_leaves_the_module_alone():
    module = Normed().train()
    encoder = ready(module)
    one, other = encoder.encode(IMAGES).slots, encoder.encode(IMAGES[:1]).slots
    assert torch.allclose(one[:1], other, atol=1e-6)  # no batch statistics, no dropout
    assert not one.requires_grad
    assert module.training
    assert all(p.requires_grad for p in module.parameters())
    nn.init.zeros_(module.layers[-1].weight)
    assert torch.equal(encoder.encode(IMAGES).slots, one)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda slots: slots[0, 0], r"\(96,\)"),
        (lambda slots: slots[None], r"\(1, 2, 2, 96\)"),
        (lambda slots: slots[:1], r"\(1, 2, 96\)"),
        (lambda slots: {"slots": slots}, "dict"),
        (lambda slots: (slots, slots), "tuple"),
        (lambda slots: slots[:, :1], r"S from 2 to 64, got \(2, 1, 96\)"),
        (lambda slots: slots.repeat(1, 33, 1), r"S from 2 to 64, got \(2, 66, 96\)"),
        (lambda slots: slots.repeat(1, 1, 6), r"D from 1 to 512, got \(2, 2, 576\)"),
        (lambda slots: slots[:, 0, :0], "D from 1 to 512"),
    ],
)
def test_other_shapes_are_named(change, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        ready(Halves(change))
    assert "halves: the module must return" in str(caught.value)


def test_what_cannot_be_copied_is_refused():
    module = nn.Linear(2, 2)
    module.last = module(torch.ones(1, 2))
    with pytest.raises(InvalidInputError, match="deepcopy"):
        encoder_of(module)


def test_the_card_says_where_the_weights_come_from():
    card = encoder_of(Normed()).card
    assert (card.id, card.name, card.data) == ("normed", "Normed", "open")
    assert card.supervision == "supervised"
    assert card.note == "object given in process, weights trained elsewhere"
    mine = MethodCard(id="mine", name="Mine")
    assert encoder_of(Normed(), card=mine).card is mine


def test_weights_and_class_are_part_of_the_fingerprint():
    dataset, module = FakeDataset(train=3, val=1, test=1), Normed()

    def key(module):
        return run_key(submission_of(module), dataset, seed=0, options=OPTIONS)

    before = key(module)
    assert key(module) == before
    assert set(settings_of(encoder_of(module))) == {
        "module",
        "module_source_sha256",
        "weights_sha256",
    }
    module.layers[1].running_mean += 1  # buffers count as well
    assert key(module) != before
    assert key(Halves()) != key(nn.Flatten())


def test_a_module_is_run_and_found_again(tmp_path):
    dataset, module = FakeDataset(train=3, val=1, test=1), Normed()
    made = run_seed(submission_of(module), dataset, seed=0, out_dir=tmp_path, options=OPTIONS)
    again = run_seed(submission_of(module), dataset, seed=0, out_dir=tmp_path, options=OPTIONS)
    assert (made.skipped, again.skipped) == (False, True)
    found = read_predictions(made.path)
    assert found.slots[0].shape[1:] == (2, 6)
    assert (found.facts.isolation, found.facts.trained) == ("none", False)
    assert found.facts.settings["weights_sha256"] == submission_of(module).weights_sha256


def test_objects_and_classes():
    pixels = Pixels()
    assert submission_of(pixels) is pixels
    assert isinstance(submission_of(Pixels), Pixels)
    assert submission_of(Trained, settings={"width": 7}) == Trained(width=7)
    assert submission_of(Normed).card.id == "normed"


@pytest.mark.parametrize(
    ("given", "settings", "error", "words"),
    [
        ("file.py:Class", None, UsageError, "isolation"),
        (Trained, {"depth": 1}, UsageError, r"\['depth'\]"),
        (nn.Linear, None, UsageError, "Linear"),
        (Trained(), {"width": 1}, UsageError, "settings are for classes"),
        (3, None, InvalidInputError, "expected a Learner"),
    ],
)
def test_everything_else_is_explained(given, settings, error, words):
    with pytest.raises(error, match=words):
        submission_of(given, settings=settings)
