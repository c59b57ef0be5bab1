"""SimCLR: two views of an image attract, views of other images repel.

``L = - log exp(s_ij / t) / sum_{k != i} exp(s_ik / t)`` with cosine similarities s of projected
vectors, over all 2 B views of a batch.
Source: Chen et al. 2020, arXiv 2002.05709, Eq. 1 (NT-Xent). Differs in batch size, AdamW in place
of LARS, and views that keep handedness and colour.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class SimClr(Unlabelled):
    """Settings of SimCLR; ``fit`` trains it."""

    card: ClassVar[MethodCard] = MethodCard(
        id="simclr",
        name="SimCLR",
        source="arXiv 2002.05709, Eq. 1",
        note="Temperature 0.2, crops and colour changes, AdamW.",
    )

    temperature: float = 0.2  # t in the loss

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> VectorEncoder:
        """Train on images alone; nothing is selected on ``val``."""
        del val
        with seeded(seed):
            trunk = Trunk(self.width, self.dim, data.spec.image_hw)
            head = projector(self.dim, self.dim, 64)
            model = nn.Sequential(trunk, head)

            def loss(images: Tensor) -> Tensor:
                views = torch.cat([altered(images), altered(images)])
                return contrast(model(views), self.temperature)

            fit_unlabelled(
                self, model, loss, data, seed=seed, budget=budget, log=log, name="simclr"
            )
        return VectorEncoder(trunk, self.dim, data.spec.image_hw)


def contrast(vectors: Float[Tensor, "views dim"], temperature: float) -> Float[Tensor, ""]:
    """Return the NT-Xent loss of 2 B views; view i and view i + B show the same image."""
    unit = nn.functional.normalize(vectors.float(), dim=1)
    similarity = unit @ unit.T / temperature
    own = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    partner = torch.arange(len(unit), device=unit.device).roll(len(unit) // 2)
    return nn.functional.cross_entropy(similarity.masked_fill(own, -torch.inf), partner)


SIZES: dict[str, dict[str, Unlabelled]] = {"SimClr": sizes_of(SimClr)}
