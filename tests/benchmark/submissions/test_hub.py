"""Models of public libraries by name."""

from __future__ import annotations

import errno
import json

import pytest
import torch

from recombine.benchmark.submissions import hub
from recombine.benchmark.submissions.hub import HubName, load_backbone, parse_hub
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    ResourceError,
    UsageError,
)

TINY = "timm:test_resnet?weights=random&size=32"


@pytest.fixture(scope="module", autouse=True)
def timm():
    hub.ready_torchvision()
    return pytest.importorskip("timm")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timm:resnet18", HubName("timm", "resnet18")),
        ("hf:owner/name?weights=runs/vit", HubName("hf", "owner/name", "runs/vit")),
        (TINY, HubName("timm", "test_resnet", "random", 32)),
    ],
)
def test_names(text, expected):
    assert hub.is_hub(text)
    assert parse_hub(text) == expected


@pytest.mark.parametrize("text", ["timm:", "timm:x?colour=red", "timm:x?size=big"])
def test_names_of_another_form(text):
    with pytest.raises(UsageError, match="expected timm:NAME"):
        parse_hub(text)


def test_random_weights_are_the_same_every_time_and_frozen():
    before = torch.random.get_rng_state()
    first, second = (load_backbone(parse_hub(TINY)) for _ in range(2))
    assert first.digest == second.digest
    assert torch.equal(before, torch.random.get_rng_state())
    assert not first.model.training
    assert not any(p.requires_grad for p in first.model.parameters())


def test_a_local_file_is_loaded(tmp_path):
    from safetensors.torch import save_file

    model = load_backbone(parse_hub(TINY)).model
    for parameter in model.parameters():
        parameter.data.add_(0.25)
    path = tmp_path / "weights.safetensors"
    save_file({**model.state_dict(), "fc.weight": torch.zeros(10, 4)}, path)
    loaded = load_backbone(parse_hub(f"timm:test_resnet?weights={path}"))
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in loaded.model.state_dict().items())
    with pytest.raises(IntegrityError, match="changed since"):
        load_backbone(parse_hub(f"timm:test_resnet?weights={path}"), digest="0" * 64)


def test_files_of_another_model_or_kind_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InvalidInputError, match="tensors are missing"):
        load_backbone(parse_hub(f"timm:test_resnet?weights={path}"))
    path.write_bytes(b"no tensors in here")
    with pytest.raises(InvalidInputError, match="must be those of test_resnet"):
        load_backbone(parse_hub(f"timm:test_resnet?weights={path}"))
    for name in ("absent.safetensors", "pickle.pt"):
        (tmp_path / "pickle.pt").touch()
        with pytest.raises(UsageError, match=r"local \.safetensors file"):
            load_backbone(parse_hub(f"timm:test_resnet?weights={tmp_path / name}"))


def test_weights_that_may_not_be_read_say_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "weights.safetensors"
    path.touch()
    monkeypatch.setattr("safetensors.torch.load_file", refuse)
    with pytest.raises(ResourceError, match=r"weights\.safetensors.*Permission denied.*mode"):
        load_backbone(parse_hub(f"timm:test_resnet?weights={path}"))


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'test_resnet'"):
        load_backbone(parse_hub("timm:test_resnt?weights=random"))


def test_a_hub_out_of_reach_says_what_to_do(timm, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(ResourceError, match=r"no route to host.*weights=FILE\.safetensors"):
        load_backbone(parse_hub("timm:test_resnet"))


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(hub.PACKAGES, "timm", "package_that_is_not_there")
    with pytest.raises(ResourceError, match=r"pip install 'recombine\[hub\]'"):
        load_backbone(parse_hub(TINY))


def test_a_local_folder_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8,
    )  # fmt: skip
    transformers.ViTModel(config).save_pretrained(tmp_path)
    colours = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(colours))
    loaded = load_backbone(parse_hub(f"hf:any/name?weights={tmp_path}"))
    assert (loaded.width, loaded.size, loaded.prefix) == (16, 32, 1)
    assert (loaded.mean, loaded.deviation) == ((0.5,) * 3, (0.25,) * 3)
    with pytest.raises(UsageError, match="no folder"):
        load_backbone(parse_hub("hf:any/name?weights=nowhere"))
