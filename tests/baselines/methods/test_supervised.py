from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from recombine.baselines.generative.slot_autoencoder import SlotAutoencoder
from recombine.baselines.methods.supervised import Regressor, Supervised
from recombine.baselines.nn.build import build_decoder
from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.nn.slot_attention import SlotAttention
from recombine.baselines.nn.slots import layout_of
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.loop import Schedule
from recombine.baselines.training.slot_encoder import RecognitionEncoder
from recombine.benchmark.protocol.contract import Encoder, Learner, SplitSpec, TrainBudget
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import FACTORS, DrawnData, ListLog
from tests.baselines.networks import (
    FLOAT,
    first_vectors,
)
from tests.baselines.nn.test_slots import LAYOUT

Data = tuple[DrawnData, DrawnData]
LEARNS = Supervised(width=48, layers=1, schedule=Schedule(steps=120, batch_size=32))


@pytest.fixture(scope="module")
def fitted(drawn_fixture: Data) -> RecognitionEncoder:
    train, val = drawn_fixture
    log = ListLog()
    encoder = LEARNS.fit(train, val, seed=0, budget=TrainBudget(), log=log)
    encoder.setup(train.spec, torch.device("cpu"))
    return encoder


def _short() -> Supervised:
    return replace(LEARNS, schedule=Schedule(steps=6, batch_size=16))


def test_it_fits_the_protocol(fitted: RecognitionEncoder) -> None:
    assert isinstance(Supervised(), Learner)
    assert isinstance(fitted, Encoder)
    assert Supervised.card.inference == "direct"
    assert "unseen" in Supervised.card.note


def test_it_learns_the_drawn_fixture(fitted: RecognitionEncoder, drawn_fixture: Data) -> None:
    val = drawn_fixture[1].arrays()
    output = fitted.encode(val.images)
    assert output.slots.shape == (len(val.images), 2, fitted.slot_dim)
    assert output.factors is not None
    for key, least in (("object.shape", 0.8), ("background.environment", 0.95)):
        right = (output.factors[key] == val.factors[key]).float().mean()
        assert right > least, key
    error = (output.factors["object.x"] - val.factors["object.x"]).abs().mean()
    assert error < 0.12


def test_images_do_not_see_each_other(fitted: RecognitionEncoder, drawn_fixture: Data) -> None:
    images = drawn_fixture[1].arrays().images[:8]
    alone = torch.cat([fitted.encode(image[None]).slots for image in images])
    assert torch.allclose(fitted.encode(images).slots, alone, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "float32"])
def test_a_seed_decides_everything(drawn_fixture: Data, precision: str) -> None:
    train, val = drawn_fixture
    learner = replace(_short(), precision=precision)
    images = val.arrays().images[:4]

    def slots(seed: int) -> torch.Tensor:
        torch.manual_seed(int(torch.randint(1 << 30, (1,))))  # the outside must not matter
        encoder = learner.fit(train, val, seed=seed, budget=TrainBudget(), log=ListLog())
        return encoder.encode(images).slots

    assert torch.equal(slots(3), slots(3))
    assert not torch.allclose(slots(3), slots(4))


def test_the_image_budget_is_kept(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    before = train.images_served
    LEARNS.fit(train, val, seed=0, budget=TrainBudget(max_images_seen=400), log=ListLog())
    assert 200 < train.images_served - before <= 400


def test_other_images_are_refused(fitted: RecognitionEncoder) -> None:
    with pytest.raises(InvalidInputError, match=r"\(32, 32\)"):
        fitted.setup(SplitSpec((48, 48), 2, FACTORS), torch.device("cpu"))
    renamed = {("object.form" if k == "object.shape" else k): v for k, v in FACTORS.items()}
    with pytest.raises(InvalidInputError, match=r"object\.form"):
        fitted.setup(SplitSpec((32, 32), 2, renamed), torch.device("cpu"))


def test_labels_are_needed(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    hidden = DrawnData(train.images, {}, None, train.spec)
    with pytest.raises(InvalidInputError, match="factor labels"):
        _short().fit(hidden, val, seed=0, budget=TrainBudget(), log=ListLog())


def test_regression_is_squared_error_on_slot_vectors(drawn_fixture: Data) -> None:
    torch.manual_seed(0)
    model = Regressor(LAYOUT, (32, 32), **FLOAT).eval()
    images, targets = drawn_fixture[0].images[:3], first_vectors(drawn_fixture[0], 3)
    outputs = model.run(images)[1]
    slow = (outputs[:, 0] - targets[:, 0]).square().sum()
    slow = (slow + (outputs[:, 1, :4] - targets[:, 1, :4]).square().sum()) / 3
    assert model.loss(images, targets).item() == pytest.approx(slow.item(), rel=1e-5)


def test_slots_compete_for_tokens(drawn_fixture: Data) -> None:
    torch.manual_seed(0)
    network = SlotAttention(2, 5, width=16, image_hw=(32, 32))
    shared = network.attention(torch.randn(3, 2, 16), torch.randn(3, 9, 16))
    assert shared.shape == (3, 2, 9)
    assert torch.allclose(shared.sum(1), torch.ones(3, 9), atol=1e-5)
    slots, outputs = network.eval()(drawn_fixture[0].images[:4])
    assert slots.shape == (4, 2, 16)
    assert outputs.shape == (4, 2, 5)


def test_the_larger_encoder_has_the_parameters_of_encoder_and_decoder() -> None:
    classes = {"object.shape": "categorical[32]", "background.environment": "categorical[16]"}
    layout, hw = layout_of(SplitSpec((64, 64), 2, FACTORS | classes)), (64, 64)
    larger, base = load_baseline("supervised-larger"), load_baseline("autoencoder")

    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    def encoder(row: Supervised | SlotAutoencoder) -> SlotEncoder:
        return SlotEncoder(2, layout.dim, width=row.width, image_hw=hw, layers=row.layers)

    decoders = {
        kind: count(build_decoder(kind, layout, hw, base.decoder_width, light=True))
        for kind in ("patch", "leak", "unstructured")
    }
    assert count(encoder(larger)) == pytest.approx(
        count(encoder(base)) + decoders["patch"], rel=0.05
    )
    assert decoders["patch"] < min(decoders["leak"], decoders["unstructured"])


def test_the_longer_encoder_trains_three_times_as_long() -> None:
    for size in ("tiny", "cpu", "gpu"):
        longer, usual = (load_baseline(n, size) for n in ("supervised-longer", "supervised"))
        assert replace(longer.schedule, steps=longer.schedule.steps // 3) == usual.schedule
