"""VICReg: views agree, every column varies, no two columns say the same.

``L = 25 * mean squared difference of the views + 25 * mean_j max(0, 1 - sd_j) + 1 * sum_{i != j}
cov_ij^2 / D``, the second term averaged and the third summed over the two views, as in the authors'
code. No negatives.
Source: Bardes et al. 2022, arXiv 2105.04906, Eq. 6. Differs in size, AdamW and views that keep
handedness and colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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
class VicReg(Unlabelled):
    """Settings of VICReg; ``fit`` trains it."""

    card: ClassVar[MethodCard] = MethodCard(
        id="vicreg",
        name="VICReg",
        source="arXiv 2105.04906, Eq. 6",
        note="Weights 25, 25 and 1; projector of 256 columns.",
    )

    similar: float = 25.0  # weights of invariance, variance and covariance
    vary: float = 25.0  # weights of invariance, variance and covariance
    apart: float = 1.0  # weights of invariance, variance and covariance

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> VectorEncoder:
        """Train on images alone; nothing is selected on ``val``."""
        del val
        with seeded(seed):
            trunk = Trunk(self.width, self.dim, data.spec.image_hw)
            model = nn.Sequential(trunk, projector(self.dim, 2 * self.dim, 2 * self.dim))
            weights = self.similar, self.vary, self.apart

            def loss(images: Tensor) -> Tensor:
                return vicreg_loss(model(altered(images)), model(altered(images)), weights)

            fit_unlabelled(
                self, model, loss, data, seed=seed, budget=budget, log=log, name="vicreg"
            )
        return VectorEncoder(trunk, self.dim, data.spec.image_hw)


def vicreg_loss(
    one: Float[Tensor, "images dim"],
    other: Float[Tensor, "images dim"],
    weights: tuple[float, float, float] = (25.0, 25.0, 1.0),
) -> Float[Tensor, ""]:
    """Return the VICReg loss of two views of the same images."""
    one, other = one.float(), other.float()
    total = weights[0] * (one - other).square().mean()
    for view in (one, other):
        centred = view - view.mean(0)
        deviation = (centred.square().sum(0) / max(len(view) - 1, 1) + 1e-4).sqrt()
        total = total + weights[1] * (1 - deviation).clamp_min(0).mean() / 2
        covariance = centred.T @ centred / max(len(view) - 1, 1)
        off = covariance.square().sum() - covariance.diagonal().square().sum()
        total = total + weights[2] * off / view.shape[1]
    return total


SIZES: dict[str, dict[str, Unlabelled]] = {"VicReg": sizes_of(VicReg)}
