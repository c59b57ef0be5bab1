"""Backbones of public libraries: names, files of weights, and what is refused before training."""

from __future__ import annotations

import json
import re

import pytest
import torch

from recombine.benchmark.submissions import backbones
from recombine.benchmark.submissions.backbones import (
    HubName,
    feature_map,
    is_hub,
    load_backbone,
    parse_hub,
)
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    ResourceError,
    UsageError,
)

TINY = "timm:test_resnet?weights=random&size=32"


@pytest.fixture(scope="module", autouse=True)
def timm():
    backbones.ready_torchvision()
    return pytest.importorskip("timm")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timm:resnet18", HubName("timm", "resnet18")),
        ("hf:owner/name?weights=runs/vit", HubName("hf", "owner/name", "runs/vit")),
        (TINY, HubName("timm", "test_resnet", "random", 32)),
        ("timm:x?size=64", HubName("timm", "x", "", 64)),
        ("timm:x?size=64&weights=a b.safetensors", HubName("timm", "x", "a b.safetensors", 64)),
        (
            "hf:x/y?weights=c++ & d²/100%25/e?f#g&size=64",
            HubName("hf", "x/y", "c++ & d²/100%25/e?f#g", 64),
        ),
        ("hf:x?weights=a&size=8/b", HubName("hf", "x", "a&size=8/b")),
        ("open_clip:ViT-B-32?weights=w", HubName("open_clip", "ViT-B-32", "w")),
    ],
)
def test_names(text, expected):
    assert is_hub(text)
    assert parse_hub(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "timm:",
        "timm:x?",
        "timm:x?colour=red",
        "timm:x?weights=",
        *(
            f"timm:x?{more}size={size}"
            for more in ("", "weights=w&")
            for size in ("big", "²", "0", "")
        ),
    ],
)
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
    with pytest.raises(InvalidInputError, match="must be those of timm:test_resnet"):
        load_backbone(parse_hub(f"timm:test_resnet?weights={path}"))
    for name in ("absent.safetensors", "pickle.pt"):
        (tmp_path / "pickle.pt").touch()
        with pytest.raises(UsageError, match=r"local \.safetensors file"):
            load_backbone(parse_hub(f"timm:test_resnet?weights={tmp_path / name}"))


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
    monkeypatch.setitem(backbones.PACKAGES, "timm", "package_that_is_not_there")
    with pytest.raises(ResourceError, match=r"pip install 'recombine\[hub\]'"):
        load_backbone(parse_hub(TINY))


def weights(timm, name="test_resnet"):
    torch.manual_seed(1)
    return timm.create_model(name, num_classes=0).state_dict()


def load(path, name="test_resnet", size="32"):
    return load_backbone(parse_hub(f"timm:{name}?weights={path}{size and f'&size={size}'}"))


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod."])
def test_the_prefix_of_a_wrapper_is_taken_off(timm, tmp_path, prefix):
    from safetensors.torch import save_file

    state = weights(timm)
    save_file(state, tmp_path / "plain.safetensors")
    wrapped = {f"{prefix}{key}": one for key, one in state.items()}
    save_file({**wrapped, "head.weight": torch.zeros(2)}, tmp_path / "wrapped.safetensors")
    digests = {load(tmp_path / f"{name}.safetensors").digest for name in ("plain", "wrapped")}
    assert len(digests) == 1


def test_two_models_in_one_file_are_not_chosen_from(timm, tmp_path):
    from safetensors.torch import save_file

    both = {
        f"{one}.{k}": v.clone() for one in ("model", "model_ema") for k, v in weights(timm).items()
    }
    save_file(both, tmp_path / "both.safetensors")
    with pytest.raises(InvalidInputError, match=r"one set of weights, got 2: model\., model_ema\."):
        load(tmp_path / "both.safetensors")


def test_a_path_may_hold_any_character_and_be_a_link_or_a_folder(timm, tmp_path):
    from safetensors.torch import save_file

    folder = tmp_path / "c++ & d² 100%25 e?f#g"
    folder.mkdir()
    save_file(weights(timm), folder / "blob")
    (folder / "model.safetensors").symlink_to("blob")  # as the hub's cache has it
    assert load(folder).digest == load(folder / "model.safetensors").digest


