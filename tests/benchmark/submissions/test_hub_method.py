"""The standard slot head on a frozen backbone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakeDataset

from recombine.benchmark.protocol.contract import Encoder, Learner, TrainBudget
from recombine.benchmark.running.harness import RunOptions, run_key
from recombine.benchmark.scoring.score import score_submission
from recombine.benchmark.serving.data import TrainData
from recombine.benchmark.submissions import backbones
from recombine.benchmark.submissions.hub import _tokens_of, hub_method, tokens_of
from recombine.benchmark.submissions.loading import load_learner
from recombine.renderer.core.errors import InvalidInputError, ResourceError

TINY = "timm:test_resnet?weights=random&size=32"


@pytest.fixture(scope="module", autouse=True)
def timm():
    backbones.ready_torchvision()
    return pytest.importorskip("timm")


def test_a_cnn_with_random_weights_is_scored(tmp_path):
    method = replace(load_learner(TINY), epochs=4)
    assert isinstance(method, Learner)
    options = RunOptions(readout_labels=80)
    dataset = FakeDataset(train=16, val=3, test=3)
    (result,) = score_submission(method, dataset, seeds=[0], out_dir=tmp_path, options=options)
    assert (result.trust, result.track.data) == ("retrained", "scratch")
    assert result.training.real_images_seen == 4 * 16 * 8
    assert result.scores.id_test.estimate > 0.5
    assert result.compute.gflop_per_image > 0
    assert "path" not in str(result.method.settings)


def test_the_same_model_has_the_same_identity():
    first, second = hub_method(TINY), hub_method(TINY)
    keys = {run_key(m, FakeDataset(), seed=0, options=RunOptions()) for m in (first, second)}
    other = replace(first, weights_sha256="0" * 64)
    assert len(keys) == 1
    assert run_key(other, FakeDataset(), seed=0, options=RunOptions()) not in keys


class Log:
    def scalar(self, name, value, step):
        assert np.isfinite(value)


def fitted(method, **kwargs):
    data = TrainData(FakeDataset(train=4), "id_train", fields=("factors",), **kwargs)
    return method.fit(data, data, seed=0, budget=TrainBudget(), log=Log())


def test_images_are_answered_one_by_one():
    encoder = fitted(replace(hub_method(TINY), epochs=1))
    assert isinstance(encoder, Encoder)
    images = torch.rand(4, 3, 8, 8)
    with torch.inference_mode():
        together, alone = encoder.encode(images).slots, encoder.encode(images[2:3]).slots
    assert together.shape == (4, 2, 64)
    assert torch.allclose(together[2], alone[0], atol=1e-5)


def test_numbers_beyond_half_precision_stay_numbers():
    backbone = replace(backbones.load_backbone(backbones.parse_hub(TINY)), width=5, size=8)
    data = TrainData(FakeDataset(train=1), "id_train", fields=("factors",))
    for value, kind in ((6e4, torch.float16), (7e4, torch.float32)):
        found = torch.full((1, 5, 3, 3), value)
        object.__setattr__(
            backbone, "model", lambda images, found=found: found.expand(len(images), -1, -1, -1)
        )
        tokens, _ = _tokens_of(backbone, data, 0)
        assert tokens.dtype == kind
        assert torch.isfinite(tokens).all()


def test_reused_images_count_against_the_budget():
    with pytest.raises(ResourceError, match="may see 40 images"):
        fitted(replace(hub_method(TINY), epochs=2), max_images=40)


@pytest.mark.parametrize("shape", [(2, 5, 3, 3), (2, 3, 3, 5), (2, 10, 5)])
def test_maps_of_any_layout_become_tokens(shape):
    backbone = replace(
        backbones.load_backbone(backbones.parse_hub(TINY)), width=5, prefix=1, size=8
    )
    found = torch.arange(float(np.prod(shape))).reshape(shape)
    object.__setattr__(backbone, "model", lambda images: found)
    assert tokens_of(backbone, torch.rand(2, 3, 8, 8)).shape == (2, 64, 5)


def test_a_model_without_a_map_is_refused():
    backbone = replace(backbones.load_backbone(backbones.parse_hub(TINY)), width=5)
    object.__setattr__(backbone, "model", lambda images: torch.zeros(2, 5))
    with pytest.raises(InvalidInputError, match="square map"):
        tokens_of(backbone, torch.rand(2, 3, 8, 8))
