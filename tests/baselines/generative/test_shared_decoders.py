"""Rows whose slots share one decoder, the regulariser's warm-up, and a decoder of one's own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import recombine.baselines
from recombine.baselines.generative.autoencoders import Replay
from recombine.baselines.generative.slot_autoencoder import SlotModel
from recombine.baselines.generative.vae import CodeInversion, VaeModel
from recombine.baselines.nn.attention_decoder import (
    WEIGHT,
    FewKeys,
    SharedCrossAttention,
    interaction,
    warm_up,
)
from recombine.baselines.nn.decoders import Layers
from recombine.baselines.nn.losses import mask_loss, spread_of, standard_error
from recombine.baselines.nn.slot_attention import SlotAttention
from recombine.baselines.registry import BASELINES, load_baseline
from recombine.baselines.training.loop import Schedule
from recombine.baselines.training.search import SearchSettings
from recombine.benchmark.protocol.contract import Inverter, TrainBudget
from tests.baselines.drawn_fixture import DrawnData, ListLog, drawn

PAGE = Path(recombine.baselines.__file__).parents[1] / "docs/baselines/autoencoders.md"
Data = tuple[DrawnData, DrawnData]
ROWS = (
    "paper-vae-replay",
    "paper-vae-slot-attention-replay",
    "paper-vae-cnn-replay",
    "slot-attention-unsupervised",
)


def _randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def data() -> Data:
    train, val = drawn(48, px=16, seed=1), drawn(16, px=16, seed=2)
    bare: list[DrawnData] = [replace(part, factors={}, masks=None) for part in (train, val)]
    return bare[0], bare[1]


@pytest.mark.parametrize("name", ROWS)
def test_rows_fit_and_say_how_slots_share_the_pixels(name: str, data: Data) -> None:
    train, val = data
    learner, log = load_baseline(name, "tiny"), ListLog()
    inversion = learner.fit(train, val, seed=0, budget=TrainBudget(), log=log)
    assert isinstance(inversion, Inverter)
    assert log.generated == learner.replay.steps * learner.replayed
    inversion.setup(train.spec, torch.device("cpu"))
    state = inversion.step(val.images, inversion.init(val.images))
    answer = inversion.read(state)
    assert answer.slots.shape == (16, 2, learner.dim)
    assert torch.isfinite(answer.slots).all()
    assert (answer.masks is None) == ("cnn" in name)
    if answer.masks is not None:
        assert answer.masks.shape == (16, 2, 16, 16)
        assert torch.allclose(answer.masks.sum(1), torch.ones(16, 16, 16), atol=1e-4)


@pytest.mark.parametrize("name", ROWS)
def test_a_shared_decoder_does_not_know_one_slot_from_another(name: str, data: Data) -> None:
    torch.manual_seed(0)
    model = VaeModel(load_baseline(name, "tiny"), data[0]).eval()
    slots = _randn(3, 2, 8)
    image, swapped = model.decoder(slots), model.decoder(slots.flip(1))
    alike = torch.allclose(image.image, swapped.image, atol=1e-5)
    assert alike == ("cnn" not in name)
    assert image.image.std() > 0
    if alike:
        assert torch.allclose(image.shares, swapped.shares.flip(1), atol=1e-5)
        search = CodeInversion(model.encoder, model.decoder, SearchSettings(), "float32")
        assert torch.allclose(search.masks(slots), image.shares, atol=1e-5)
    outputs = model.encoder.network(data[0].images[:3])[1]
    assert not torch.allclose(outputs[:, 0], outputs[:, 1], atol=1e-3)  # by their starts alone


def test_attention_of_many_queries_to_few_keys_is_the_usual_one() -> None:
    torch.manual_seed(0)
    ours = FewKeys(10, 12, 3)
    with torch.no_grad():
        for linear in (ours.query, ours.key, ours.value, ours.out):
            linear.bias.normal_()
    queries, keys = _randn(2, 7, 10), _randn(2, 4, 12, seed=1)
    found, weights = ours(queries, keys)
    usual = nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        usual.in_proj_weight.copy_(torch.cat([torch.eye(12), ours.key.weight, ours.value.weight]))
        usual.in_proj_bias.copy_(torch.cat([torch.zeros(12), ours.key.bias, ours.value.bias]))
        usual.out_proj.weight.copy_(torch.eye(12))
    looked, expected = usual(ours.query(queries), keys, keys, average_attn_weights=False)
    assert torch.allclose(weights, expected, atol=1e-5)
    assert torch.allclose(found, ours.out(looked), atol=1e-5)


def test_the_regulariser_is_the_source_s_in_our_units() -> None:
    """0.05 * the source's penalty beside 5 * its summed error, when ours is 100 * the mean."""
    weights = [_randn(2, 12, 7, 3, seed=s).softmax(-1) for s in range(2)]
    source = 0.0
    for b in range(2):
        for p in range(7):
            w = [
                sum(float(a[b, h, p, k]) for a in weights for h in range(12)) / 2 for k in range(3)
            ]
            source += sum(w[k] * w[j] for k in range(3) for j in range(k)) / 14
    values = 3 * 64 * 64
    summed = 0.05 * source / 5  # per unit of summed error
    assert WEIGHT * float(interaction(weights)) == pytest.approx(summed * 100 / values, rel=0.03)


