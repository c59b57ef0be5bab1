from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recombine.baselines.generative.compositional_consistency import (
    CompositionalConsistency,
    ConsistentModel,
)
from recombine.baselines.registry import load_baseline
from recombine.benchmark.protocol.contract import Inverter, TrainBudget
from tests.baselines.drawn_fixture import DrawnData, ListLog
from tests.baselines.networks import draws

Data = tuple[DrawnData, DrawnData]
SMALL = CompositionalConsistency(
    dim=4, width=16, layers=1, decoder_width=4, bank=10, precision="float32"
)


def _model(data: DrawnData) -> ConsistentModel:
    torch.manual_seed(0)
    model = ConsistentModel(SMALL, replace(data, factors={}, masks=None))
    model.keep(torch.randn(6, 2, 4, generator=draws()))
    return model


def test_slots_of_the_moment_are_found_again(drawn_fixture: Data) -> None:
    model, batch = _model(drawn_fixture[0]), drawn_fixture[0]._batch(slice(0, 4))
    batch = replace(batch, masks=None)
    bank = model.bank[:6].clone()
    drawn = model.draw(5, draws(1))
    assert drawn is not None
    for k in range(2):  # every slot is one of the bank's, in its own role
        assert all((bank[:, k] == slot).all(1).any() for slot in drawn[:, k])
    gradients: list[list[Tensor]] = []
    for weight in (0.0, 3.0):
        model = _model(drawn_fixture[0])
        found = model.consistent_loss(batch, drawn, weight)
        made = model.decoder(drawn).image.clamp(0, 1).detach()
        means = model.encoder.posterior(torch.cat([batch.images, made]))[0]
        slow = 100 * (model.decoder(means[:4]).image - batch.images).square().mean()
        for k in range(2):
            for j in range(4):
                spread = bank[:, k, j].std(correction=0)
                error = ((means[4:, k, j] - drawn[:, k, j]) / spread).square().mean()
                slow = slow + weight * error / 8
        assert found.item() == pytest.approx(slow.item(), rel=1e-4)
        parts = [model.decoder, model.encoder]
        gradients.append(
            [
                torch.cat([g.flatten() for g in torch.autograd.grad(
                    found, [p for p in part.parameters() if p.requires_grad], retain_graph=True,
                    allow_unused=True) if g is not None])
                for part in parts
            ]
        )  # fmt: skip
    (decoder, encoder), (decoder_with, encoder_with) = gradients
    assert torch.equal(decoder, decoder_with)  # the second term trains the encoder alone
    assert not torch.allclose(encoder, encoder_with)


def test_the_bank_keeps_the_latest_slots(drawn_fixture: Data) -> None:
    model = _model(drawn_fixture[0])
    first = model.bank[:6].clone()
    latest = torch.randn(7, 2, 4, generator=draws(2))
    model.keep(latest)
    assert torch.equal(model.bank, torch.cat([latest, first])[:10])
    assert int(model.filled) == 10
    assert torch.allclose(model.spread(), model.bank.std(0, correction=0))
    model.bank[:, 0, 0] = 1.0  # a column that carries nothing
    assert model.spread()[0, 0] > 0.05


@pytest.mark.parametrize("name", ["compositional-consistency", "compositional-consistency-masks"])
def test_it_trains_in_one_stage(name: str, drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    row = load_baseline(name, "tiny")
    served = replace(train, factors={}, masks=train.masks if name.endswith("masks") else None)
    served.images_served, log = 0, ListLog()
    fitted = row.fit(served, val, seed=0, budget=TrainBudget(), log=log)
    assert isinstance(fitted, Inverter)
    assert served.images_served == row.schedule.images
    assert log.generated == row.replayed * (row.schedule.steps - 3)  # three of eight are quiet
    assert {name for name, _, _ in log.scalars} == {"consistency"}
    fitted.setup(train.spec, torch.device("cpu"))
    state = fitted.step(val.images, fitted.init(val.images))
    assert fitted.decode(fitted.read(state).slots).shape == val.images.shape
