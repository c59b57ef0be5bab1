"""Control: an encoder asked to invert an additive decoder, by a penalty on its second derivatives.

If ``g(f(z)) = z`` and slots do not interact in the decoder (``D^2 f (e_k, e_l) = 0`` for k != l),
then differentiating twice gives ``D^2 g (Df e_k, Df e_l) = 0``: the encoder must be linear across
the tangents of different slots. Ambient second derivatives carry no such constraint (arXiv
2512.08854, Theorem 3.2 and Eq. 3.4), and the tangents are known only where there are images. This
row imposes it there, with tangents from the trained structured decoder at the slots of training
images; it is the encoder-side counterpart of a structured decoder, without replay or search.

The oracle row takes finite differences of renders (`recombine measure tangents DATA`) for tangents,
which nobody but the renderer can provide: it tells a failure of the penalty from one of the
decoder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from recombine.baselines.generative.slot_autoencoder import SlotAutoencoder
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Schedule,
    Sizes,
    budget_share,
    deadline_of,
    endless,
    seeded,
    train,
)
from recombine.baselines.training.slot_encoder import RecognitionEncoder
from recombine.benchmark.protocol.contract import MethodCard
from recombine.renderer.core.errors import InvalidInputError, UsageError
from recombine.renderer.core.hdf5 import column, open_checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    from recombine.baselines.generative.slot_autoencoder import SlotModel
    from recombine.baselines.nn.slots import SlotLayout
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

    Across = Callable[[Batch], tuple[Tensor, Tensor, Tensor]]


_BASE = SlotAutoencoder()
_SCHEDULE = Schedule(steps=300, batch_size=32)


@dataclass(frozen=True)
class TangentPenalty:
    """Settings of the encoder with the tangent-space penalty; ``fit`` trains it."""

    card: ClassVar[MethodCard] = MethodCard(
        id="tangent-penalty",
        name="Supervised slot encoder with tangent-space penalty",
        inference="direct",
        supervision="supervised",
        source="arXiv 2512.08854, Eq. 3.4 (derived penalty)",
        paper="https://arxiv.org/abs/2512.08854",
        note="Control: the encoder is asked to be linear across the tangents of different slots; "
        "tangents from the slot autoencoder's decoder at training images.",
        role="control",
        generative=True,
    )
    SIZES: ClassVar[Sizes] = {
        "tiny": {"schedule": Schedule(steps=6, batch_size=8)},
        "cpu": {},
        "gpu": {"schedule": Schedule(steps=20_000, batch_size=128, compile=True)},
    }

    # stage 1: the encoder that training goes on with, and the decoder of the tangents
    base: SlotAutoencoder = _BASE
    schedule: Schedule = _SCHEDULE  # training with the penalty, on real images alone
    weight: float = 1.0  # weight of the penalty against the supervised loss
    reach: float = 0.5  # length of a step along a tangent, as a change of the slot's columns
    size: str = "cpu"  # named size that these settings came from

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> RecognitionEncoder:
        """Train stage 1, then the encoder with the penalty; nothing is selected on ``val``."""
        # Images along tangents are no renders; they are counted as generated through ``log``.
        del val
        share = budget_share(budget, self.images(data))
        deadline = deadline_of(budget)
        with seeded(seed):
            model = self.base.stage(data, seed=seed, share=share, log=log, deadline=deadline)
        with seeded(seed + 1) as generator:
            recognition = model.recognition
            across = self._tangents(model, data, generator)

            def encode(images: Tensor) -> Tensor:
                return recognition.run(images)[1]

            def loss(batch: Batch) -> Tensor:
                images, first, second = across(batch)
                log.count_generated(3 * len(images))
                bent = mixed_difference(encode, images, first, second)
                return recognition.loss_of(batch) + self.weight * bent

            schedule = self.schedule.within(share)
            batches = endless(data, schedule.batch_size, schedule.steps, seed + 20_000)
            train(recognition, loss, batches, schedule, log=log, name="tangent", deadline=deadline)
        return RecognitionEncoder(recognition)

    def images(self, data: TrainData) -> int:
        """Return how many real images training sees, with repetition."""
        return self.base.images(data) + self.schedule.images

    def _tangents(self, model: SlotModel, data: TrainData, generator: torch.Generator) -> Across:
        """Return the source of images with two tangents each: here, the trained decoder."""
        del data
        recognition, decoder = model.recognition, model.decoder.eval().requires_grad_(False)

        def decode(slots: Tensor) -> Tensor:
            image: Tensor = decoder(slots).image
            return image

        def across(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
            slots = recognition.targets(batch.factors)
            one, other = directions(recognition.layout, len(slots), generator)
            return batch.images, *tangents(decode, slots, self.reach * one, self.reach * other)

        return across


@dataclass(frozen=True)
class TangentPenaltyOracle(TangentPenalty):
    """The tangent penalty along rendered tangents."""

    card: ClassVar[MethodCard] = MethodCard(
        id="tangent-penalty-oracle",
        name="Supervised slot encoder with rendered tangents",
        inference="direct",
        supervision="supervised",
        data="open",
        source="arXiv 2512.08854, Eq. 3.4 (derived penalty)",
        paper="https://arxiv.org/abs/2512.08854",
        note="Control: true tangents, finite differences of extra renders of training images, each "
        "with one slot changed; no out-of-combination image is drawn.",
        role="control",
        generative=True,
    )

    tangents: Path | None = None  # ``tangents.h5`` of the dataset; training without it is refused
    penalised: int = 32  # images with tangents per step

    def images(self, data: TrainData) -> int:
        """Return how many real images training sees, with repetition."""
        # Tangents are found by looking at every image once.
        return super().images(data) + len(data) + self.schedule.steps * self.penalised

    def _tangents(self, model: SlotModel, data: TrainData, generator: torch.Generator) -> Across:
        del model
        if self.tangents is None:
            raise UsageError(
                "tangent-penalty-oracle: expected rendered tangents; got none. Run "
                "`recombine measure tangents DATA`, then train with --tangents DATA/tangents.h5."
            )
        images, found = with_tangents(data, self.tangents)

        def across(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
            device = batch.images.device
            rows = torch.randint(
                len(images), (self.penalised,), generator=generator, device=generator.device
            ).cpu()
            data.count_again(len(rows))
            along = self.reach * found[rows].to(device)
            return images[rows].to(device), along[:, 0], along[:, 1]

        return across


def directions(
    layout: SlotLayout, n: int, generator: torch.Generator
) -> tuple[Float[Tensor, "n slots dim"], Float[Tensor, "n slots dim"]]:
    """Draw unit directions within two different slots per image."""
    chosen = torch.rand(n, layout.count, generator=generator).argsort(1)[:, :2]
    used = torch.zeros(layout.count, layout.dim)
    for k, slot in enumerate(layout.slots):
        used[k, : sum(c.width for c in slot)] = 1
    drawn = []
    for side in range(2):
        only = torch.nn.functional.one_hot(chosen[:, side % chosen.shape[1]], layout.count)
        noise = torch.randn(n, layout.count, layout.dim, generator=generator)
        noise = noise * only[:, :, None] * used
        drawn.append(noise / noise.flatten(1).norm(dim=1)[:, None, None].clamp_min(1e-6))
    return drawn[0], drawn[1]


@torch.no_grad()
def tangents(
    decode: Callable[[Tensor], Tensor], slots: Tensor, one: Tensor, other: Tensor
) -> tuple[Tensor, Tensor]:
    """Return how the decoded image moves along two directions, by one-sided differences."""
    step = 0.1
    middle = decode(slots)
    moved = [(decode(slots + step * way) - middle) / step for way in (one, other)]
    return moved[0], moved[1]


def mixed_difference(
    encode: Callable[[Tensor], Tensor], images: Tensor, first: Tensor, second: Tensor
) -> Float[Tensor, ""]:
    """Return the squared mixed difference of an encoder along two tangents."""
    # ``g(x + s + t) - g(x + s) - g(x + t) + g(x)``, for short s and t the second derivative ``D^2 g
    # (s, t)``; the four images of a scene are encoded as one batch.
    corners = torch.cat([images + first + second, images + first, images + second, images])
    both, one, other, none = encode(corners).chunk(4)
    return (both - one - other + none).square().sum(dim=(1, 2)).mean()


def with_tangents(
    data: TrainData, path: Path
) -> tuple[Float[Tensor, "n 3 height width"], Float[Tensor, "n 2 3 height width"]]:
    """Return the served images that have tangents, found by their pixels, and these tangents."""
    with open_checked(path) as handle:
        hashes, rendered = column(handle, "pixel_hash"), column(handle, "tangent")
    row_of = {digest.tobytes(): row for row, digest in enumerate(hashes)}
    images = data.arrays().images.cpu()
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    rows = [row_of.get(hashlib.sha256(image.tobytes()).digest(), -1) for image in pixels]
    kept = [place for place, row in enumerate(rows) if row >= 0]
    if not kept:
        raise InvalidInputError(
            f"{path}: expected tangents of some of the {len(images)} training images; got those of "
            "others. Render them for this dataset: recombine measure tangents DATA"
        )
    found = rendered[[rows[place] for place in kept]].astype(np.float32)
    return images[kept], torch.from_numpy(found).permute(0, 1, 4, 2, 3).contiguous()