def test_the_regulariser_warms_up_over_a_fifth_of_the_training() -> None:
    torch.manual_seed(0)
    decoder = SharedCrossAttention(4, (8, 8), queries=8, slots=12, heads=2).train()
    slots = _randn(2, 3, 4)
    full = decoder(slots).penalty.item()
    warm_up(nn.Sequential(decoder), 20)
    found = [decoder(slots).penalty.item() / full for _ in range(6)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1], rel=1e-5)
    attention = [weights for _, weights in _attended(decoder, slots)]
    assert full == pytest.approx(WEIGHT * interaction(attention).item(), rel=1e-5)


def _attended(decoder: SharedCrossAttention, slots: Tensor) -> list[tuple[Tensor, Tensor]]:
    queries, embedded, out = decoder.ask(decoder.place)[None], decoder.embed(slots), []
    for layer in decoder.layers:
        out.append(layer(queries, embedded))
        queries = out[-1][0]
    return out


def test_gradients_pass_the_last_round_of_slot_attention_only() -> None:
    torch.manual_seed(0)
    network = SlotAttention(3, 4, width=8, image_hw=(16, 16), stride=4, implicit=True).eval()
    images = torch.rand(2, 3, 16, 16)
    network(images)[1].square().sum().backward()
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    tokens = network.norm_tokens(network.embed(network.tokens(images)))
    keys, values = network.key(tokens), network.value(tokens)
    slots = network.start.detach().expand(2, -1, -1)
    with torch.no_grad():
        for _ in range(2):
            slots = network.attend(slots, keys, values)
    before = slots.clone().requires_grad_()
    network.heads(network.attend(before, keys, values))[1].square().sum().backward()
    assert before.grad is not None
    assert torch.allclose(found.pop("start")[0], before.grad.sum(0), atol=1e-5)
    for name, p in network.named_parameters():
        if name != "start":
            assert p.grad is not None
            assert torch.allclose(found[name], p.grad, atol=1e-5), name
    network.implicit = False
    network.zero_grad()
    network(images)[1].square().sum().backward()
    assert not torch.allclose(found["update.weight_hh"], network.update.weight_hh.grad, atol=1e-5)


def test_replay_counts_errors_in_units_of_the_bank() -> None:
    bank = _randn(50, 2, 3) * torch.tensor([5.0, 0.5, 1e-3]) + 2
    found, wanted = _randn(4, 2, 3, seed=1), _randn(4, 2, 3, seed=2)
    slow = 0.0
    for k in range(2):
        for d in range(3):
            column = bank[:, k, d]
            unit = max(float((column - column.mean()).square().mean().sqrt()), 0.05)
            slow += sum(((float(found[i, k, d] - wanted[i, k, d])) / unit) ** 2 for i in range(4))
    spread = spread_of(bank)
    assert float(standard_error(found, wanted, spread)) == pytest.approx(slow / 24, rel=1e-4)
    noise = bank[:4] - bank[4:8]  # of a column that nobody uses: it must not count for much
    assert ((noise / spread)[..., 2].square().mean()) < 0.01


def test_every_search_has_thirty_steps() -> None:
    for name in BASELINES:
        row: Any = load_baseline(name)
        candidates = getattr(getattr(row, "base", row), "candidates", ())
        assert {settings.steps for settings in candidates} <= {30}, name


@pytest.mark.parametrize("name", ["autoencoder", "broadcast", "leak", "additive", "unstructured"])
def test_rows_without_masks_differ_in_masks_only(name: str) -> None:
    bare, usual = load_baseline(f"{name}-no-masks", "tiny"), load_baseline(name, "tiny")
    assert replace(bare, mask_weight=usual.mask_weight) == usual
    assert load_baseline(f"{name}-no-masks-replay", "tiny").base == bare
    whole = drawn(8, px=16, seed=1)
    torch.manual_seed(0)
    model = SlotModel(bare, whole)
    batch = whole.arrays()
    assert batch.masks is not None
    other = replace(batch, masks=1 - batch.masks)
    assert torch.equal(model.decoder_loss(batch), model.decoder_loss(other))
    model.settings = usual
    assert not torch.equal(model.decoder_loss(batch), model.decoder_loss(other))


# A decoder of one's own, as docs/baselines/autoencoders.md has it.


def _example() -> dict[str, Any]:
    section = PAGE.read_text().partition("## Your own decoder")[2]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    space: dict[str, Any] = {"__name__": "tests.own_decoder"}
    exec(code, space)
    return space


@pytest.mark.skipif(not PAGE.is_file(), reason="only a checkout has the page")
def test_a_decoder_of_ones_own_is_one_class(run_log: ListLog) -> None:
    row = _example()["Mixture"]
    small = {**row.SIZES["tiny"], "decoder": Schedule(steps=40, batch_size=16, rate=5e-3)}
    train, val = drawn(64, px=16, seed=1), drawn(16, px=16, seed=2)
    replay = Replay(base=row(**small), replay=Schedule(steps=2, batch_size=4), replayed=8)
    assert replay.card.id == "mixture-replay"
    inversion = replay.fit(train, val, seed=0, budget=TrainBudget(), log=run_log)
    assert type(inversion.decoder).__name__ == "Pictures"
    losses = [value for name, value, _ in run_log.scalars if name == "decoder"]
    assert losses[-1] < 0.7 * losses[0]
    slots = inversion.recognition.targets(val.factors)
    layers = inversion.decoder(slots)
    assert isinstance(layers, Layers)
    assert layers.opacity is not None
    assert layers.opacity.shape == (16, 1, 16, 16)  # the object over the background
    assert val.masks is not None
    assert torch.isfinite(mask_loss(layers.opacity, val.masks))