def test_half_precision_is_loaded_and_scaled_types_are_refused(timm, tmp_path):
    from safetensors.torch import save_file

    state = weights(timm)
    path = tmp_path / "w.safetensors"
    for kind in (torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.int8):
        save_file({k: v.to(kind) if v.is_floating_point() else v for k, v in state.items()}, path)
        if kind.is_floating_point and kind.itemsize == 2:
            assert {p.dtype for p in load(path).model.parameters()} == {torch.float32}
        else:
            with pytest.raises(InvalidInputError, match=f"in {str(kind)[6:]}, which needs scales"):
                load(path)


def test_files_that_are_no_weights_say_what_they_are(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 870000\n")
    with pytest.raises(InvalidInputError, match=r"Git LFS pointer.*git lfs pull"):
        load(path)
    (tmp_path / "w.pth").touch()
    with pytest.raises(UsageError, match=r"pickled files are not opened.*weights_only=True"):
        load(tmp_path / "w.pth")

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(ResourceError, match=r"can be read; got .Permission denied.*owner and mode"):
        load(path)


def test_the_advice_for_a_pickled_file_works(timm, tmp_path):
    state = weights(timm)
    torch.save({**state, "tied": state["conv1.0.weight"]}, tmp_path / "w.pth")
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "w.pth")
    (code,) = re.findall(r'python -c "(.*)"', str(caught.value))
    exec(code, {})
    assert load(tmp_path / "w.safetensors").width == load_backbone(parse_hub(TINY)).width


def test_a_model_of_one_size_takes_another(timm, tmp_path):
    from safetensors.torch import save_file

    save_file(weights(timm, "test_vit"), tmp_path / "w.safetensors")
    native, backbone = (load(tmp_path / "w.safetensors", "test_vit", size) for size in ("", "64"))
    assert (native.size, backbone.size, backbone.digest) == (160, 64, native.digest)
    found = feature_map(backbone, torch.rand(1, 3, 64, 64))
    assert found.shape[1] == backbone.width
    assert found.shape[2] == found.shape[3] < 64


def test_a_size_that_a_model_cannot_take_is_refused_before_training(timm):
    with pytest.raises(InvalidInputError, match=r"64 x 64 pixels.*leave out &size.*224 pixels"):
        load_backbone(parse_hub("timm:pit_ti_224?weights=random&size=64"))


def test_tokens_that_are_no_square_map_are_refused_before_training(timm, monkeypatch):
    real = timm.create_model

    def longer(*args, **kwargs):
        model = real(*args, **kwargs)
        model.forward_features = lambda images: torch.zeros(len(images), 60, 64)
        return model

    monkeypatch.setattr(timm, "create_model", longer)
    with pytest.raises(InvalidInputError, match=r"got 60 tokens of 64 numbers from VisionTransf"):
        load_backbone(parse_hub("timm:test_vit?weights=random"))


def test_a_clip_model_gives_the_map_of_its_image_tower(tmp_path):
    open_clip = pytest.importorskip("open_clip")
    from safetensors.torch import save_file

    vision = {"image_size": 32, "layers": 1, "width": 24, "head_width": 12, "patch_size": 4}
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "small-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'small-clip'"):
        load_backbone(parse_hub("open_clip:smal-clip?weights=random"))
    with pytest.raises(UsageError, match=r"open_clip_model\.safetensors"):
        load_backbone(parse_hub("open_clip:small-clip"))
    torch.manual_seed(3)
    model = open_clip.create_model("small-clip")
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    backbone = load_backbone(parse_hub(f"open_clip:small-clip?weights={tmp_path}/m.safetensors"))
    assert (backbone.size, backbone.width) == (32, 24)
    assert torch.equal(backbone.model.visual.conv1.weight, model.visual.conv1.weight)
    assert backbone.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert feature_map(backbone, torch.rand(1, 3, 32, 32)).shape == (1, 24, 8, 8)
