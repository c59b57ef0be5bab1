"""What a method returns becomes arrays, or is refused with what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fakes import Approach, Pixels, Segmenter

from recombine.benchmark.protocol.contract import SlotOutput
from recombine.benchmark.protocol.outputs import (
    WrongAnswerError,
    check_slot_dim,
    checked_output,
    run_method,
)

IMAGES = torch.rand(3, 3, 8, 8)


def check(output, method=None, **over):
    return checked_output(output, method or Pixels(), IMAGES, **{"min_slots": 2, **over})


def test_masks_become_the_slot_of_every_pixel():
    (output,) = run_method(Segmenter(), IMAGES, (0,))
    arrays = check(output)
    assert arrays["segments"].dtype == np.uint8
    assert (arrays["segments"][:, :, :4] == 0).all()
    assert (arrays["segments"][:, :, 4:] == 1).all()
    assert arrays["presence"].tolist() == [[0.5, 0.5]] * 3
    assert check(output, extras=False).keys() == {"slots"}


SLOTS = torch.zeros(3, 2, 96)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"presence": torch.zeros(3, 3)}, "presence"),
        ({"presence": torch.zeros(3, 2).double()}, "float32"),
        ({"presence": torch.full((3, 2), 1.5)}, "outside"),
        ({"presence": torch.full((3, 2), torch.nan)}, "NaN"),
        ({"masks": torch.zeros(3, 2, 4, 4)}, "masks"),
        ({"masks": [1, 2]}, "list"),
        ({"slots": torch.zeros(3, 1, 96)}, "slots"),
        ({"slots": torch.zeros(3, 2, 95)}, "slot_dim"),
    ],
)
def test_parts_of_another_form(parts, message):
    with pytest.raises(WrongAnswerError) as caught:
        check(SlotOutput(**{"slots": SLOTS, **parts}))
    assert message in str(caught.value.args)


def test_what_was_read_does_not_change_in_later_steps():
    class InPlace(Approach):
        def step(self, images, state):
            new = super().step(images, state)
            state["known"] += 1
            return {**new, "known": state["known"]}

    method = InPlace()
    method.setup(None, torch.device("cpu"))
    first, last = run_method(method, IMAGES, (0, 2))
    assert torch.equal(first.slots[..., :16] + 2, last.slots[..., :16])


class Bag:
    slots = SLOTS.tolist()


@pytest.mark.parametrize(
    ("output", "got", "todo"),
    [
        ({"slots": SLOTS}, "a dict", "SlotOutput(slots=slots)"),
        (SLOTS, "a Tensor", "SlotOutput(slots=slots)"),
        (SlotOutput(slots=SLOTS.numpy()), "numpy.ndarray", "torch.from_numpy(slots).float()"),
        (Bag(), "a builtins.list", "torch.as_tensor(slots).float()"),
        (SlotOutput(slots=SLOTS[:, 0]), "(3, 96)", "repeat(1, spec.max_slots, 1)"),
        (SlotOutput(slots=SLOTS.bfloat16()), "torch.bfloat16", ".float()"),
        (SlotOutput(slots=SLOTS.double()), "torch.float64", ".float()"),
    ],
)
def test_arrays_of_another_kind_are_named_with_what_to_do(output, got, todo):
    with pytest.raises(WrongAnswerError) as caught:
        check(output)
    assert got in str(caught.value.args[1])
    assert todo in caught.value.todo


def test_slots_may_lie_in_memory_in_any_order():
    turned = torch.rand(2, 96, 3).permute(2, 0, 1)
    assert np.array_equal(check(SlotOutput(slots=turned))["slots"], turned.numpy())


@pytest.mark.parametrize(
    ("size", "least", "message"),
    [(2048, 0, "at most 512"), (0, 1, "at least 1"), (-1, 0, "at least 0"), (6.0, 0, "float")],
)
def test_the_length_of_a_slot_is_checked_by_itself(size, least, message):
    method = Pixels()
    method.slot_dim = size
    with pytest.raises(WrongAnswerError) as caught:
        check_slot_dim(method, least=least)
    assert message in str(caught.value.args)


@pytest.mark.parametrize("size", [np.int64(6), torch.tensor(6), 512])
def test_a_whole_number_of_any_library_is_a_length(size):
    method = Pixels()
    method.slot_dim = size
    check_slot_dim(method)
