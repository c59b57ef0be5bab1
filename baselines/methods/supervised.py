"""Supervised slot encoders: factor labels in, slots out in one pass, no generation anywhere.

The non-generative reference is a convolutional encoder with one learned query per slot (a query
transformer), trained on the factor labels of in-combination images. Beside it stand another loss
(regression), two standard trunks, and two controls of compute and size: generative rows spend more
on training (a decoder, then replay) and have more parameters. On drawn data longer training makes
the encoder slightly *worse* out of combination: it learns the shortcut better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from recombine.baselines.nn.backbones import BackboneTokens, scratch
from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.nn.losses import slot_loss
from recombine.baselines.nn.slots import SlotLayout, layout_of
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import EarlyStop, Precision, Schedule, Sizes, seeded
from recombine.baselines.training.slot_encoder import (
    Recognition,
    RecognitionEncoder,
    fit_recognition,
)
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData

_SCHEDULE = Schedule(steps=300)
_SOURCE = "arXiv 2512.08854, Section 5 (supervised encoder arm)"
_PAPER = "https://arxiv.org/abs/2512.08854"


def supervised_sizes(times: float = 1) -> Sizes:
    """Return the three sizes of a supervised encoder whose training is longer or shorter."""
    tiny = Schedule(steps=round(12 * times), batch_size=16)
    gpu = Schedule(steps=round(20_000 * times), batch_size=256, compile=True)
    return {
        "tiny": {"width": 32, "layers": 1, "schedule": tiny},
        "cpu": {"schedule": Schedule(steps=round(300 * times))},
        "gpu": {"width": 256, "layers": 4, "schedule": gpu},
    }


@dataclass(frozen=True)
class Supervised:
    """The supervised reference. Other rows are subclasses with a card and one difference."""

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised",
        name="Supervised slot encoder",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        paper=_PAPER,
        note="Reimplementation; details of the paper's Appendix B unseen. Convolutional encoder "
        "from scratch, one learned query per slot, labels of all factors.",
    )
    SIZES: ClassVar[Sizes] = supervised_sizes()
    network: ClassVar[type[Recognition]] = Recognition  # rows with another loss have their own

    width: int = 64  # of tokens and slots
    layers: int = 2  # depth of the query transformer
    # weight of squared errors of continuous factors (standardised) and angles (unit vectors)
    # against the cross-entropy of categorical factors
    pose_weight: float = 0.3
    schedule: Schedule = _SCHEDULE
    # looks at the loss on validation images without a new best after which training ends with the
    # best weights, one look every ``look_every`` steps; 0 trains to the end
    patience: int = 0
    look_every: int = 20
    precision: Precision = "bf16"  # arithmetic of the networks
    size: str = "cpu"  # named size that these settings came from; set by `load_baseline`

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> RecognitionEncoder:
        """Train on in-combination images."""
        with seeded(seed):
            model = self.model(layout_of(data.spec), data.spec.image_hw)
            looks = {"patience": self.patience, "every": self.look_every}
            stop = EarlyStop(val, model.loss_of, **looks) if self.patience else None
            return fit_recognition(
                model, data, self.schedule, seed=seed, budget=budget, log=log, stop=stop
            )

    def model(self, layout: SlotLayout, image_hw: tuple[int, int]) -> Recognition:
        """Return the untrained model."""
        return self.network(layout, image_hw, **self.options(layout, image_hw))

    def options(self, layout: SlotLayout, image_hw: tuple[int, int]) -> dict[str, Any]:
        """Return what the model is made with; rows with a loss of their own add its settings."""
        return {
            "width": self.width,
            "layers": self.layers,
            "pose_weight": self.pose_weight,
            "precision": self.precision,
            "encoder": self.encoder(layout, image_hw),
        }

    def encoder(self, layout: SlotLayout, image_hw: tuple[int, int]) -> nn.Module | None:
        """Return another encoder than the usual one; rows with their own override this."""
        del layout, image_hw
        return None


def as_numbers(layout: SlotLayout) -> SlotLayout:
    """Return the layout with every column read as a number."""
    slots = tuple(tuple(replace(c, kind="float") for c in slot) for slot in layout.slots)
    return replace(layout, slots=slots)


class Regressor(Recognition):
    """A recognition model whose heads are the slot vectors themselves."""

    def loss(
        self,
        images: Float[Tensor, "images 3 height width"],
        targets: Float[Tensor, "images slots dim"],
    ) -> Float[Tensor, ""]:
        """Return the squared error per slot vector, exchangeable slots matched."""
        return slot_loss(as_numbers(self.layout), self.run(images)[1], targets, self.pose_weight)


@dataclass(frozen=True)
class SupervisedRegression(Supervised):
    """Squared error on every factor, categorical ones as one-hot vectors.

    A linear readout of its slots has the least to do; it learns classes more slowly.
    """

    network: ClassVar[type[Recognition]] = Regressor
    card: ClassVar[MethodCard] = MethodCard(
        id="regression",
        name="Supervised slot regression",
        inference="direct",
        supervision="supervised",
        source="arXiv 2410.21869 (regression beside cross-entropy)",
        paper="https://arxiv.org/abs/2410.21869",
        note="Squared error on one-hot, angle and standardised columns; encoder of the supervised "
        "slot encoder.",
    )

    pose_weight: float = 1.0


@dataclass(frozen=True)
class SupervisedLonger(Supervised):
    """Three times the optimiser steps of the supervised reference."""

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised-longer",
        name="Supervised slot encoder, trained longer",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        paper=_PAPER,
        note="Control: the supervised slot encoder with three times the training steps.",
        role="control",
    )
    SIZES: ClassVar[Sizes] = supervised_sizes(times=3)


@dataclass(frozen=True)
class SupervisedLarger(Supervised):
    """A wider and deeper encoder."""

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised-larger",
        name="Supervised slot encoder, larger",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        paper=_PAPER,
        note="Control: a wider and deeper supervised slot encoder with about the parameters of "
        "encoder and decoder of the slot autoencoder together.",
        role="control",
    )
    SIZES: ClassVar[Sizes] = {
        "tiny": {**Supervised.SIZES["tiny"], "width": 48, "layers": 2},
        "cpu": Supervised.SIZES["cpu"],
        "gpu": {**Supervised.SIZES["gpu"], "width": 512, "layers": 8},
    }

    width: int = 128
    layers: int = 3


@dataclass(frozen=True)
class ScratchResNet(Supervised):
    """ResNet-18 (He et al. 2016) from scratch, first convolution at full resolution.

    With the ViT it answers whether the small convolutional trunk of the reference is what fails.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="resnet18",
        name="Supervised ResNet-18",
        inference="direct",
        supervision="supervised",
        source="arXiv 1512.03385",
        paper="https://arxiv.org/abs/1512.03385",
        note="ResNet-18 of timm from scratch, query transformer on its last two maps' grid.",
    )
    SIZES: ClassVar[Sizes] = {
        "tiny": {"width": 32, "layers": 1, "depth": 1, "schedule": Schedule(2, batch_size=8)},
        "cpu": {"schedule": Schedule(steps=300, rate=1e-3)},
        "gpu": {
            "width": 256,
            "layers": 4,
            "schedule": Schedule(steps=20_000, batch_size=256, rate=5e-4, compile=True),
        },
    }

    model_name: str = "resnet18"
    depth: int = 0

    def encoder(self, layout: SlotLayout, image_hw: tuple[int, int]) -> nn.Module:
        """Return the untrained encoder."""
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
    """ViT-S (Dosovitskiy et al. 2021), 8 x 8 patches per image; ``depth`` 0 keeps its 12 layers."""

    card: ClassVar[MethodCard] = MethodCard(
        id="vit-small",
        name="Supervised ViT-S",
        inference="direct",
        supervision="supervised",
        source="arXiv 2010.11929",
        paper="https://arxiv.org/abs/2010.11929",
        note="ViT-S of timm from scratch, 64 patches per image, query transformer on its tokens.",
    )

    model_name: str = "vit_small_patch16_224"

    def settings(self, image_hw: tuple[int, int]) -> dict[str, Any]:
        """Return what the architecture is made with."""
        depth = {"depth": self.depth} if self.depth else {}
        return {"img_size": image_hw[0], "patch_size": max(2, image_hw[0] // 8), **depth}
