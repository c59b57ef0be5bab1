"""Pretrained backbones with low-rank updates, under the query transformer.

``W x + B A x`` on the query and value maps, in a convolutional network on the pointwise
convolutions (LoRA, Hu et al. 2022, arXiv 2106.09685), everything else of the backbone frozen.
Weights come from the hub or, offline, from a local file: ``recombine score dinov2-lora --weights
FILE.safetensors``. Frozen backbones need no row here: ``recombine score timm:NAME`` and
``hf:NAME`` do that with one fixed slot head.

What a backbone saw in pretraining is unknown: these rows are in the *pretrained* track.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from recombine.baselines.methods.supervised import Supervised
from recombine.baselines.nn.backbones import BackboneTokens, pretrained
from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.training.loop import Schedule, Sizes
from recombine.benchmark.protocol.contract import MethodCard
from recombine.benchmark.submissions.backbones import RANDOM

if TYPE_CHECKING:
    from torch import nn

    from recombine.baselines.nn.slots import SlotLayout


_SCHEDULE = Schedule(steps=300, batch_size=32, rate=1e-3)


def _card(slug: str, name: str, arxiv: str, where: str = "query and value") -> MethodCard:
    return MethodCard(
        id=slug,
        name=f"{name}, LoRA",
        inference="direct",
        supervision="supervised",
        data="pretrained",
        source=f"arXiv {arxiv}; arXiv 2106.09685 (LoRA)",
        paper=f"https://arxiv.org/abs/{arxiv}",
        pretraining=(name,),
        note=f"Pretrained backbone, rank 8 updates on {where} maps, query transformer on its last "
        "feature map.",
    )


@dataclass(frozen=True)
class PretrainedLora(Supervised):
    """Settings of an adapted backbone; ``fit`` trains updates and slots."""

    card: ClassVar[MethodCard] = _card("dinov2-lora", "DINOv2 ViT-S", "2304.07193")
    SIZES: ClassVar[Sizes] = {
        "tiny": {
            "width": 32,
            "layers": 1,
            "schedule": Schedule(steps=2, batch_size=4),
            "backbone": "timm:test_vit",
            "weights": RANDOM,
            "rank": 2,
        },
        "cpu": {},
        "gpu": {
            "width": 256,
            "layers": 4,
            "schedule": Schedule(steps=20_000, batch_size=128, rate=3e-4),
        },
    }

    schedule: Schedule = _SCHEDULE
    backbone: str = "timm:vit_small_patch14_dinov2.lvd142m"  # ``timm:NAME`` or ``hf:NAME``
    pixels: int = 0  # edge to which images are scaled; 0 for the model's own
    rank: int = 8  # rank of the updates; 0 leaves the backbone frozen
    # local file or folder, "random", or empty for those of the hub. A file counts by its content,
    # not by where it lies
    weights: Path | str = ""

    def __post_init__(self) -> None:
        """Take any other text for a path."""
        if self.weights not in ("", RANDOM):
            object.__setattr__(self, "weights", Path(self.weights))

    def encoder(self, layout: SlotLayout, image_hw: tuple[int, int]) -> nn.Module:
        """Return the encoder; only updates, slots and heads are trained."""
        backbone = pretrained(self.backbone, self.rank, pixels=self.pixels, weights=self.weights)
        return SlotEncoder(
            layout.count,
            layout.dim,
            width=self.width,
            image_hw=image_hw,
            layers=self.layers,
            tokens=BackboneTokens(backbone, self.width, held=True),
        )


@dataclass(frozen=True)
class DinoLora(PretrainedLora):
    """DINO ViT-S/16."""

    card: ClassVar[MethodCard] = _card("dino-lora", "DINO ViT-S", "2104.14294")
    backbone: str = "timm:vit_small_patch16_224.dino"


@dataclass(frozen=True)
class ClipLora(PretrainedLora):
    """CLIP ViT-B/32, image tower."""

    card: ClassVar[MethodCard] = _card("clip-lora", "CLIP ViT-B", "2103.00020")
    backbone: str = "timm:vit_base_patch32_clip_224.openai"


@dataclass(frozen=True)
class SigLip2Lora(PretrainedLora):
    """SigLIP 2 ViT-B/16, image tower."""

    card: ClassVar[MethodCard] = _card("siglip2-lora", "SigLIP 2 ViT-B", "2502.14786")
    backbone: str = "timm:vit_base_patch16_siglip_224.v2_webli"


@dataclass(frozen=True)
class IJepaLora(PretrainedLora):
    """I-JEPA ViT-H/14."""

    card: ClassVar[MethodCard] = _card("ijepa-lora", "I-JEPA ViT-H", "2301.08243")
    backbone: str = "timm:vit_huge_patch14_gap_224.in1k_ijepa"


@dataclass(frozen=True)
class ImageNetLora(PretrainedLora):
    """EfficientNet-Lite0, trained on the labels of ImageNet."""

    card: ClassVar[MethodCard] = _card(
        "imagenet-lora", "EfficientNet-Lite0, ImageNet labels", "1905.11946", "pointwise"
    )
    SIZES: ClassVar[Sizes] = {
        **PretrainedLora.SIZES,
        "tiny": {**PretrainedLora.SIZES["tiny"], "backbone": "timm:test_efficientnet"},
    }
    backbone: str = "timm:tf_efficientnet_lite0.in1k"
