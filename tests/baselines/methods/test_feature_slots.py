"""Slots on frozen features: what is rebuilt, what is counted, what is trained."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch

from recombine.baselines.methods.feature_slots import FeatureAutoencoder, FeatureSlots, KeptTokens
from recombine.baselines.nn.backbones import InnerTokens, pretrained
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.loop import Schedule
from recombine.benchmark.protocol.contract import Encoder, TrainBudget
from recombine.benchmark.submissions.torchvision_compat import ready_torchvision
from tests.baselines.drawn_fixture import DrawnData, ListLog, drawn

if importlib.util.find_spec("timm") is None:
    pytest.skip("timm is an extra", allow_module_level=True)
ready_torchvision()
SMALL = "timm:test_efficientnet?size=96&weights=random"


@pytest.fixture(scope="module")
def data() -> tuple[DrawnData, DrawnData]:
    train, val = drawn(48, px=16, seed=1), drawn(16, px=16, seed=2)
    return replace(train, factors={}, masks=None), replace(val, factors={}, masks=None)


def test_tokens_are_of_the_map_before_the_last_and_standardised_over_images() -> None:
    tokens = InnerTokens(pretrained(SMALL, 0)).train()
    assert not tokens.model.training
    images = torch.rand(24, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = tokens(images)
    last = tokens.model.forward_features(torch.zeros(1, 3, 96, 96)).shape[2:]
    assert tokens.grid == tuple(2 * edge for edge in last)
    assert found.shape == (24, tokens.count, tokens.inputs)
    tokens.standardise(found)
    flat = tokens.standard(found).flatten(0, 1)
    torch.testing.assert_close(flat.mean(0), torch.zeros(tokens.inputs), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat.std(0), torch.ones(tokens.inputs), atol=1e-3, rtol=0)


def test_a_run_that_goes_on_sees_the_batches_that_were_left_and_counts_all(
    data: tuple[DrawnData, DrawnData],
) -> None:
    kept = torch.arange(10.0)[:, None, None]
    whole, rest = (KeptTokens(replace(data[0]), kept, 4, 6, seed=3) for _ in range(2))
    batches = list(whole.after(0))
    assert len(batches) == 6
    for batch in batches:
        assert len(set(batch.flatten().tolist())) == 4
    first_epoch = torch.cat(batches[:2]).flatten().tolist()
    assert len(set(first_epoch)) == 8  # no image twice before all were seen
    assert all(map(torch.equal, batches[4:], rest.after(4)))
    assert whole.data.images_served == rest.data.images_served == 24


def test_without_a_label_it_trains_repeats_and_says_where_each_slot_lies(
    data: tuple[DrawnData, DrawnData],
) -> None:
    images, outputs = data[1].images, []
    learner = replace(load_baseline("dinosaur-imagenet", "tiny"), pixels=96)
    assert learner.card.supervision == "unsupervised"
    for _ in range(2):
        log = ListLog()
        encoder = learner.fit(*data, seed=0, budget=TrainBudget(), log=log)
        assert isinstance(encoder, Encoder)
        encoder.setup(data[0].spec, torch.device("cpu"))
        outputs.append(encoder.encode(images))
        assert [name for name, _, _ in log.scalars] == ["features"]
    found = outputs[0]
    assert found.masks is not None
    assert found.slots.shape == (16, data[0].spec.max_slots, learner.dim)
    assert found.masks.shape == (16, data[0].spec.max_slots, 16, 16)
    torch.testing.assert_close(found.masks.sum(1), torch.ones(16, 16, 16))
    assert torch.equal(found.slots, outputs[1].slots)


def test_slots_learn_to_rebuild_the_features_and_the_backbone_stays(
    data: tuple[DrawnData, DrawnData],
) -> None:
    settings = FeatureSlots(
        width=32,
        dim=16,
        schedule=Schedule(steps=300, batch_size=16, rate=5e-3, weight_decay=0.0),
        backbone="timm:test_efficientnet",
        weights="random",
        pixels=96,
    )
    log = ListLog()
    encoder = settings.fit(*data, seed=0, budget=TrainBudget(), log=log)
    losses = [value for _, value, _ in log.scalars]
    assert losses[-1] < 0.8 * losses[0]
    fresh = pretrained(SMALL, 0).model.state_dict()
    for name, tensor in encoder.features.model.state_dict().items():
        assert torch.equal(tensor, fresh[name]), name


def test_decoded_tokens_are_mixed_by_shares_of_every_place() -> None:
    features = InnerTokens(pretrained(SMALL, 0))
    spec = drawn(4, px=16, seed=0).spec
    model = FeatureAutoencoder(FeatureSlots(width=8, dim=4), spec, features)
    slots = torch.randn(3, spec.max_slots, 4, generator=torch.Generator().manual_seed(0))
    mixed, shares = model.decode(slots)
    alone = [
        model.decode(slots[:, [k]].expand(-1, spec.max_slots, -1))[0] for k in range(spec.max_slots)
    ]
    expected = sum(one * shares[:, k, :, None] for k, one in enumerate(alone))
    torch.testing.assert_close(mixed, expected)
    turned = model.decode(slots.flip(1))[0]
    torch.testing.assert_close(mixed, turned)  # one decoder for all slots: order says nothing
