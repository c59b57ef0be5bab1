"""What a method returns becomes arrays, or is refused with what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fakes import Approach, Pixels, Segmenter

from recombine.benchmark.protocol.contract import SlotOutput
from recombine.benchmark.protocol.outputs import WrongAnswerError, checked_output, run_method

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


def test_anything_else_is_named():
    with pytest.raises(WrongAnswerError) as caught:
        check({"slots": SLOTS})
    assert "dict" in str(caught.value.args)
