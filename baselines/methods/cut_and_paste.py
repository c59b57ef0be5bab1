"""Control: an encoder trained on objects cut out by their masks and pasted on other backgrounds.

Objects of different in-combination images are pasted on the mean picture of a background, and the
encoder trains on the results, anchored by real images, with the schedule of replay. No decoder is
learned: it tests whether replay needs generation, or only recombined pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from recombine.baselines.nn.decoders import Compositor, initialise
from recombine.baselines.nn.slots import layout_of
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Precision,
    Schedule,
    Sizes,
    budget_share,
    deadline_of,
    seeded,
)
from recombine.baselines.training.slot_encoder import (
    Recognition,
    RecognitionEncoder,
    first_count,
    first_images,
    train_anchored,
    train_recognition,
)
from recombine.benchmark.protocol.contract import MethodCard
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.baselines.training.slot_encoder import Draw
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData


_ENCODER = Schedule(steps=300)
_PASTE = Schedule(steps=300, batch_size=16)


@dataclass(frozen=True)
class CutAndPaste:
    """Settings of the cut-and-paste control; ``fit`` trains it."""

    card: ClassVar[MethodCard] = MethodCard(
        id="cut-and-paste",
        name="Supervised slot encoder, cut and paste",
        inference="replay",
        supervision="supervised",
        source="Dwibedi et al. 2017, arXiv 1708.01642 (cut, paste and learn)",
        paper="https://arxiv.org/abs/1708.01642",
        note="Control: objects of training images, cut out by their masks, on mean pictures of "
        "training backgrounds. Shadows and bounced light stay behind. Three quarters of every "
        "batch are pasted.",
        role="control",
    )
    SIZES: ClassVar[Sizes] = {
        "tiny": {
            "width": 32,
            "layers": 1,
            "encoder": Schedule(steps=12, batch_size=16),
            "paste": Schedule(steps=8, batch_size=4),
            "pasted": 12,
        },
        "cpu": {},
        "gpu": {
            "width": 256,
            "layers": 4,
            "encoder": Schedule(steps=20_000, batch_size=256, compile=True),
            "paste": Schedule(steps=20_000, batch_size=64, compile=True),
            "pasted": 192,
        },
    }

    width: int = 64
    layers: int = 2
    pose_weight: float = 0.3
    encoder: Schedule = _ENCODER  # training on real images
    paste: Schedule = _PASTE  # training that follows; ``batch_size`` counts the real images
    pasted: int = 48  # pasted images per step
    noise: float = 0.02  # standard deviation of the pixel noise on pasted images
    precision: Precision = "bf16"  # arithmetic of the networks
    size: str = "cpu"  # named size that these settings came from

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> RecognitionEncoder:
        """Train on real images, then on pasted ones anchored by real ones."""
        del val
        deadline = deadline_of(budget)
        share = budget_share(budget, self.encoder.images + self.paste.images + len(data))
        layout = layout_of(data.spec)
        with seeded(seed) as generator:
            model = Recognition(
                layout,
                data.spec.image_hw,
                width=self.width,
                layers=self.layers,
                pose_weight=self.pose_weight,
                precision=self.precision,
            )
            first = first_images(data, first_count(data, share), seed)
            model.standardise(first)
            draw = self._source(model, first, generator)
            encoder = self.encoder.within(share)
            train_recognition(model, data, encoder, seed=seed, log=log, deadline=deadline)
            schedule = self.paste.within(share)
            train_anchored(model, draw, data, schedule, seed=seed, log=log, deadline=deadline)
        return RecognitionEncoder(model)

    def _source(self, model: Recognition, first: Batch, generator: torch.Generator) -> Draw:
        """Return the source of pasted images with their slots."""
        if first.masks is None:
            raise InvalidInputError(
                "cut-and-paste: expected masks to cut along, got none; serve the fields of the "
                "'weak' or 'supervised' track"
            )
        images, masks, slots = first.images, first.masks, model.targets(first.factors)
        grounds = Compositor(model.layout, model.image_hw, 1)
        initialise(grounds, slots, images, masks)

        def draw() -> tuple[Tensor, Tensor]:
            drawn, sources = rows_of(slots, self.pasted, generator)
            with torch.no_grad():
                ground = grounds.background(drawn)
            made = paste(images, masks, ground, sources[:, list(grounds.objects)])
            return (made + self.noise * torch.randn_like(made)).clamp(0, 1), drawn

        return draw


def rows_of(
    slots: Float[Tensor, "images slots dim"], n: int, generator: torch.Generator
) -> tuple[Float[Tensor, "n slots dim"], Int[Tensor, "n slots"]]:
    """Draw the source image of every slot of n new scenes, and return their slots with it."""
    rows = torch.randint(len(slots), (n, slots.shape[1]), generator=generator)
    return slots[rows, torch.arange(slots.shape[1])], rows


def paste(
    images: Float[Tensor, "images 3 height width"],
    masks: Int[Tensor, "images height width"],
    grounds: Float[Tensor, "n 3 height width"],
    sources: Int[Tensor, "n objects"],
) -> Float[Tensor, "n 3 height width"]:
    """Paste objects of some images on backgrounds."""
    out = grounds.clone()
    lowest = torch.full_like(out[:, 0], -1.0)
    rows = torch.arange(images.shape[2], device=images.device)[:, None]
    for k in range(sources.shape[1]):
        inside = masks[sources[:, k]] == k + 1
        foot = (inside * rows).flatten(1).amax(1)[:, None, None].to(lowest.dtype)
        seen = inside & (foot >= lowest)
        out = torch.where(seen[:, None], images[sources[:, k]], out)
        lowest = torch.where(seen, foot.expand_as(lowest), lowest)
    return out
