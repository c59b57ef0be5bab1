from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recombine.baselines.generative.vae import (
    CodeEncoder,
    CodeInversion,
    Labels,
    Vae,
    VaeModel,
    code_layout,
    code_recovery,
    divergence,
    select_code_search,
)
from recombine.baselines.nn.decoders import Layers
from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.loop import Schedule
from recombine.baselines.training.search import SearchSettings
from recombine.benchmark.protocol.contract import Inverter, Learner, SplitSpec, TrainBudget
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import FACTORS, DrawnData, ListLog
from tests.baselines.nn.test_slots import LAYOUT

pytestmark = pytest.mark.long

Data = tuple[DrawnData, DrawnData]


class Blobs(nn.Module):
    """A decoder that anyone can invert: each latent is the brightness of its own 8 x 8 square."""

    def forward(self, slots: Tensor) -> Layers:
        squares = (slots.flatten(1) * 0.1 + 0.5).view(-1, 1, 4, 4).expand(-1, 3, -1, -1)
        return Layers(squares.repeat_interleave(8, 2).repeat_interleave(8, 3))


class Misled(nn.Module):
    """An encoder that reads the first slot right, and the second as zero."""

    def __init__(self) -> None:
        super().__init__()
        self.layout, self.image_hw, self.precision = code_layout(2, 8), (32, 32), "float32"

    def guess(self, images: Tensor) -> Tensor:
        squares = images.mean(1).unflatten(2, (4, 8)).unflatten(1, (4, 8)).mean((2, 4))
        slots = ((squares - 0.5) * 10).reshape(-1, 2, 8)
        return slots * torch.tensor([1.0, 0.0])[:, None]


def _scenes(n: int) -> tuple[Tensor, Tensor]:
    slots = torch.randn(n, 2, 8, generator=torch.Generator().manual_seed(0))
    return slots, Blobs()(slots).image


def test_divergence_is_that_of_gaussians() -> None:
    g = torch.Generator().manual_seed(0)
    mean, log_variance = (torch.randn(4, 2, 3, generator=g) for _ in range(2))
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    exact = torch.distributions.kl_divergence(posterior, prior).sum((1, 2)).mean()
    assert divergence(mean, log_variance).item() == pytest.approx(exact.item(), rel=1e-5)
    assert divergence(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3)).item() == 0


def test_search_repairs_what_the_encoder_misread() -> None:
    slots, images = _scenes(6)
    search = CodeInversion(Misled(), Blobs(), SearchSettings(pose_rate=0.1, steps=80), "float32")
    state = search.init(images)
    before = (search.read(state).slots - slots).square().mean()
    for _ in range(80):
        state = search.step(images, state)
    after = (search.read(state).slots - slots).square().mean()
    assert before > 0.3
    assert after < 0.05 * before


def test_recovery_rewards_search_that_finds_the_way_back() -> None:
    _, images = _scenes(12)

    class Exact(Misled):
        def guess(self, images: Tensor) -> Tensor:
            squares = images.mean(1).unflatten(2, (4, 8)).unflatten(1, (4, 8)).mean((2, 4))
            return ((squares - 0.5) * 10).reshape(-1, 2, 8)

    def recovery(rate: float) -> float:
        settings = SearchSettings(pose_rate=rate, steps=40)
        return code_recovery(CodeInversion(Exact(), Blobs(), settings, "float32"), images, seed=0)

    assert recovery(0.0) == 0
    assert recovery(0.1) == 1


def test_settings_are_chosen_by_recovery_and_logged() -> None:
    _, images = _scenes(12)
    data = DrawnData(images, {}, None, SplitSpec((32, 32), 2, FACTORS))

    class Exact(Misled):
        def guess(self, images: Tensor) -> Tensor:
            squares = images.mean(1).unflatten(2, (4, 8)).unflatten(1, (4, 8)).mean((2, 4))
            return ((squares - 0.5) * 10).reshape(-1, 2, 8)

    log = ListLog()
    candidates = (SearchSettings(pose_rate=0.001), SearchSettings(pose_rate=0.1))
    chosen = select_code_search(Exact(), Blobs(), data, seed=0, log=log, candidates=candidates)
    assert chosen.settings == candidates[1]
    assert [config["pose_rate"] for config, _ in log.tried] == [0.001, 0.1]
    assert log.tried[0][1] < log.tried[1][1]


def test_the_posterior_is_bounded() -> None:
    network = SlotEncoder(2, 8, width=16, image_hw=(32, 32), layers=1)
    encoder = CodeEncoder(network, code_layout(2, 4), (32, 32), "float32").eval()
    mean, log_variance = encoder.posterior(1e3 * torch.rand(3, 3, 32, 32))
    assert mean.shape == log_variance.shape == (3, 2, 4)
    assert log_variance.abs().max() <= 8
    assert encoder.layout.groups == ((0,), (1,))


