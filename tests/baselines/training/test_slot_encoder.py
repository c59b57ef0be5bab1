from __future__ import annotations

import pytest
import torch

from recombine.baselines.nn.losses import slot_loss
from recombine.baselines.nn.slots import slot_vectors, standard
from recombine.baselines.training.slot_encoder import Recognition, first_images
from tests.baselines.drawn_fixture import DrawnData, drawn
from tests.baselines.nn.test_slots import LAYOUT


@pytest.fixture(scope="module")
def data() -> DrawnData:
    return drawn(12, px=32, seed=0)


@pytest.fixture
def model(data: DrawnData) -> Recognition:
    torch.manual_seed(0)
    model = Recognition(LAYOUT, (32, 32), width=16, layers=1, pose_weight=2.0, precision="bf16")
    model.center, model.spread = standard(LAYOUT, slot_vectors(LAYOUT, data.factors))
    return model


def test_targets_are_standardised(model: Recognition, data: DrawnData) -> None:
    targets = model.targets(data.factors)
    x = next(c for c in LAYOUT.slots[0] if c.key == "object.x")
    assert float(targets[:, 0, x.span].mean()) == pytest.approx(0, abs=1e-5)
    assert float(targets[:, 0, x.span].std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_the_standardisation_is_saved_with_the_weights(model: Recognition, data: DrawnData) -> None:
    copy = Recognition(LAYOUT, (32, 32), width=16, layers=1, pose_weight=2.0, precision="bf16")
    copy.load_state_dict(model.state_dict())
    assert torch.equal(copy.targets(data.factors), model.targets(data.factors))


def test_loss_is_the_slot_loss_of_the_heads(model: Recognition, data: DrawnData) -> None:
    model.eval()
    targets = model.targets(data.factors)
    wanted = slot_loss(LAYOUT, model.run(data.images)[1], targets, 2.0)
    assert torch.allclose(model.loss(data.images, targets), wanted)


def test_answers_are_float32_exact(model: Recognition, data: DrawnData) -> None:
    """Training in bfloat16 rounds; answering must not, whatever the batch."""
    model.eval()
    exact = model.encoder(data.images)[0]
    assert torch.allclose(model.run(data.images)[0], exact, atol=1e-5)
    model.train()
    assert not torch.allclose(model.run(data.images)[0], model.encoder(data.images)[0], atol=1e-6)


@pytest.mark.parametrize(("limit", "got"), [(5, 5), (12, 12), (99, 12)])
def test_first_images_are_counted(data: DrawnData, limit: int, got: int) -> None:
    before = data.images_served
    batch = first_images(data, limit, seed=0)
    assert len(batch.images) == got
    assert len(batch.factors["object.x"].unique()) == got
    assert data.images_served - before == got
