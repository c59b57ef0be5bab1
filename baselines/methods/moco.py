"""MoCo v2: contrast against a queue of keys from a slowly moving copy of the network.

``L = - log exp(q k+ / t) / (exp(q k+ / t) + sum_queue exp(q k / t))``, keys from an exponential
moving average of the weights. It has many negatives where batches are small.
Source: He et al. 2020, arXiv 1911.05722, Eq. 1; Chen et al. 2020, arXiv 2003.04297. Differs in
size, AdamW, plain batch statistics (one process, nothing to shuffle) and views that keep
handedness and colour.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from recombine.baselines.methods.unlabelled import (
    Trunk,
    Unlabelled,
    VectorEncoder,
    altered,
    fit_unlabelled,
    projector,
    sizes_of,
)
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import seeded
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData

OUT = 64


@dataclass(frozen=True)
class MoCo(Unlabelled):
    """Settings of MoCo; ``fit`` trains it."""

    card: ClassVar[MethodCard] = MethodCard(
        id="moco",
        name="MoCo v2",
        source="arXiv 1911.05722, Eq. 1; arXiv 2003.04297",
        note="Queue of 2,048 keys, momentum 0.99, temperature 0.2.",
    )

    temperature: float = 0.2  # t in the loss
    queue: int = 2048  # keys kept
    momentum: float = 0.99  # share of the old weights in the moving average, in [0, 1)

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> VectorEncoder:
        """Train on images alone; nothing is selected on ``val``."""
        del val
        with seeded(seed):
            trunk = Trunk(self.width, self.dim, data.spec.image_hw)
            model = nn.Sequential(trunk, projector(self.dim, self.dim, OUT))
            slow = copy.deepcopy(model).requires_grad_(False)
            keys = nn.functional.normalize(torch.randn(self.queue, OUT), dim=1)
            both = Both(model, slow, keys)

            def loss(images: Tensor) -> Tensor:
                follow(slow, model, self.momentum)
                with torch.no_grad():
                    key = nn.functional.normalize(slow(altered(images)).float(), dim=1)
                value = queue_loss(model(altered(images)), key, both.keys, self.temperature)
                both.keys = torch.cat([key, both.keys])[: self.queue]
                return value

            fit_unlabelled(self, both, loss, data, seed=seed, budget=budget, log=log, name="moco")
        return VectorEncoder(trunk, self.dim, data.spec.image_hw)


class Both(nn.Module):
    """All that changes while MoCo trains: the network, its slow copy and the queue of keys."""

    keys: Tensor

    def __init__(self, fast: nn.Module, slow: nn.Module, keys: Tensor) -> None:
        super().__init__()
        self.fast, self.slow = fast, slow
        self.register_buffer("keys", keys)


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move the weights of a copy a little towards those of the original, in place."""
    for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
        old.lerp_(new, 1 - momentum)


def queue_loss(
    queries: Float[Tensor, "images dim"],
    keys: Float[Tensor, "images dim"],
    queue: Float[Tensor, "others dim"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Return the InfoNCE loss of queries against their keys and a queue of others."""
    unit = nn.functional.normalize(queries.float(), dim=1)
    own = (unit * keys).sum(1, keepdim=True)
    logits = torch.cat([own, unit @ queue.T], dim=1) / temperature
    return nn.functional.cross_entropy(logits, logits.new_zeros(len(logits)).long())


SIZES: dict[str, dict[str, Unlabelled]] = {"MoCo": sizes_of(MoCo, queue=64)}
