"""The controls of search, each against a slow way of doing it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recombine.baselines.generative.search import ClassSearch, ManyStarts
from recombine.baselines.training.search import Inversion, SearchSettings
from tests.baselines.drawn_fixture import DrawnData
from tests.baselines.networks import (
    draws,
    untrained_decoder,
    untrained_encoder,
)
from tests.baselines.nn.test_slots import LAYOUT

Data = tuple[DrawnData, DrawnData]


def test_a_class_is_chosen_by_decoding_all_of_them(drawn_fixture: Data) -> None:
    decoder = untrained_decoder()
    images = drawn_fixture[0].images[:3]
    search = ClassSearch(untrained_encoder(), decoder, SearchSettings(), "float32")
    state = search.init(images)
    after = search.step(images, state)
    for b in range(3):
        errors = []
        for value in range(4):
            slots = state.best[b : b + 1].clone()
            slots[:, 0, :4] = nn.functional.one_hot(torch.tensor([value]), 4).float()
            errors.append(float((decoder(slots).image - images[b]).square().mean()))
        assert int(after.best[b, 0, :4].argmax()) == errors.index(min(errors))
        assert float(after.error[b]) == pytest.approx(min(errors), rel=1e-4)
    both = search.step(images, after)
    assert torch.equal(both.best[:, 0], after.best[:, 0])  # now it is the background's turn
    assert (both.error <= after.error).all()


def test_many_starts_keep_the_best_search(drawn_fixture: Data) -> None:
    images = drawn_fixture[0].images[:2]
    inversion = Inversion(
        untrained_encoder(), untrained_decoder(), SearchSettings(steps=3), "float32"
    )
    noise = torch.randn(3, 2, LAYOUT.dim, generator=draws())
    many = ManyStarts(inversion, noise, random=False)
    state = many.init(images)
    assert torch.equal(many.read(state).slots, inversion.read(inversion.init(images)).slots)
    starts = state.best.view(3, 2, 2, -1)
    assert not torch.allclose(starts[0, :, 0, :4], starts[1, :, 0, :4])
    for _ in range(2):
        state = many.step(images, state)
    singles = [inversion.start(start) for start in starts]
    for _ in range(2):
        singles = [inversion.step(images, single) for single in singles]
    errors = torch.stack([single.error for single in singles])
    for b in range(2):
        best = singles[int(errors[:, b].argmin())].best[b]
        assert torch.allclose(many.read(state).slots[b], best, atol=1e-5)


def test_a_random_start_does_not_look_at_the_image(drawn_fixture: Data) -> None:
    images = drawn_fixture[0].images[:4]
    inversion = Inversion(untrained_encoder(), untrained_decoder(), SearchSettings(), "float32")
    noise = torch.randn(1, 2, LAYOUT.dim, generator=draws())
    slots = ManyStarts(inversion, noise, random=True)
    start = slots.read(slots.init(images)).slots
    assert torch.equal(start, start[:1].expand_as(start))
    assert torch.allclose(start[:, 0, :4].sum(1), torch.ones(4))
