"""The replay stage against a slow account of what it trains on."""

from __future__ import annotations

import copy

import pytest
import torch

from recombine.baselines.methods.replay import train_anchored
from recombine.baselines.methods.slotmodel import SlotModel
from recombine.baselines.nn.losses import slot_loss
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.loop import Schedule, endless, seeded
from recombine.baselines.training.slot_encoder import Recognition
from tests.baselines.drawn_fixture import DrawnData, ListLog
from tests.baselines.nn.test_slots import LAYOUT

Data = tuple[DrawnData, DrawnData]


def test_real_and_made_images_weigh_alike(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    torch.manual_seed(0)
    model = Recognition(
        LAYOUT, (32, 32), width=16, layers=1, pose_weight=0.5, precision="float32"
    ).train()
    made = val.images[:6], model.targets({k: v[:6] for k, v in val.factors.items()})
    before, log = copy.deepcopy(model), ListLog()
    train_anchored(model, lambda: made, train, Schedule(1, batch_size=3), seed=2, log=log)  # type: ignore[arg-type]
    (real,) = endless(train, 3, 1, 2 + 10_000)  # type: ignore[arg-type]
    outputs = before.run(torch.cat([real.images, made[0]]))[1]  # one batch: its norm is shared
    targets = torch.cat([before.targets(real.factors), made[1]])
    slow = sum(
        slot_loss(LAYOUT, outputs[i : i + 1], targets[i : i + 1], 0.5).item() for i in range(9)
    )
    assert log.scalars == [("replay", pytest.approx(slow / 9, rel=1e-4), 0)]
    assert log.generated == 6


@pytest.mark.parametrize("name", ["autoencoder-replay", "factor-replay"])
def test_replayed_images_are_decoded_recombinations_of_training_slots(
    name: str, drawn_fixture: Data
) -> None:
    train = drawn_fixture[0]
    row = load_baseline(name, "tiny")
    torch.manual_seed(0)
    model = SlotModel(row.base, train)  # type: ignore[arg-type]
    model.recognition.standardise(train.arrays())
    with seeded(1) as generator:
        draw = row._draw(model, train, generator, share=1.0, seed=0)
        images, slots = draw()
        noise_free = model.decoder(slots).image
    bank = model.recognition.targets(train.factors)
    assert len(images) == row.replayed
    assert images.min() >= 0
    assert images.max() <= 1
    assert (images - noise_free.clamp(0, 1)).abs().mean() < 2 * row.noise
    whole = [
        [(bank[:, k] - slots[i, k]).abs().sum(1).min().item() < 1e-5 for k in range(2)]
        for i in range(row.replayed)
    ]
    own = [(bank - slots[i]).abs().sum((1, 2)).min().item() < 1e-5 for i in range(row.replayed)]
    assert all(background for _, background in whole)
    assert all(thing for thing, _ in whole) == (not row.within)  # factors are torn apart, or not
    assert sum(own) < row.replayed / 2  # most are new
