"""Control: an encoder asked to invert an additive decoder, by a penalty on its second derivatives.

If ``g(f(z)) = z`` and slots do not interact in the decoder (``D^2 f (e_k, e_l) = 0`` for k != l),
then differentiating twice gives ``D^2 g (Df e_k, Df e_l) = 0``: the encoder must be linear across
the tangents of different slots. Ambient second derivatives carry no such constraint (arXiv
2512.08854, Theorem 3.2 and Eq. 3.4), and the tangents are known only where there are images. This
row imposes it there, with tangents from the trained structured decoder at the slots of training
images; it is the encoder-side counterpart of a structured decoder, without replay or search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from recombine.baselines.device import placed
from recombine.baselines.loop import Schedule, budget_share, endless, seeded, train
from recombine.baselines.recognition import RecognitionEncoder
from recombine.baselines.slotwise import SlotAutoencoder, deadline_of, stage_sizes
from recombine.benchmark.protocol import MethodCard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jaxtyping import Float

    from recombine.baselines.slots import SlotLayout
    from recombine.benchmark.data import Batch, TrainData
    from recombine.benchmark.protocol import RunLog, TrainBudget

_BASE = SlotAutoencoder()
_SCHEDULE = Schedule(steps=300, batch_size=32)


@dataclass(frozen=True)
class TangentPenalty:
    """Settings of the encoder with the tangent-space penalty; ``fit`` trains it.

    Attributes
    ----------
    base : SlotAutoencoder
        Stage 1: the encoder that training goes on with, and the decoder of the tangents.
    schedule : Schedule
        Training with the penalty, on real images alone.
    weight : float
        Weight of the penalty against the supervised loss.
    reach : float
        Length of a step along a tangent, as a change of the slot's columns.
    size : str
        Named size that these settings came from.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="tangent-penalty",
        name="Supervised slot encoder with tangent-space penalty",
        inference="direct",
        supervision="supervised",
        source="arXiv 2512.08854, Eq. 3.4 (derived penalty)",
        note="Control: the encoder is asked to be linear across the tangents of different slots; "
        "tangents from the slot autoencoder's decoder at training images.",
    )

    base: SlotAutoencoder = _BASE
    schedule: Schedule = _SCHEDULE
    weight: float = 1.0
    reach: float = 0.5
    size: str = "cpu"

    @placed
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> RecognitionEncoder:
        """Train stage 1, then the encoder with the penalty; nothing is selected on ``val``.

        Images along tangents are no renders; they are counted as generated through ``log``.
        """
        del val
        share = budget_share(budget, self.base.images(data) + self.schedule.images)
        deadline = deadline_of(budget)
        with seeded(seed):
            model = self.base.stage(data, seed=seed, share=share, log=log, deadline=deadline)
        with seeded(seed + 1) as generator:
            recognition, decoder = model.recognition, model.decoder.eval().requires_grad_(False)

            def decode(slots: Tensor) -> Tensor:
                image: Tensor = decoder(slots).image
                return image

            def encode(images: Tensor) -> Tensor:
                return recognition.run(images)[1]

            def loss(batch: Batch) -> Tensor:
                slots = recognition.targets(batch.factors)
                log.count_generated(3 * len(slots))
                one, other = directions(recognition.layout, len(slots), generator)
                first, second = tangents(decode, slots, self.reach * one, self.reach * other)
                bent = bend(encode, batch.images, first, second)
                return recognition.loss(batch.images, slots) + self.weight * bent

            schedule = self.schedule.within(share)
            batches = endless(data, schedule.batch_size, schedule.steps, seed + 20_000)
            train(recognition, loss, batches, schedule, log=log, name="tangent", deadline=deadline)
        return RecognitionEncoder(recognition)


def directions(
    layout: SlotLayout, n: int, generator: torch.Generator
) -> tuple[Float[Tensor, "n slots dim"], Float[Tensor, "n slots dim"]]:
    """Draw unit directions within two different slots per image.

    Parameters
    ----------
    layout : SlotLayout
        At least two slots; padded columns stay zero.
    n : int
        Number of images.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    tuple of Tensor
        Two times ``(n, K, D)``: zero outside the chosen slot, length 1.
    """
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
    """Return how the decoded image moves along two directions, by one-sided differences.

    Parameters
    ----------
    decode : callable
        Slots to images.
    slots, one, other : Tensor
        ``(B, K, D)`` where, and along what.

    Returns
    -------
    tuple of Tensor
        Two times ``(B, 3, H, W)``.
    """
    step = 0.1
    middle = decode(slots)
    moved = [(decode(slots + step * way) - middle) / step for way in (one, other)]
    return moved[0], moved[1]


def bend(
    encode: Callable[[Tensor], Tensor], images: Tensor, first: Tensor, second: Tensor
) -> Float[Tensor, ""]:
    """Return the squared mixed difference of an encoder along two tangents.

    ``g(x + s + t) - g(x + s) - g(x + t) + g(x)``, for short s and t the second derivative
    ``D^2 g (s, t)``; the four images of a scene are encoded as one batch.

    Parameters
    ----------
    encode : callable
        Images to ``(B, K, D)``.
    images, first, second : Tensor
        ``(B, 3, H, W)``: where, and along what.

    Returns
    -------
    Tensor
        Scalar, the sum over slots and columns, averaged over images; 0 for an encoder that is
        linear across the two.
    """
    corners = torch.cat([images + first + second, images + first, images + second, images])
    both, one, other, none = encode(corners).chunk(4)
    return (both - one - other + none).square().sum(dim=(1, 2)).mean()


_STAGES = stage_sizes(SlotAutoencoder)
SIZES: dict[str, Mapping[str, Any]] = {
    "TangentPenalty": {
        "tiny": TangentPenalty(base=_STAGES["tiny"], schedule=Schedule(steps=6, batch_size=8)),
        "cpu": TangentPenalty(),
        "gpu": TangentPenalty(
            base=_STAGES["gpu"], schedule=Schedule(steps=20_000, batch_size=128, compile=True)
        ),
    }
}
