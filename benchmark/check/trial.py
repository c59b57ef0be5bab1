"""A submission on trial: fitted for a moment, set up, and asked about toy images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from recombine.benchmark.inference.runlog import took_too_long
from recombine.benchmark.protocol.contract import Encoder, Inverter, SlotOutput, TrainBudget
from recombine.benchmark.protocol.outputs import MAX_SLOTS
from recombine.benchmark.serving.data import FIELDS_OF_TRACK, TrainData, split_spec, to_images
from recombine.benchmark.submissions.loading import check_fitted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float
    from torch import Tensor

    from recombine.benchmark.protocol.contract import Learner, MethodCard
    from recombine.benchmark.serving.toy_data import ToyDataset
    from recombine.renderer.core.types import Array

FIT_SECONDS = 20.0
"""Offered as the budget; whoever ignores it, as `score` without a limit allows, goes on."""
LONGEST_CPU_SECONDS = 300.0
FEW = 8


class BrokenError(Exception):
    """A clause is broken. Arguments: what was expected and what came; what to do."""

    def __init__(self, why: str, todo: str) -> None:
        super().__init__(why)
        self.why, self.todo = why, todo


class DoubtError(BrokenError):
    """A clause holds, but something about it deserves a look."""


class TrialData(TrainData):
    """Training data that end a trial when it has used much CPU time, on however busy a machine."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begin = time.process_time()

    def _count(self, n: int) -> None:
        super()._count(n)
        if time.process_time() - self._begin > LONGEST_CPU_SECONDS:
            raise DoubtError(
                f"training did not end within {LONGEST_CPU_SECONDS:g} CPU seconds "
                f"({self.images_served:,} images), so what it returns was not tried; score sets "
                "no such limit",
                "check it with fewer steps, or stop when budget.max_seconds is over",
            )


class QuietLog:
    """A ``RunLog`` that only counts."""

    def __init__(self) -> None:
        self.generated = 0

    def count_generated(self, n_images: int) -> None:
        """Count."""
        self.generated += n_images

    def config_tried(self, config: Mapping[str, Any], id_val_score: float) -> None:
        """Do nothing."""

    def scalar(self, name: str, value: float, step: int) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Trial:
    """A method that is set up, and the images it is tried on."""

    method: Encoder | Inverter  # after ``setup``
    # ``(32, 3, H, W)`` float32 in [0, 1]; never handed out, only copies are
    images: Float[Tensor, "images 3 height width"]
    slots_needed: int  # slots of the scene
    slots_allowed: int = MAX_SLOTS  # fewer where they are matched on masks

    def outputs(self, images: Float[Tensor, "images 3 height width"]) -> list[Any]:
        """Return what the method answers: before search, and after two steps of one."""
        if not isinstance(self.method, Inverter):
            with torch.inference_mode():
                return [self.method.encode(images)]
        state = self.method.init(images)
        first = detached(self.method.read(state))
        for _ in range(2):
            state = self.method.step(images, state)
        return [first, detached(self.method.read(state))]

    def slots(self, images: Float[Tensor, "images 3 height width"]) -> list[Array]:
        """Return the slots of every output, ``(B, S, D)``."""
        return [one.slots.detach().float().cpu().numpy() for one in self.outputs(images.clone())]


def detached(output: Any) -> Any:
    """Return a copy that later steps cannot change."""
    if not isinstance(output, SlotOutput):
        return output

    def copy(value: Any) -> Any:
        return value.detach().clone() if isinstance(value, torch.Tensor) else value

    return SlotOutput(copy(output.slots), copy(output.presence), copy(output.masks), output.factors)


def fit(submission: Learner, card: MethodCard, data: ToyDataset) -> tuple[Any, str]:
    """Train for a moment; return what came out, and what it took."""
    fields = FIELDS_OF_TRACK[card.supervision]
    served, val = (TrialData(data, name, fields=fields) for name in ("id_train", "id_val"))
    budget, log = TrainBudget(max_seconds=FIT_SECONDS), QuietLog()
    torch.manual_seed(0)
    begin = time.monotonic()
    method = submission.fit(served, val, seed=0, budget=budget, log=log)
    seconds = time.monotonic() - begin
    check_fitted(method, card.id)
    text = f"{seconds:.1f} s, {served.images_served} images seen, {log.generated} generated"
    if took_too_long(seconds, FIT_SECONDS):
        text += (
            f" (its budget said {FIT_SECONDS:g} s; a run with TrainBudget.max_seconds is refused)"
        )
    return method, f"{text}; labels served: {', '.join(fields) or 'none'}"


def setup(method: Encoder | Inverter, data: ToyDataset) -> Trial:
    """Set a method up on the CPU."""
    spec = split_spec(data)
    torch.manual_seed(0)
    method.setup(spec, torch.device("cpu"))
    images = to_images(data.images(data.indices("id_val")[:32]))
    return Trial(method, images, spec.max_slots)
