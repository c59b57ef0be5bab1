"""A method as two functions, both checked."""

from __future__ import annotations

import pytest
import torch
from fakes import Approach, Pixels, halves

from recombine.benchmark.inference.probe import MethodProbe, can_decode
from recombine.benchmark.protocol.outputs import WrongAnswerError

IMAGES = torch.rand(3, 3, 8, 8)


def probe(method):
    method.setup(None, torch.device("cpu"))
    return MethodProbe(method, 8, torch.device("cpu"), 2)


def test_slots_are_read_before_any_search_step():
    slots = probe(Approach()).encode(IMAGES)
    assert slots.shape == (3, 2, 112)
    assert not slots[..., 16:].any()
    assert torch.equal(probe(Pixels()).encode(IMAGES), halves(IMAGES).flip(1))


def test_images_are_checked():
    method = Approach()
    assert can_decode(method)
    assert not can_decode(Pixels())
    assert probe(method).decode(torch.zeros(3, 2, 112)).shape == (3, 3, 8, 8)
    for wrong in (torch.zeros(3, 3, 4, 4), torch.full((3, 3, 8, 8), torch.nan), "image"):
        method.decode = lambda slots, wrong=wrong: wrong
        with pytest.raises(WrongAnswerError):
            probe(method).decode(torch.zeros(3, 2, 112))
