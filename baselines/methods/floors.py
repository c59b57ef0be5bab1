"""Floors: what a readout makes of raw pixels, of random features, and of nothing.

A trained encoder must beat the pixels and the random network, or its training added nothing that a
linear readout can use; the constants show what the scores give away for free. The constant *set*
differs from the constant in naming the slots, so that a per-image matching of slots has something
to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.training.loop import Sizes, seeded
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor, nn

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec, TrainBudget
    from recombine.benchmark.serving.data import TrainData

EDGE = 12  # 12 x 12 x 3 = 432 columns, below the 512 that a slot may have.


class Fixed:
    """An encoder that was never trained."""

    def __init__(
        self, answer: Callable[[Tensor], Tensor], slot_dim: int, module: nn.Module | None = None
    ) -> None:
        self.answer, self.slot_dim, self.module = answer, slot_dim, module

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Move to the device; every kind of image is welcome."""
        del spec
        if self.module is not None:
            self.module.to(device)

    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return the fixed slots."""
        return SlotOutput(slots=self.answer(images))


class Floor:
    """A learner that learns nothing."""

    SIZES: ClassVar[Sizes] = {"tiny": {}, "cpu": {}, "gpu": {}}

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> Fixed:
        """Return the encoder; nothing is trained."""
        del val, budget, log
        return self.fixed(data.spec, seed)

    def fixed(self, spec: SplitSpec, seed: int) -> Fixed:
        """Return the encoder of the images that a specification describes."""
        raise NotImplementedError


@dataclass(frozen=True)
class Pixels(Floor):
    """Pixels, averaged to 12 x 12, as one vector that every slot repeats."""

    card: ClassVar[MethodCard] = MethodCard(
        id="pixels",
        name="Pixels",
        note="Floor: the image at 12 x 12 pixels, as it is.",
        role="floor",
    )
    size: str = "cpu"

    def fixed(self, spec: SplitSpec, seed: int) -> Fixed:
        """Return the encoder."""
        del seed
        slots = spec.max_slots

        def answer(images: Tensor) -> Tensor:
            small = torch.nn.functional.interpolate(images, (EDGE, EDGE), mode="area")
            return small.flatten(1)[:, None].repeat(1, slots, 1)

        return Fixed(answer, 3 * EDGE * EDGE)


@dataclass(frozen=True)
class RandomNetwork(Floor):
    """The usual slot encoder with the weights it starts from."""

    card: ClassVar[MethodCard] = MethodCard(
        id="random-network",
        name="Random network",
        note="Floor: the slot encoder of the supervised row, never trained.",
        role="floor",
    )
    width: int = 64
    layers: int = 2
    size: str = "cpu"

    def fixed(self, spec: SplitSpec, seed: int) -> Fixed:
        """Return the encoder; its batch normalisation keeps the statistics it starts with."""
        with seeded(seed):
            network = SlotEncoder(
                spec.max_slots,
                1,
                width=self.width,
                image_hw=spec.image_hw,
                layers=self.layers,
            ).eval()
        return Fixed(lambda images: network(images)[0], self.width, network)


@dataclass(frozen=True)
class Constant(Floor):
    """The same vector for every slot of every image."""

    card: ClassVar[MethodCard] = MethodCard(
        id="constant", name="Constant", note="Floor: knows nothing; every slot is 0.", role="floor"
    )
    size: str = "cpu"

    def fixed(self, spec: SplitSpec, seed: int) -> Fixed:
        """Return the encoder."""
        del seed
        slots = spec.max_slots
        return Fixed(lambda images: images.new_zeros(len(images), slots, 1), 1)


@dataclass(frozen=True)
class ConstantSet(Floor):
    """The same set of slots for every image, each slot another vector."""

    card: ClassVar[MethodCard] = MethodCard(
        id="constant-set",
        name="Constant set",
        note="Floor: slots name themselves, nothing else.",
        role="floor",
    )
    size: str = "cpu"

    def fixed(self, spec: SplitSpec, seed: int) -> Fixed:
        """Return the encoder."""
        del seed
        names = torch.eye(spec.max_slots)
        return Fixed(lambda images: names.to(images.device).repeat(len(images), 1, 1), len(names))
