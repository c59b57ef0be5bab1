"""What all supervised encoders without a decoder have in common: settings, training, sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from recombine.baselines.nn.slots import layout_of
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import EarlyStop, Precision, Schedule, seeded
from recombine.baselines.training.slot_encoder import (
    Recognition,
    RecognitionEncoder,
    fit_recognition,
)

if TYPE_CHECKING:
    from torch import nn

    from recombine.baselines.nn.slots import SlotLayout
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData

_SCHEDULE = Schedule(steps=300)


@dataclass(frozen=True)
class SlotSupervision:
    """Settings of a supervised encoder; ``fit`` trains it. A row is a subclass with a card."""

    width: int = 64  # width of tokens and slots, depth of the query transformer
    layers: int = 2  # width of tokens and slots, depth of the query transformer
    # weight of squared errors of continuous factors (standardised) and angles (unit vectors)
    # against the cross-entropy of categorical factors
    pose_weight: float = 0.3
    schedule: Schedule = _SCHEDULE  # optimiser settings
    # looks at the loss on validation images without a new best after which training ends with the
    # best weights, one look every ``look_every`` steps; 0 trains to the end
    patience: int = 0
    look_every: int = 20  # steps between looks
    precision: Precision = "bf16"  # arithmetic of the networks
    size: str = "cpu"  # named size that these settings came from; set by `load_baseline`

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> RecognitionEncoder:
        """Train on in-combination images."""
        with seeded(seed):
            model = self.model(layout_of(data.spec), data.spec.image_hw)
            return fit_recognition(
                model,
                data,
                self.schedule,
                seed=seed,
                budget=budget,
                log=log,
                stop=self._stop(model, val) if self.patience else None,
            )

    def _stop(self, model: Recognition, val: TrainData) -> EarlyStop:
        return EarlyStop(val, model.loss_of, patience=self.patience, every=self.look_every)

    def model(self, layout: SlotLayout, image_hw: tuple[int, int]) -> Recognition:
        """Return the untrained model; rows with another loss override this."""
        return Recognition(
            layout,
            image_hw,
            width=self.width,
            layers=self.layers,
            pose_weight=self.pose_weight,
            precision=self.precision,
            encoder=self.encoder(layout, image_hw),
        )

    def encoder(self, layout: SlotLayout, image_hw: tuple[int, int]) -> nn.Module | None:
        """Return another encoder than the usual one; rows with their own override this."""
        del layout, image_hw
        return None


Row = TypeVar("Row", bound=SlotSupervision)


def supervised_sizes(row: type[Row], times: float = 1, **cpu: Any) -> dict[str, Row]:
    """Return a row's settings at the three sizes: tiny (seconds), cpu (minutes), gpu."""
    tiny = Schedule(steps=round(12 * times), batch_size=16)
    gpu = Schedule(steps=round(20_000 * times), batch_size=256, compile=True)
    return {
        "tiny": row(width=32, layers=1, schedule=tiny),
        "cpu": row(**{"schedule": Schedule(steps=round(300 * times)), **cpu}),
        "gpu": row(width=256, layers=4, schedule=gpu),
    }
