"""Compositional consistency while training: an encoder kept right on recombinations of the moment.

    L = |f(mu(x)) - x|^2 + w E |(mu(f(z~)) - z~) / s|^2,   z~_k drawn from { mu_k(x) : x in bank }

with encoder mu and decoder f. Slots are drawn independently from those of the last training images
(the bank), s is the standard deviation of each of their columns, and the second term trains the
encoder alone: z~ and f(z~) are held fixed. Source: Wiedemer et al. 2024, arXiv 2310.05327
(autoencoder with compositional consistency).

It differs from the replay of the `vae` rows in that there is one stage, so encoder and decoder
change together and the recombinations with them; there is no frozen encoder and no anchor other
than the reconstruction. It differs from the source in that slots keep their roles (no matching and
no pool of all slots), in the division by s, without which a code could be made right by making it
small, in the bank, which has more combinations than one batch, and in that the decoder gets no
gradient from the second term (it is an option there).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from recombine.baselines.generative.vae import Vae, VaeModel, select_code_search
from recombine.baselines.nn.losses import recombine
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Sizes,
    autocast,
    budget_share,
    deadline_of,
    endless,
    seeded,
    train,
)
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.baselines.generative.vae import CodeInversion
    from recombine.baselines.nn.build import DecoderKind
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData


@dataclass(frozen=True)
class CompositionalConsistency(Vae):
    """Settings of the consistent autoencoder; ``fit`` trains it in one stage."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {**Vae.SIZES["tiny"], "replayed": 8, "bank": 64},
        "cpu": {},
        "gpu": {**Vae.SIZES["gpu"], "replayed": 64, "bank": 8192},
    }

    kind: DecoderKind = "broadcast"
    variance: float = 0.0  # an autoencoder: the source has no prior
    replayed: int = 16  # decoded recombinations per step
    weight: float = 1.0  # w in the loss, in whose terms the image error is multiplied by 100
    bank: int = 1024  # training images whose slots are recombined, the latest ones
    # share of the steps before consistency sets in, when there is nothing to be consistent with;
    # 150 of 400 epochs in the source
    quiet: float = 0.375

    @property
    def card(self) -> MethodCard:
        """Return the card of the row, with or without masks."""
        masks = self.supervision == "weak"
        return MethodCard(
            id="compositional-consistency" + "-masks" * masks,
            name="Autoencoder, compositional consistency" + ", masks" * masks,
            inference="replay",
            supervision=self.supervision,
            source="arXiv 2310.05327 (compositional consistency)",
            paper="https://arxiv.org/abs/2310.05327",
            note="Control: one stage of training on images and on decoded recombinations of the "
            "latest slots, where replay has two. Inferred slots, spatial-broadcast decoder"
            + (", alpha masks trained on instance masks." if masks else "."),
            role="control",
            generative=True,
        )

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> CodeInversion:
        """Train encoder and decoder together, then choose search settings."""
        deadline = deadline_of(budget)
        schedule = self.schedule.within(budget_share(budget, self.schedule.images))
        start = round(self.quiet * schedule.steps)
        with seeded(seed) as generator:
            model = ConsistentModel(self, data)

            def loss(batch: Batch) -> Tensor:
                drawn = model.draw(self.replayed, generator) if model.steps >= start else None
                if drawn is not None:
                    log.count_generated(len(drawn))
                return model.consistent_loss(batch, drawn, self.weight)

            batches = endless(data, schedule.batch_size, schedule.steps, seed)
            train(model, loss, batches, schedule, log=log, name="consistency", deadline=deadline)
            return select_code_search(
                model.encoder,
                model.decoder,
                val,
                seed=seed,
                log=log,
                candidates=self.candidates,
                images=self.selection_images,
            )


class ConsistentModel(VaeModel):
    """Encoder and decoder, with the slots of the latest training images."""

    bank: Tensor
    filled: Tensor
    steps: Tensor

    def __init__(self, settings: CompositionalConsistency, data: TrainData) -> None:
        super().__init__(settings, data)
        # Buffers, so that training that was killed goes on with them.
        self.register_buffer("bank", torch.zeros(settings.bank, data.spec.max_slots, settings.dim))
        self.register_buffer("filled", torch.tensor(0))
        self.register_buffer("steps", torch.tensor(0))

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "n slots dim"] | None:
        """Draw recombinations of the bank's slots; none while it is empty."""
        filled = int(self.filled)
        return recombine(self.bank[:filled], n, generator) if filled else None

    def keep(self, means: Float[Tensor, "images slots dim"]) -> None:
        """Put slots in front of the bank; the oldest fall out."""
        size = len(self.bank)
        self.bank = torch.cat([means.detach().float(), self.bank])[:size]
        self.filled = (self.filled + len(means)).clamp_max(size)
        self.steps = self.steps + 1

    def spread(self) -> Float[Tensor, "slots dim"]:
        """Return the standard deviation of every column of the bank's slots."""
        # Columns that carry next to nothing would be divided by next to nothing.
        spread = self.bank[: int(self.filled)].std(dim=0, correction=0)
        return spread.clamp_min(0.1 * float(spread.square().mean().sqrt()) + 1e-6)

    def consistent_loss(
        self, batch: Batch, drawn: Float[Tensor, "n slots dim"] | None, weight: float
    ) -> Float[Tensor, ""]:
        """Return the loss of images and of decoded recombinations, if there are any."""
        images, n = batch.images, len(batch.images)
        if drawn is not None:
            with torch.no_grad(), autocast(self.settings.precision, images.device.type):
                made = self.decoder(drawn).image.clamp(0, 1)
            images = torch.cat([images, made])
        mean, log_variance = self.encoder.posterior(images)
        total = self.loss_at(batch, mean[:n], log_variance[:n])
        if drawn is not None:
            total = total + weight * ((mean[n:] - drawn) / self.spread()).square().mean()
        self.keep(mean[:n])
        return total
