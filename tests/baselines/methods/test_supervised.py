from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recombine.baselines.methods.supervised import Supervised
from recombine.baselines.training.loop import Schedule
from recombine.baselines.training.slot_encoder import RecognitionEncoder
from recombine.benchmark.protocol.contract import Encoder, Learner, SplitSpec, TrainBudget
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import FACTORS, DrawnData, ListLog

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
