from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from recombine.baselines.methods import test_time_training
from recombine.baselines.methods.test_time_training import (
    AdaptedEncoder,
    MaskedRecognition,
    blanked,
)
from recombine.baselines.registry import load_baseline
from recombine.benchmark.inference.flops import count_flops
from recombine.benchmark.protocol.contract import Encoder, TrainBudget
from tests.baselines.drawn_fixture import DrawnData, ListLog
from tests.baselines.networks import FLOAT, first_vectors
from tests.baselines.nn.test_slots import LAYOUT

Data = tuple[DrawnData, DrawnData]


def _model(adapt_steps: int) -> MaskedRecognition:
    torch.manual_seed(0)
    own = {"weight": 10.0, "hidden": 0.5, "adapt_steps": adapt_steps}
    return MaskedRecognition(LAYOUT, (32, 32), **own, **FLOAT)


@pytest.fixture(scope="module")
def model(drawn_fixture: Data) -> MaskedRecognition:
    """A model whose normalisations have seen images."""
    made = _model(3)
    for _ in range(20):
        made.run(drawn_fixture[0].images[:32])
    return made.eval().requires_grad_(False)


def test_every_image_walks_as_its_own_network_would(
    model: MaskedRecognition, drawn_fixture: Data
) -> None:
    images = drawn_fixture[1].images[:3]
    found = model.adapted(images, 0.02)
    for i, image in enumerate(images):
        own = copy.deepcopy(model)
        norms = [layer for layer in own.trunk.stem if isinstance(layer, nn.BatchNorm2d)]
        moved = [p.requires_grad_() for layer in norms for p in (layer.weight, layer.bias)]
        adam = torch.optim.Adam(moved, lr=0.02, betas=(0.9, 0.99))
        for mask in model.masks[:3]:
            tokens = own.trunk(torch.where(mask, 0.5, image)[None])
            cells = tokens.transpose(1, 2).unflatten(2, (4, 4))
            painted = 0.5 + own.painter(cells)[0]
            adam.zero_grad()
            (painted - image)[mask.expand(3, -1, -1)].square().mean().backward()
            adam.step()
        slow = torch.stack(
            [torch.cat([x.weight for x in norms]), torch.cat([x.bias for x in norms])]
        )
        assert torch.allclose(found[i], slow, atol=2e-4)
        assert (found[i] - model.norms()).abs().max() > 0.01


def test_without_a_step_it_is_the_trained_encoder(
    model: MaskedRecognition, drawn_fixture: Data
) -> None:
    images = drawn_fixture[1].images[:4]
    tokens = model.tokens_with(images, model.norms().repeat(4, 1, 1))
    assert torch.allclose(tokens, model.trunk(images), atol=1e-4)


def test_answers_need_no_other_image_and_leave_the_model_as_it_was(
    model: MaskedRecognition, drawn_fixture: Data
) -> None:
    images, encoder = drawn_fixture[1].images[:6], AdaptedEncoder(model, 0.01)
    before = copy.deepcopy(model.state_dict())
    encoder.setup(drawn_fixture[1].spec, torch.device("cpu"))

    def ask(some: Tensor) -> Tensor:
        with torch.inference_mode():
            return encoder.encode(some).slots

    together = ask(images)
    assert torch.allclose(together, torch.cat([ask(one[None]) for one in images]), atol=1e-3)
    assert not torch.allclose(together, model.run(images)[0], atol=1e-2)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_steps_lower_the_error_and_their_operations_count(
    model: MaskedRecognition, drawn_fixture: Data
) -> None:
    images = drawn_fixture[1].images[:8]
    start = model.norms().repeat(8, 1, 1)

    def error(norms: Tensor) -> float:
        tokens = model.tokens_with(blanked(images, model.masks[:1]), norms)
        return float(model.painted_errors(tokens, images, model.masks[:1]).mean())

    assert error(model.adapted(images, 0.05)) < error(start)
    less = copy.deepcopy(model)
    less.adapt_steps = 0

    def operations(one: MaskedRecognition) -> int:
        with torch.inference_mode():
            return count_flops(lambda: AdaptedEncoder(one, 0.05).encode(images)).flops

    none = count_flops(lambda: model.run(images)).flops
    assert operations(less) == none
    step = (operations(model) - none) / 3
    trunk = count_flops(lambda: model.trunk(images)).flops
    assert 1.5 * trunk < step < 4 * trunk  # there and back, without the gradients of weights


def test_loss_by_its_parts(drawn_fixture: Data) -> None:
    images, targets = drawn_fixture[0].images[:4], first_vectors(drawn_fixture[0], 4)
    model = _model(0)
    torch.manual_seed(1)
    found = model.loss(images, targets)
    torch.manual_seed(1)
    masks = model.draw_masks(4)
    squares = masks.view(4, 4, 8, 4, 8).float().mean((2, 4))
    assert torch.equal(squares, squares.round())  # whole squares, half of the sixteen
    assert torch.equal(squares.sum((1, 2)), torch.full((4,), 8.0))
    tokens = model.trunk(torch.cat([images, torch.where(masks, 0.5, images)]))
    painted = 0.5 + model.painter(tokens[4:].transpose(1, 2).unflatten(2, (4, 4)))
    slow = 10 * (painted - images)[masks.expand(-1, 3, -1, -1)].square().mean()
    outputs = model.encoder.read(tokens[:4])[1]
    for k, slot in enumerate(LAYOUT.slots):
        for c in slot:
            guess, truth = outputs[:, k, c.span], targets[:, k, c.span]
            if c.kind == "categorical":
                slow = slow + nn.functional.cross_entropy(guess, truth)
            else:
                slow = slow + FLOAT["pose_weight"] * (guess - truth).square().sum(1).mean()
    assert found.item() == pytest.approx(slow.item(), rel=1e-4)


def test_the_step_size_is_chosen_in_combination(
    drawn_fixture: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, val = drawn_fixture
    monkeypatch.setattr(test_time_training, "TOLERANCE", 0.02)  # this network knows little
    row = replace(load_baseline("test-time-training", "tiny"), rates=(0.001, 0.01, 30.0))
    log = ListLog()
    fitted = row.fit(train, val, seed=0, budget=TrainBudget(), log=log)
    assert isinstance(fitted, Encoder)
    assert [config["rate"] for config, _ in log.tried] == [0.001, 0.01, 30.0]
    losses = [config["label_loss"] for config, _ in log.tried]
    assert losses[2] > 1.03 * losses[0]  # this one unlearns the labels, however well it paints
    scores = [score for _, score in log.tried[:2]]
    assert fitted.rate == row.rates[scores.index(max(scores))]
    plain = load_baseline("masked-auxiliary", "tiny")
    same = plain.fit(train, val, seed=0, budget=TrainBudget(), log=ListLog())
    for one, other in zip(
        fitted.model.encoder.parameters(), same.model.encoder.parameters(), strict=True
    ):
        assert torch.equal(one, other)
