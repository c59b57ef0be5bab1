"""Supervised slot encoder: cross-entropy and pose regression, no generation anywhere.

The non-generative reference: a convolutional encoder with one learned query per slot is trained
on the factor labels of in-combination images and answers in one pass.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from recombine.baselines.loop import Precision, Schedule, budget_share, seeded
from recombine.baselines.recognition import (
    Recognition,
    check_spec,
    first_images,
    train_recognition,
)
from recombine.baselines.slots import activate, factors_of, layout_of, slot_vectors, standard
from recombine.benchmark.protocol import MethodCard, SlotOutput

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from recombine.benchmark.data import TrainData
    from recombine.benchmark.protocol import RunLog, SplitSpec, TrainBudget

_SCHEDULE = Schedule(steps=300)


@dataclass(frozen=True)
class Supervised:
    """Settings of the supervised baseline; ``fit`` trains it.

    Attributes
    ----------
    width, layers : int
        Width of tokens and slots, depth of the query transformer.
    pose_weight : float
        Weight of squared errors of continuous factors (standardised) and angles (unit vectors)
        against the cross-entropy of categorical factors.
    schedule : Schedule
        Optimiser settings.
    precision : {"bf16", "float32"}
        Arithmetic of the networks.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised",
        name="Supervised slot encoder",
        inference="direct",
        supervision="supervised",
        source="arXiv 2512.08854, Section 5 (supervised encoder arm)",
        note="Reimplementation; details of the paper's Appendix B unseen. Convolutional encoder "
        "from scratch, one learned query per slot, labels of all factors.",
    )

    width: int = 64
    layers: int = 2
    pose_weight: float = 0.3
    schedule: Schedule = _SCHEDULE
    precision: Precision = "bf16"

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> SupervisedEncoder:
        """Train on in-combination images.

        Parameters
        ----------
        data : TrainData
            Images with factors.
        val : TrainData
            Not used: nothing is selected.
        seed : int
            Seed of weights and order.
        budget : TrainBudget
            The schedule is cut to the image budget; training stops at the time budget.
        log : RunLog
            Gets the loss curve.

        Returns
        -------
        SupervisedEncoder
            The fitted encoder.
        """
        del val
        deadline = None if budget.max_seconds is None else time.monotonic() + budget.max_seconds
        share = budget_share(budget, self.schedule.images + len(data))
        layout = layout_of(data.spec)
        with seeded(seed):
            model = Recognition(
                layout,
                data.spec.image_hw,
                width=self.width,
                layers=self.layers,
                pose_weight=self.pose_weight,
                precision=self.precision,
            )
            first = first_images(data, max(1, int(share * len(data))), seed)
            model.center, model.spread = standard(layout, slot_vectors(layout, first.factors))
            train_recognition(
                model, data, self.schedule.within(share), seed=seed, log=log, deadline=deadline
            )
        return SupervisedEncoder(model)


class SupervisedEncoder:
    """A fitted supervised encoder."""

    def __init__(self, model: Recognition) -> None:
        self.model = model.eval()
        self.slot_dim = model.encoder.norm.normalized_shape[0]

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Check that the images are of the kind trained on, and move there.

        Raises
        ------
        InvalidInputError
            When image size or factors differ from the training data.
        """
        check_spec(spec, self.model.layout, self.model.image_hw)
        self.model.to(device)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return slots ``(B, K, width)`` and the factors that the heads predict."""
        model = self.model
        slots, heads = model.run(images)
        guess = activate(model.layout, heads)
        factors = factors_of(model.layout, guess, model.center, model.spread)
        return SlotOutput(slots=slots, factors=factors)


SIZES: dict[str, dict[str, Supervised]] = {
    "Supervised": {
        "tiny": Supervised(width=48, layers=1, schedule=Schedule(steps=120, batch_size=32)),
        "cpu": Supervised(),
    }
}
