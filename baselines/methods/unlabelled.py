"""What the encoders without labels share: one vector per image, altered views, training.

They see no factor and no mask; a linear readout tells what their vector holds. The vector is
repeated for every slot, so a readout of any slot sees all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recombine.baselines.methods.slotwise import deadline_of
from recombine.baselines.nn.encoders import ConvTokens
from recombine.baselines.training.loop import (
    Precision,
    Schedule,
    autocast,
    budget_share,
    endless,
    train,
)
from recombine.benchmark.protocol.contract import SlotOutput
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

_SCHEDULE = Schedule(steps=900, batch_size=64, rate=1e-3, weight_decay=0.05)


@dataclass(frozen=True)
class Unlabelled:
    """Settings that every row without labels has."""

    width: int = 64  # channels of the convolutions
    dim: int = 128  # columns of the image's vector
    schedule: Schedule = _SCHEDULE  # optimiser settings
    precision: Precision = "bf16"  # arithmetic of the networks
    size: str = "cpu"  # named size that these settings came from; set by `load_baseline`


class Trunk(nn.Module):
    """An image becomes one vector: convolutions, then mean and linear map over an 4 x 4 grid."""

    def __init__(self, width: int, dim: int, image_hw: tuple[int, int]) -> None:
        super().__init__()
        self.image_hw = tuple(image_hw)
        self.tokens = ConvTokens(width, image_hw)
        self.grid = tuple(-(-edge // 8) for edge in image_hw)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.out = nn.Sequential(nn.Flatten(), nn.Linear(16 * width, dim))

    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images dim"]:
        """Return the vectors, float32."""
        cells = self.tokens(images).transpose(1, 2).unflatten(2, self.grid)
        vectors: Tensor = self.out(self.pool(cells))
        return vectors.float()


class VectorEncoder:
    """A fitted trunk as a submission."""

    def __init__(self, trunk: nn.Module, dim: int, image_hw: tuple[int, int]) -> None:
        self.trunk = trunk.eval().requires_grad_(False)
        self.slot_dim, self.image_hw, self.slots = dim, tuple(image_hw), 1

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Check the image size and move to the device."""
        if tuple(spec.image_hw) != self.image_hw:
            raise InvalidInputError(
                f"baselines: this model was trained on images of {self.image_hw}, got "
                f"{tuple(spec.image_hw)}; train it anew"
            )
        self.slots = spec.max_slots
        self.trunk.to(device)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return the image's vector once per slot, ``(B, K, D)``."""
        return SlotOutput(slots=self.trunk(images)[:, None].repeat(1, self.slots, 1))


def projector(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return the small network between a trunk and its loss, thrown away after training."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def altered(
    images: Float[Tensor, "images 3 height width"], strength: float = 1.0
) -> Float[Tensor, "images 3 height width"]:
    """Return a random view of every image: cropped, brightened, tinted, noisy."""
    # No flips and no greyscale: handedness and colour are factors here, and an encoder that is
    # taught to ignore them cannot report them. Crops keep at least 60 % of each edge.
    n, device = len(images), images.device
    scale = 1 - 0.4 * strength * torch.rand(n, device=device)
    shift = (torch.rand(n, 2, device=device) * 2 - 1) * (1 - scale[:, None])
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    views = nn.functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    gain = 1 + 0.2 * strength * torch.randn(n, 1, 1, 1, device=device)
    tint = 1 + 0.05 * strength * torch.randn(n, 3, 1, 1, device=device)
    noise = 0.02 * strength * torch.randn_like(views)
    return (views * gain * tint + noise).clamp(0, 1)


def fit_unlabelled(
    settings: Unlabelled,
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    data: TrainData,
    *,
    seed: int,
    budget: TrainBudget,
    log: RunLog,
    name: str,
) -> None:
    """Train a model on images alone, in place."""
    schedule = settings.schedule.within(budget_share(budget, settings.schedule.images))

    def of(batch: Batch) -> Tensor:
        with autocast(settings.precision, batch.images.device.type):
            return loss(batch.images)

    batches = endless(data, schedule.batch_size, schedule.steps, seed)
    train(model, of, batches, schedule, log=log, name=name, deadline=deadline_of(budget))


def sizes_of(row: type[Unlabelled], **tiny: object) -> dict[str, Unlabelled]:
    """Return a row's settings at the three sizes: tiny (seconds), cpu (minutes), gpu."""
    short = Schedule(steps=8, batch_size=16, rate=1e-3, weight_decay=0.05)
    long = Schedule(steps=50_000, batch_size=512, rate=1e-3, weight_decay=0.05, compile=True)
    return {
        "tiny": row(**{"width": 32, "dim": 32, "schedule": short, **tiny}),  # type: ignore[arg-type]
        "cpu": row(),
        "gpu": row(width=256, dim=512, schedule=long),
    }
