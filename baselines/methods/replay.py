"""Replay: an autoencoder's encoder is trained on its own decoded recombinations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from recombine.baselines.methods.slotmodel import first_count
from recombine.baselines.methods.slotwise import SlotAutoencoder, deadline_of, stage_sizes
from recombine.baselines.nn.losses import recombine, recombine_factors
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Schedule,
    autocast,
    budget_share,
    endless,
    seeded,
    train,
)
from recombine.baselines.training.slot_encoder import first_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    from recombine.baselines.methods.slotmodel import SlotModel
    from recombine.baselines.training.search import Inversion
    from recombine.baselines.training.slot_encoder import Recognition
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

    Draw = Callable[[], tuple[Float[Tensor, "n 3 height width"], Float[Tensor, "n slots dim"]]]

NOTE = (
    " Replay draws each slot from the bank of training slots independently and keeps a quarter of "
    "real images in every batch."
)
_REPLAY = Schedule(steps=300, batch_size=16)
_BASE = SlotAutoencoder()


@dataclass(frozen=True)
class SlotReplay:
    """Settings of an autoencoder with replay; ``fit`` trains it."""

    base: SlotAutoencoder = _BASE  # stage 1 and search
    # optimiser settings of the replay stage; ``batch_size`` counts the *real* images
    replay: Schedule = _REPLAY
    # replayed images per step, beside the real ones that keep the encoder anchored
    replayed: int = 48
    noise: float = 0.02  # standard deviation of the pixel noise on replayed images
    within: bool = False  # recombine factors inside slots too, not only whole slots
    size: str = "cpu"  # named size that these settings came from

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> Inversion:
        """Train stage 1, replay its recombinations, then choose search settings."""
        share = budget_share(budget, self.base.images(data) + self.replay.images + len(data))
        deadline = deadline_of(budget)
        with seeded(seed):
            model = self.base.stage(data, seed=seed, share=share, log=log, deadline=deadline)
        with seeded(seed + 1) as generator:
            draw = self._draw(model, data, generator, share=share, seed=seed)
            schedule = self.replay.within(share)
            train_anchored(
                model.recognition, draw, data, schedule, seed=seed, log=log, deadline=deadline
            )
            return self.base.inversion(model, val, seed=seed, log=log)

    def _draw(
        self,
        model: SlotModel,
        data: TrainData,
        generator: torch.Generator,
        *,
        share: float,
        seed: int,
    ) -> Draw:
        """Return the source of replayed images with their slots."""
        recognition, decoder = model.recognition, model.decoder.eval().requires_grad_(False)
        first = first_images(data, first_count(data, share), seed)
        bank, layout = recognition.targets(first.factors), recognition.layout

        def draw() -> tuple[Tensor, Tensor]:
            if self.within:
                drawn = recombine_factors(layout, bank, self.replayed, generator)
            else:
                drawn = recombine(bank, self.replayed, generator, layout.groups)
            with torch.no_grad(), autocast(self.base.precision, drawn.device.type):
                decoded = decoder(drawn).image
            return (decoded + self.noise * torch.randn_like(decoded)).clamp(0, 1), drawn

        return draw


def train_anchored(
    recognition: Recognition,
    draw: Draw,
    data: TrainData,
    schedule: Schedule,
    *,
    seed: int,
    log: RunLog,
    deadline: float | None = None,
) -> None:
    """Go on training an encoder on made images, anchored by real ones in every batch."""

    def loss(batch: Batch) -> Tensor:
        images, slots = draw()
        log.count_generated(len(images))
        targets = torch.cat([recognition.targets(batch.factors), slots])
        return recognition.loss(torch.cat([batch.images, images]), targets)

    batches = endless(data, schedule.batch_size, schedule.steps, seed + 10_000)
    train(recognition, loss, batches, schedule, log=log, name="replay", deadline=deadline)


_TINY_REPLAY = {"replay": Schedule(steps=8, batch_size=4), "replayed": 12}
_GPU_REPLAY = {"replay": Schedule(steps=20_000, batch_size=64, compile=True), "replayed": 192}

Replay = TypeVar("Replay", bound=SlotReplay)


def replay_sizes(row: type[Replay], base: type[SlotAutoencoder]) -> dict[str, Replay]:
    """Return the same for a row with replay on top of a base row."""
    settings: dict[str, dict[str, Any]] = {"tiny": _TINY_REPLAY, "cpu": {}, "gpu": _GPU_REPLAY}
    bases = stage_sizes(base)
    return {size: row(**values, base=bases[size]) for size, values in settings.items()}
