"""Supervised encoders with standard trunks from timm, trained from scratch.

The query transformer of the supervised reference on the last feature map of a ResNet-18 (He et al.
2016) or a ViT-S (Dosovitskiy et al. 2021, patches of an eighth of the image). They answer whether
the small convolutional trunk of the reference is what fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from recombine.baselines.methods.supervision import SlotSupervision, supervised_sizes
from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.training.loop import Schedule
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from recombine.baselines.nn.slots import SlotLayout

_RATE = 1e-3


@dataclass(frozen=True)
class ScratchResNet(SlotSupervision):
    """ResNet-18 from scratch, first convolution at full resolution for small images."""

    card: ClassVar[MethodCard] = MethodCard(
        id="resnet18",
        name="Supervised ResNet-18",
        inference="direct",
        supervision="supervised",
        source="arXiv 1512.03385",
        note="ResNet-18 of timm from scratch, query transformer on its last two maps' grid.",
    )

    model_name: str = "resnet18"
    depth: int = 0

    def encoder(self, layout: SlotLayout, image_hw: tuple[int, int]) -> nn.Module:
        """Return the untrained encoder."""
        from recombine.baselines.methods.backbones import BackboneTokens, scratch

        backbone = scratch(self.model_name, image_hw, **self.settings(image_hw))
        return SlotEncoder(
            layout.count,
            layout.dim,
            width=self.width,
            image_hw=image_hw,
            layers=self.layers,
            tokens=BackboneTokens(backbone, self.width),
        )

    def settings(self, image_hw: tuple[int, int]) -> dict[str, Any]:
        """Return what the architecture is made with."""
        del image_hw
        return {"output_stride": 8}


@dataclass(frozen=True)
class ScratchVit(ScratchResNet):
    """ViT-S from scratch, 8 x 8 patches per image; ``depth`` 0 keeps its 12 layers."""

    card: ClassVar[MethodCard] = MethodCard(
        id="vit-small",
        name="Supervised ViT-S",
        inference="direct",
        supervision="supervised",
        source="arXiv 2010.11929",
        note="ViT-S of timm from scratch, 64 patches per image, query transformer on its tokens.",
    )

    model_name: str = "vit_small_patch16_224"

    def settings(self, image_hw: tuple[int, int]) -> dict[str, Any]:
        """Return what the architecture is made with."""
        depth = {"depth": self.depth} if self.depth else {}
        return {"img_size": image_hw[0], "patch_size": max(2, image_hw[0] // 8), **depth}


def _sizes(row: type[ScratchResNet]) -> dict[str, ScratchResNet]:
    gpu = supervised_sizes(row)["gpu"]
    return {
        "tiny": row(width=32, layers=1, depth=1, schedule=Schedule(steps=2, batch_size=8)),
        "cpu": row(schedule=Schedule(steps=300, rate=_RATE)),
        "gpu": row(
            width=gpu.width,
            layers=gpu.layers,
            schedule=Schedule(steps=20_000, batch_size=256, rate=5e-4, compile=True),
        ),
    }


SIZES: dict[str, Mapping[str, Any]] = {
    row.__name__: _sizes(row) for row in (ScratchResNet, ScratchVit)
}
