"""Supervised slot encoder: cross-entropy and pose regression, no generation anywhere.

The non-generative reference: a convolutional encoder with one learned query per slot is trained
on the factor labels of in-combination images and answers in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from recombine.baselines.loop import Precision, Schedule, seeded
from recombine.baselines.recognition import Recognition, RecognitionEncoder, fit_recognition
from recombine.baselines.slots import layout_of
from recombine.benchmark.protocol import MethodCard

if TYPE_CHECKING:
    from recombine.benchmark.data import TrainData
    from recombine.benchmark.protocol import RunLog, TrainBudget

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
    size : str
        Named size that these settings came from.
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
    size: str = "cpu"

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> RecognitionEncoder:
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
        RecognitionEncoder
            The fitted encoder.
        """
        del val
        with seeded(seed):
            model = Recognition(
                layout_of(data.spec),
                data.spec.image_hw,
                width=self.width,
                layers=self.layers,
                pose_weight=self.pose_weight,
                precision=self.precision,
            )
            return fit_recognition(model, data, self.schedule, seed=seed, budget=budget, log=log)


SIZES: dict[str, dict[str, Supervised]] = {
    "Supervised": {
        "tiny": Supervised(width=48, layers=1, schedule=Schedule(steps=120, batch_size=32)),
        "cpu": Supervised(),
        "gpu": Supervised(width=256, layers=4, schedule=Schedule(steps=20_000, batch_size=256)),
    }
}
