"""Models of transformers as people have them: tiny ones, made from configurations, no network."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from recombine.benchmark.submissions import backbones
from recombine.benchmark.submissions.backbones import feature_map, load_backbone, parse_hub
from recombine.renderer.core.errors import InvalidInputError, UsageError

pytestmark = pytest.mark.long

WIDTH, EDGE, PATCH = 24, 32, 4
SMALL = {
    "hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": EDGE, "patch_size": PATCH,
}  # fmt: skip
WIDER = {**SMALL, "intermediate_size": 32}
PREFIXES = {
    "ViT": 1,
    "DeiT": 2,
    "ViTMAE": 1,
    "SiglipVision": 0,
    "Dinov2WithRegisters": 5,
    "CLIPVision": 1,
    "Swin": 0,
    "Hiera": 0,
}


@pytest.fixture(scope="module")
def transformers():
    backbones.ready_torchvision()
    return pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def made(transformers, tmp_path_factory):
    """Return a function that writes a model as save_pretrained does, once per kind."""
    top = tmp_path_factory.mktemp("models")

    def make(kind, dtype=torch.float32):
        folder = top / f"{kind}-{dtype}"
        if not folder.is_dir():
            torch.manual_seed(0)
            settings = {
                "Swin": {
                    "image_size": EDGE, "patch_size": 2, "embed_dim": 12, "depths": [1, 1],
                    "num_heads": [2, 2], "window_size": 4,
                },
                "Hiera": {
                    "image_size": [EDGE, EDGE], "patch_size": [3, 3], "patch_stride": [2, 2],
                    "patch_padding": [1, 1], "embed_dim": 12, "depths": [1, 1], "num_heads": [1, 1],
                    "query_stride": [2, 2], "num_query_pool": 1, "masked_unit_size": [2, 2],
                },
                "Dinov2WithRegisters": {**SMALL, "num_register_tokens": 4},
            }.get(kind, WIDER)  # fmt: skip
            config = getattr(transformers, f"{kind}Config")(**settings)
            model = getattr(transformers, f"{kind}Model")(config)
            for name, one in model.named_parameters():
                if "attention" in name or "attn" in name:
                    one.data.mul_(0.1)  # a token is about its own patch, as in trained models
            model.to(dtype).save_pretrained(folder)
        return folder

    return make


def load(folder, more=""):
    return load_backbone(parse_hub(f"hf:any/name?weights={folder}{more}"))


@pytest.mark.parametrize("kind", PREFIXES)
def test_the_token_of_a_patch_lies_where_the_patch_is(made, kind):
    backbone = load(made(kind))
    assert (backbone.prefix, backbone.width, backbone.size) == (PREFIXES[kind], WIDTH, EDGE)
    images = torch.rand(1, 3, EDGE, EDGE, generator=torch.Generator().manual_seed(1)).repeat(
        2, 1, 1, 1
    )
    row, column, cell = 5, 2, EDGE // 8
    images[1, :, row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = 0.0
    before, after = feature_map(backbone, images)
    assert before.shape == (WIDTH, 8, 8)
    moved = (before - after).square().sum(0)
    assert divmod(int(moved.argmax()), 8) == (row, column)


def test_half_precision_is_loaded_as_float32(made, transformers, tmp_path):
    for dtype in (torch.bfloat16, torch.float16):
        backbone = load(made("ViT", dtype))
        assert {one.dtype for one in backbone.model.parameters()} == {torch.float32}
    model = transformers.ViTModel.from_pretrained(made("ViT", torch.bfloat16))
    model.float().save_pretrained(tmp_path)
    assert load(tmp_path).digest == load(made("ViT", torch.bfloat16)).digest


def test_the_hash_of_float32_weights_is_that_of_their_bytes(made):
    import hashlib

    backbone, total = load(made("ViT")), hashlib.sha256()
    for key, one in sorted(backbone.model.state_dict().items()):
        total.update(f"{key}\0{tuple(one.shape)}\0".encode() + one.numpy().tobytes())
    assert backbone.digest == total.hexdigest()


@pytest.mark.parametrize("kind", ["ViT", "ViTMAE"])
def test_a_model_of_one_size_takes_another(made, kind):
    native, larger = load(made(kind)), load(made(kind), "&size=64")
    assert (larger.size, larger.digest) == (64, native.digest)
    assert feature_map(larger, torch.rand(1, 3, 64, 64)).shape == (1, WIDTH, 16, 16)


def test_what_has_no_place_in_the_image_is_refused_at_once(made, transformers, tmp_path):
    text = {key: WIDER[key] for key in list(WIDER)[:3]}
    transformers.BertModel(transformers.BertConfig(**text)).save_pretrained(tmp_path / "text")
    with pytest.raises(InvalidInputError, match="got BertModel, which reads input_ids"):
        load(tmp_path / "text")
    config = transformers.YolosConfig(
        **{**WIDER, "image_size": [EDGE, EDGE]}, num_detection_tokens=50
    )
    transformers.YolosModel(config).save_pretrained(tmp_path / "boxes")
    with pytest.raises(InvalidInputError, match=r"got 115 tokens of 24 numbers from YolosModel"):
        load(tmp_path / "boxes")
    with pytest.raises(InvalidInputError, match=r"image of 2 x 2 pixels.*leave out &size"):
        load(made("ViT"), "&size=2")


def test_random_answers_are_refused_before_training(made, monkeypatch):
    monkeypatch.setattr(backbones, "_Unmasked", lambda model: model)
    with pytest.raises(InvalidInputError, match=r"ViTMAEModel sees an image again.*masked"):
        load(made("ViTMAE"))


def test_quantised_weights_are_refused_by_name(made, tmp_path):
    folder = shutil.copytree(made("ViT"), tmp_path / "fp8")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInputError, match="quantised by fp8; give the original"):
        load(folder)


def test_weights_that_would_be_drawn_at_random_are_refused(made, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(made("ViT"), tmp_path / "wrapped")
    file = folder / "model.safetensors"
    state = load_file(file)
    pooled = {key: one for key, one in state.items() if "pooler" not in key}
    save_file(pooled, file, {"format": "pt"})
    assert load(folder).width == WIDTH  # no token passes through the pooler
    save_file({f"_orig_mod.{key}": one for key, one in state.items()}, file, {"format": "pt"})
    with pytest.raises(InvalidInputError, match=r"without \d+ of \d+ tensors.*_orig_mod"):
        load(folder)


def test_folders_of_other_forms_say_what_to_do(made, tmp_path):
    folder = shutil.copytree(made("ViT"), tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"pytorch_model.bin; pickled.*from_pretrained\("):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UsageError, match=r"with config\.json, got"):
        load(folder)
    with pytest.raises(UsageError, match=r"a file\); give one of save_pretrained"):
        load(folder / "pytorch_model.bin")
    (folder / "config.json").write_text("{")
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InvalidInputError, match=r"Git LFS pointer.*git lfs pull"):
        load(folder)
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(InvalidInputError, match=r"transformers can load from.*is complete"):
        load(folder)


def test_the_layout_of_the_hubs_cache_is_followed(made, tmp_path):
    source, top = made("ViT"), tmp_path / "models--any--name"
    for part in ("blobs", "refs", "snapshots/abc", "snapshots/old"):
        (top / part).mkdir(parents=True)
    (top / "refs" / "main").write_text("abc")
    for number, file in enumerate(sorted(source.iterdir())):
        shutil.copy(file, top / "blobs" / str(number))
        (top / "snapshots" / "abc" / file.name).symlink_to(f"../../blobs/{number}")
    assert load(top).digest == load(source).digest
