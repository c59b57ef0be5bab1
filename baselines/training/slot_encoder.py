"""The label-supervised encoder that every baseline starts from, and its training stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.nn.losses import slot_loss
from recombine.baselines.nn.object_masks import Outlines
from recombine.baselines.nn.slots import (
    activate,
    check_spec,
    factors_of,
    slot_vectors,
    standard,
)
from recombine.baselines.training.loop import (
    Precision,
    Schedule,
    autocast,
    budget_share,
    deadline_of,
    endless,
    train,
)
from recombine.benchmark.protocol.contract import SlotOutput
from recombine.benchmark.serving.data import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jaxtyping import Float

    from recombine.baselines.nn.slots import SlotLayout
    from recombine.baselines.training.loop import EarlyStop
    from recombine.benchmark.protocol.contract import RunLog, SplitSpec, TrainBudget
    from recombine.benchmark.serving.data import TrainData

    # A source of made images with their slots.
    Draw = Callable[[], tuple[Float[Tensor, "n 3 height width"], Float[Tensor, "n slots dim"]]]


class Recognition(nn.Module):
    """A slot encoder together with the meaning of its head outputs."""

    center: Tensor
    spread: Tensor

    def __init__(
        self,
        layout: SlotLayout,
        image_hw: tuple[int, int],
        *,
        width: int,
        layers: int,
        pose_weight: float,
        precision: Precision,
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layout, self.image_hw = layout, image_hw
        self.pose_weight = pose_weight
        self.precision: Precision = precision
        encoder = encoder or SlotEncoder(
            layout.count, layout.dim, width=width, image_hw=image_hw, layers=layers
        )
        self.encoder = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.slot_dim = width
        self.outlines = Outlines(layout, image_hw)
        self.register_buffer("center", torch.zeros(layout.count, layout.dim))
        self.register_buffer("spread", torch.ones(layout.count, layout.dim))

    def standardise(self, first: Batch) -> None:
        """Set the scale of continuous columns, and where poses lie, from labelled images."""
        vectors = slot_vectors(self.layout, first.factors)
        self.center, self.spread = standard(self.layout, vectors)
        self.outlines.fit(self.targets(first.factors), first.masks)

    def targets(self, factors: Mapping[str, Tensor]) -> Float[Tensor, "images slots dim"]:
        """Return the standardised slot vectors of labelled images."""
        return (slot_vectors(self.layout, factors) - self.center) / self.spread

    def run(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images slots width"], Float[Tensor, "images slots dim"]]:
        """Return slots and head outputs; answers are always float32."""
        # In bfloat16 the answer to one image depends a little on how many others come with it.
        packed = images.contiguous(memory_format=torch.channels_last)
        precision: Precision = self.precision if self.training else "float32"
        with autocast(precision, images.device.type):
            slots, outputs = self.encoder(packed)
        return slots, outputs

    def loss(
        self,
        images: Float[Tensor, "images 3 height width"],
        targets: Float[Tensor, "images slots dim"],
    ) -> Float[Tensor, ""]:
        """Return the supervised loss of a batch; see `recombine.baselines.nn.losses.slot_loss`."""
        return slot_loss(self.layout, self.run(images)[1], targets, self.pose_weight)

    def loss_of(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the supervised loss of labelled images."""
        return self.loss(batch.images, self.targets(batch.factors))

    def guess(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return the slot vectors that the heads stand for."""
        return activate(self.layout, self.run(images)[1])


class RecognitionEncoder:
    """A fitted recognition model as a submission: slots, and the factors that its heads read."""

    def __init__(self, model: Recognition) -> None:
        self.model = model.eval()
        self.slot_dim = model.slot_dim

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Check that the images are of the kind trained on, and move there."""
        check_spec(spec, self.model.layout, self.model.image_hw)
        self.model.to(device)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return slots ``(B, K, width)`` and the factors that the heads predict."""
        model = self.model
        slots, outputs = model.run(images)
        guess = activate(model.layout, outputs)
        factors = factors_of(model.layout, guess, model.center, model.spread)
        return SlotOutput(slots=slots, factors=factors, masks=model.outlines(guess))


def first_images(data: TrainData, limit: int, seed: int) -> Batch:
    """Return up to ``limit`` training images at once, counted like any other batch."""
    return next(iter(data.batches(min(limit, len(data)), seed=seed)))


def first_count(data: TrainData, share: float) -> int:
    """Return the images of the closed-form fits: at most 2,048, within the budget."""
    return max(1, min(2048, int(share * len(data))))


def fit_recognition(
    model: Recognition,
    data: TrainData,
    schedule: Schedule,
    *,
    seed: int,
    budget: TrainBudget,
    log: RunLog,
    stop: EarlyStop | None = None,
) -> RecognitionEncoder:
    """Standardise, train and wrap a recognition model: all that a supervised row does."""
    deadline = deadline_of(budget)
    share = budget_share(budget, schedule.images + len(data))
    first = first_images(data, max(1, int(share * len(data))), seed)
    model.standardise(first)
    schedule = schedule.within(share)
    train_recognition(model, data, schedule, seed=seed, log=log, deadline=deadline, stop=stop)
    return RecognitionEncoder(model)


def train_recognition(
    model: Recognition,
    data: TrainData,
    schedule: Schedule,
    *,
    seed: int,
    log: RunLog,
    deadline: float | None = None,
    stop: EarlyStop | None = None,
) -> None:
    """Train a recognition model on labelled in-combination images, in place."""
    batches = endless(data, schedule.batch_size, schedule.steps, seed)
    loss, name = model.loss_of, "encoder"
    train(model, loss, batches, schedule, log=log, name=name, deadline=deadline, stop=stop)


def train_anchored(
    model: Recognition,
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
        targets = torch.cat([model.targets(batch.factors), slots])
        return model.loss(torch.cat([batch.images, images]), targets)

    batches = endless(data, schedule.batch_size, schedule.steps, seed + 10_000)
    train(model, loss, batches, schedule, log=log, name="replay", deadline=deadline)