def test_labels_act_through_a_linear_readout(drawn_fixture: Data) -> None:
    train = drawn_fixture[0]
    labels = Labels(LAYOUT, 4)
    labels.standardise(train.factors)
    means = torch.randn(5, 2, 4, generator=torch.Generator().manual_seed(0))
    factors = {k: v[:5] for k, v in train.factors.items()}
    slow = torch.zeros(())
    for k in range(2):
        outputs = means[:, k] @ labels.weight[k].T + labels.bias[k]
        for c in LAYOUT.slots[k]:
            values = train.factors[c.key]
            if c.kind == "categorical":
                slow = slow + nn.functional.cross_entropy(outputs[:, c.span], factors[c.key])
                continue
            wanted = ((factors[c.key] - values.mean()) / values.std(correction=0))[:, None]
            if c.kind == "angle":
                angle = factors[c.key]
                wanted = torch.stack([angle.cos(), angle.sin()], dim=1)
            slow = slow + 0.3 * (outputs[:, c.span] - wanted).square().sum(1).mean()
    assert labels.loss(means, factors).item() == pytest.approx(slow.item(), rel=1e-4)


def test_masks_are_the_mixing_weights_of_the_slots(drawn_fixture: Data) -> None:
    torch.manual_seed(0)
    model = VaeModel(
        Vae(kind="broadcast", dim=4, width=16, layers=1, decoder_width=4), drawn_fixture[0]
    )
    search = CodeInversion(model.encoder, model.decoder, SearchSettings(), "float32")
    slots = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    masks = search.masks(slots)
    logits = 12 * torch.tanh(model.decoder.pictures(slots)[:, :, 3] / 12)
    assert torch.allclose(masks, logits.softmax(1), atol=1e-5)
    assert (
        CodeInversion(Misled(), Blobs(), SearchSettings(), "float32").masks(_scenes(2)[0]) is None
    )


@pytest.mark.parametrize("masks", [True, False])
def test_loss_by_its_parts(drawn_fixture: Data, masks: bool) -> None:
    whole = drawn_fixture[0]
    data = replace(whole, factors={}, masks=whole.masks if masks else None)
    settings = Vae(kind="broadcast", dim=4, width=16, layers=1, decoder_width=4, variance=0.02)
    torch.manual_seed(0)
    model = VaeModel(replace(settings, precision="float32"), data).eval()
    batch = data._batch(slice(0, 4))
    torch.manual_seed(1)
    found = model.loss(batch)
    torch.manual_seed(1)
    mean, log_variance = model.encoder.posterior(batch.images)
    layers = model.decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean))
    slow = 100 * (layers.image - batch.images).square().mean()
    slow = slow + 200 * 0.02 / (3 * 32 * 32) * divergence(mean, log_variance)
    if masks:
        share = torch.cat([torch.zeros_like(layers.opacity), layers.opacity], 1).log_softmax(1)
        slow = slow - 0.5 * share.gather(1, batch.masks[:, None]).mean()
    assert found.item() == pytest.approx(slow.item(), rel=1e-4)


def test_it_learns_to_draw_and_replay_keeps_the_encoder_anchored(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    bare = replace(train, factors={}, masks=None)
    tiny = load_baseline("vae-broadcast-replay", "tiny")
    learner = replace(
        tiny,
        decoder_width=8,
        schedule=Schedule(steps=50, batch_size=16, rate=5e-3),
        replay=Schedule(steps=5, batch_size=8, rate=1e-3),
    )
    assert isinstance(learner, Learner)
    log, images = ListLog(), val.images
    before = bare.images_served
    inversion = learner.fit(bare, val, seed=0, budget=TrainBudget(), log=log)
    assert isinstance(inversion, Inverter)
    assert log.generated == 5 * learner.replayed
    assert bare.images_served - before == 50 * 16 + 5 * 8 + len(train)
    inversion.setup(train.spec, torch.device("cpu"))
    state = inversion.init(images)
    drawn = inversion.decode(inversion.read(state).slots)
    plain = (images - images.mean(0)).square().mean()
    assert (drawn - images).square().mean() < 0.85 * plain
    direct = replace(learner, replayed=0).fit(
        bare, val, seed=0, budget=TrainBudget(), log=ListLog()
    )
    with torch.no_grad():
        moved = inversion.recognition.guess(images) - direct.recognition.guess(images)
        spread = direct.recognition.guess(images).std()
    assert 0 < moved.square().mean().sqrt() < spread
    for a, b in zip(inversion.decoder.parameters(), direct.decoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_other_images_are_refused() -> None:
    search = CodeInversion(Misled(), Blobs(), SearchSettings(), "float32")
    with pytest.raises(InvalidInputError, match=r"\(32, 32\)"):
        search.setup(SplitSpec((16, 16), 2, FACTORS), torch.device("cpu"))


def test_the_cache_changes_neither_the_answer_nor_what_is_counted(
    drawn_fixture: Data, tmp_path: Path
) -> None:
    train, val = drawn_fixture
    plain = load_baseline("vae-broadcast-replay", "tiny")
    cached = replace(plain, cache_dir=tmp_path)
    answers, served = [], []
    for learner in (plain, cached, cached):
        bare = replace(train, factors={}, masks=None, images_served=0)
        method = learner.fit(bare, val, seed=0, budget=TrainBudget(), log=ListLog())
        with torch.no_grad():
            answers.append(method.recognition.guess(val.images[:4]))
        served.append(bare.images_served)
    assert len(list(tmp_path.iterdir())) == 1
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])
    assert len(set(served)) == 1
