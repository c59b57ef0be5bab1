"""The ensembles, their views and their cost."""

from __future__ import annotations

import pytest
import torch

from recombine.baselines.methods.ensembles import ConcatenatedEncoder, EnsembleEncoder, view
from recombine.baselines.nn.build import build_decoder
from recombine.baselines.nn.slots import layout_of
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.search import Inversion, SearchSettings
from recombine.baselines.training.slot_encoder import Recognition, RecognitionEncoder
from recombine.benchmark.inference.flops import count_flops
from recombine.benchmark.protocol.contract import SplitSpec
from tests.baselines.drawn_fixture import FACTORS, DrawnData
from tests.baselines.networks import draws
from tests.baselines.nn.test_slots import TWO_OBJECTS

Data = tuple[DrawnData, DrawnData]


def test_views_are_shifts_and_the_first_is_the_image() -> None:
    images = torch.rand(2, 3, 32, 32, generator=draws())
    assert torch.equal(view(images, 0), images)
    moved = view(images, 7)  # brightness 0.9, one pixel across, none down
    assert moved.shape == images.shape
    assert not torch.equal(moved, images)
    assert torch.allclose(moved[:, :, :, :-1], 0.9 * images[:, :, :, 1:])
    assert torch.allclose(view(images, 4), (images * 1.1).clamp(0, 1))


def test_the_ensemble_costs_as_much_as_thirty_steps_of_search() -> None:
    torch.manual_seed(0)
    row, base = load_baseline("ensemble"), load_baseline("autoencoder")
    layout, images = layout_of(SplitSpec((64, 64), 2, FACTORS)), torch.rand(2, 3, 64, 64)
    models = [row.model(layout, (64, 64)).eval() for _ in range(row.members)]
    ensemble = EnsembleEncoder([RecognitionEncoder(model) for model in models], row.views)
    decoder = build_decoder(base.kind, layout, (64, 64), base.decoder_width, light=base.light)
    search = Inversion(models[0], decoder, SearchSettings(), "float32")

    def searched() -> None:
        state = search.init(images)
        for _ in range(30):
            state = search.step(images, state)

    with torch.no_grad():
        looked = count_flops(lambda: ensemble.encode(images)).flops
    assert looked == pytest.approx(count_flops(searched).flops, rel=0.1)


PX = 32


def test_members_that_swap_exchangeable_slots_change_nothing() -> None:
    torch.manual_seed(0)
    settings = {"width": 16, "layers": 1, "pose_weight": 1.0, "precision": "float32"}
    first = Recognition(TWO_OBJECTS, (PX, PX), **settings).eval()
    swapped = Recognition(TWO_OBJECTS, (PX, PX), **settings).eval()
    swapped.load_state_dict(first.state_dict())
    turn = [1, 0, 2]
    with torch.no_grad():
        for tensor in (swapped.encoder.heads.weight, swapped.encoder.heads.bias):
            tensor.copy_(tensor[turn])
        swapped.encoder.queries.copy_(swapped.encoder.queries[:, turn])
    images = torch.rand(3, 3, PX, PX, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(swapped.guess(images), first.guess(images)[:, turn], atol=1e-5)
    plain, mixed = (
        EnsembleEncoder([RecognitionEncoder(m) for m in members], views=1).encode(images).slots
        for members in ((first, first), (first, swapped))
    )
    assert torch.allclose(plain, mixed, atol=1e-5)
    plain, mixed = (
        ConcatenatedEncoder([RecognitionEncoder(m) for m in members]).encode(images).slots
        for members in ((first, first), (first, swapped))
    )
    assert torch.allclose(plain, mixed, atol=1e-5)
