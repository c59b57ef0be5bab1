"""A submission to start from: a learner, trained by the harness once per seed.

Needed is `fit`. It gets in-combination images, with the labels that `card.supervision` allows
("unsupervised": none, "weak": masks, "supervised": masks and factors), and returns a fitted method,
here with `slot_dim`, `setup` and `encode`. There is no base class.

Try it with `recombine submission check`, score it with `recombine score`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, SplitSpec

if TYPE_CHECKING:
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData


@dataclass(frozen=True)
class MyLearner:
    """Settings; `fit` trains. A changed field is another method, and is trained anew."""

    # What the leaderboard prints, and which labels `fit` gets.
    card: ClassVar[MethodCard] = MethodCard(
        id="my-learner",
        name="My learner",
        inference="direct",
        supervision="supervised",
        data="scratch",
        source="",
        note="",
    )

    slot_dim: int = 32
    epochs: int = 40
    batch_size: int = 64
    rate: float = 2e-3

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> MyEncoder:
        """Train on `data`; choose settings, if at all, on `val`.

        `data.spec` is the same `SplitSpec` that `setup` gets. Tell `log` about images that you
        generate and settings that you compare.
        """
        del val  # nothing is chosen here
        torch.manual_seed(seed)
        model = Network(data.spec, self.slot_dim)
        optimiser = torch.optim.AdamW(model.parameters(), lr=self.rate)
        # Stop in time: a run that takes longer than its budget is refused.
        seconds = float("inf") if budget.max_seconds is None else 0.9 * budget.max_seconds
        stop = time.monotonic() + seconds
        step = 0
        for epoch in range(self.epochs):
            for batch in data.batches(self.batch_size, seed=self.epochs * seed + epoch):
                if time.monotonic() > stop or _used_up(budget, data, self.batch_size):
                    return MyEncoder(model)
                loss = model.loss(batch)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                log.scalar("loss", loss.item(), step)
                step += 1
        return MyEncoder(model)


class Network(nn.Module):
    """Convolutions, one vector per slot, and one head per labelled factor."""

    def __init__(self, spec: SplitSpec, slot_dim: int) -> None:
        super().__init__()
        self.slots, self.slot_dim = spec.max_slots, slot_dim
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 32), (32, 64), (64, 64)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.to_slots = nn.Linear(64 * 16, self.slots * slot_dim)
        # "object.shape": "categorical[4]" gets 4 logits; other types are left out here.
        sizes = {
            name: int(kind[len("categorical[") : -1])
            for name, kind in spec.factors.items()
            if kind.startswith("categorical[")
        }
        # The part of the name before the dot is the slot.
        owners = list(dict.fromkeys(name.partition(".")[0] for name in spec.factors))
        self.owners = {name: owners.index(name.partition(".")[0]) for name in sizes}
        self.heads = nn.ModuleDict(
            {name.replace(".", "/"): nn.Linear(slot_dim, size) for name, size in sizes.items()}
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return slots (B, K, slot_dim)."""
        flat: Tensor = self.to_slots(self.body(images - 0.5))
        return flat.reshape(len(images), self.slots, self.slot_dim)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of all heads."""
        slots = self(batch.images)
        losses = [
            nn.functional.cross_entropy(
                self.heads[name.replace(".", "/")](slots[:, owner]), batch.factors[name]
            )
            for name, owner in self.owners.items()
        ]
        return torch.stack(losses).mean()


class MyEncoder:
    """The fitted method that the harness asks."""

    def __init__(self, model: Network) -> None:
        self.model = model.eval()  # batch statistics would let images see each other
        self.slot_dim = model.slot_dim

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Move to the device; called once, before any image."""
        del spec
        self.model.to(device)

    def encode(self, images: Tensor) -> SlotOutput:
        """Return slots (B, K, slot_dim), float32, for images (B, 3, H, W), float32 in [0, 1]."""
        return SlotOutput(slots=self.model(images))


def _used_up(budget: TrainBudget, data: TrainData, batch_size: int) -> bool:
    """Return whether the next batch would not fit into the image budget."""
    limit = budget.max_images_seen
    return limit is not None and data.images_served + batch_size > limit
