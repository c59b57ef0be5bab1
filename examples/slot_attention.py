"""Slot attention as its paper has it, and the wrapper that makes it a submission.

The modules follow Locatello et al. 2020 (arXiv 2006.15055), algorithm 1 and appendix E.3; nothing
in them knows this project. Slots are exchangeable: which one takes which object differs from image
to image. So the card says so, and the wrapper returns masks, on which slots are matched.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from recombine.benchmark.protocol.contract import (
    MethodCard,
    RunLog,
    SlotOutput,
    SplitSpec,
    TrainBudget,
)
from recombine.benchmark.serving.data import TrainData


class SlotAttention(nn.Module):
    """Slots compete for the inputs, for some iterations."""

    def __init__(self, count: int, dim: int, iterations: int = 3) -> None:
        super().__init__()
        self.count, self.iterations, self.scale = count, iterations, dim**-0.5
        self.mu = nn.Parameter(torch.randn(1, 1, dim) * dim**-0.5)
        self.log_sigma = nn.Parameter(torch.zeros(1, 1, dim))
        self.norm_inputs, self.norm_slots, self.norm_mlp = (nn.LayerNorm(dim) for _ in range(3))
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.gru = nn.GRUCell(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))

    def forward(self, inputs: Tensor, noise: Tensor) -> Tensor:
        """Return slots (B, K, D) of inputs (B, N, D), begun at noise (B, K, D)."""
        inputs = self.norm_inputs(inputs)
        k, v = self.to_k(inputs), self.to_v(inputs)
        slots = self.mu + self.log_sigma.exp() * noise
        for _ in range(self.iterations):
            q = self.to_q(self.norm_slots(slots)) * self.scale
            attention = (k @ q.transpose(1, 2)).softmax(dim=2) + 1e-8
            attention = attention / attention.sum(dim=1, keepdim=True)
            updates = attention.transpose(1, 2) @ v
            slots = self.gru(updates.flatten(0, 1), slots.flatten(0, 1)).view_as(slots)
            slots = slots + self.mlp(self.norm_mlp(slots))
        return slots


class Place(nn.Module):
    """Adds a linear function of the four distances to the image's edges."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(4, dim)

    def forward(self, features: Tensor) -> Tensor:
        """Return features (B, H, W, D)."""
        rows, columns = (torch.linspace(0, 1, n, device=features.device)
                         for n in features.shape[1:3])  # fmt: skip
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
        return features + self.project(torch.cat([grid, 1 - grid], dim=-1))


class SlotAutoencoder(nn.Module):
    """Convolutions, slot attention, and one spatial-broadcast decoder for every slot."""

    def __init__(self, spec: SplitSpec, count: int, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (3, dim, dim, dim):
            layers += [nn.Conv2d(inputs, dim, 5, padding=2), nn.ReLU()]
        self.features, self.place = nn.Sequential(*layers), Place(dim)
        self.mix = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)
        )
        self.attention = SlotAttention(count, dim)
        self.start = tuple(max(1, edge // 8) for edge in spec.image_hw)
        self.placed = Place(dim)
        ups: list[nn.Module] = []
        for _ in range(3):
            ups += [nn.ConvTranspose2d(dim, dim, 5, 2, 2, output_padding=1), nn.ReLU()]
        self.up = nn.Sequential(*ups, nn.Conv2d(dim, 4, 3, padding=1))

    def slots(self, images: Tensor, noise: Tensor) -> Tensor:
        """Return slots (B, K, D)."""
        found = self.place(self.features(images).permute(0, 2, 3, 1))
        return self.attention(self.mix(found.flatten(1, 2)), noise)

    def draw(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, H, W) and masks (B, K, H, W)."""
        count, dim = slots.shape[1:]
        wide = slots.reshape(-1, 1, 1, dim).expand(-1, *self.start, dim)
        parts = self.up(self.placed(wide).permute(0, 3, 1, 2)).unflatten(0, (-1, count))
        masks = parts[:, :, 3:].softmax(dim=1)
        return (parts[:, :, :3] * masks).sum(dim=1), masks[:, :, 0]


# What follows is the wrapper.


class FittedSlots:
    """An `Encoder` with a decoder."""

    def __init__(self, model: SlotAutoencoder, noise: Tensor) -> None:
        self.model, self.noise, self.slot_dim = model.eval(), noise, noise.shape[2]

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Move to the device."""
        self.model.to(device)
        self.noise = self.noise.to(device)

    def encode(self, images: Tensor) -> SlotOutput:
        """Return slots and masks. The paper draws noise anew; here it is the same every time."""
        slots = self.model.slots(images, self.noise.expand(len(images), -1, -1))
        return SlotOutput(slots=slots, masks=self.model.draw(slots)[1])

    def decode(self, slots: Tensor) -> Tensor:
        """Return images."""
        return self.model.draw(slots)[0].clamp(0, 1)


@dataclass(frozen=True)
class SlotAttentionLearner:
    """A `Learner` without labels: reconstruct the images."""

    card: ClassVar[MethodCard] = MethodCard(
        id="slot-attention", name="Slot attention", source="arXiv 2006.15055", slots="exchangeable"
    )
    extra_slots: int = 1
    dim: int = 64
    epochs: int = 50
    rate: float = 4e-4

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> FittedSlots:
        """Train on the pixel error."""
        torch.manual_seed(seed)
        count = data.spec.max_slots + self.extra_slots
        model = SlotAutoencoder(data.spec, count, self.dim)
        optimiser = torch.optim.Adam(model.parameters(), lr=self.rate)
        for epoch in range(self.epochs):
            for batch in data.batches(64, seed=self.epochs * seed + epoch):
                noise = torch.randn(len(batch.images), count, self.dim)
                drawn, _ = model.draw(model.slots(batch.images, noise))
                loss = (drawn - batch.images).square().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            log.scalar("loss", loss.item(), epoch)
        return FittedSlots(model, torch.randn(1, count, self.dim))
