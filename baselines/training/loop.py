"""The one training loop, and the cache of finished training stages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import safetensors
import safetensors.torch
import torch

from recombine.baselines.training.checkpoint import Checkpoint, drawing, unless_damaged
from recombine.baselines.training.device import compiled, generator_of
from recombine.benchmark.running.training_curves import read_curves
from recombine.benchmark.serving.data import Batch
from recombine.benchmark.submissions.fingerprint import source_sha256
from recombine.renderer.core.errors import UsageError
from recombine.renderer.core.files import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from torch import Tensor, nn

    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData


Precision = Literal["bf16", "float32"]

# A method's settings at the sizes "tiny" (seconds, for tests), "cpu" (minutes) and "gpu" (hours).
Sizes = Mapping[str, Mapping[str, Any]]
BatchT = TypeVar("BatchT")
BatchOut = TypeVar("BatchOut", covariant=True)


@dataclass(frozen=True)
class Schedule:
    """Optimiser settings of one training stage."""

    steps: int  # optimiser steps
    batch_size: int = 64  # real images per step
    # peak learning rate of AdamW, reached after a linear warm-up over the first tenth of the steps
    # and followed by a cosine to zero
    rate: float = 3e-3
    weight_decay: float = 0.1  # decoupled weight decay
    clip: float = 1.0  # largest gradient norm
    compile: bool = False  # train compiled networks, where there is a CUDA device

    @property
    def images(self) -> int:
        """Return the real images that the stage sees at most."""
        return self.steps * self.batch_size

    def within(self, share: float) -> Schedule:
        """Return the schedule with its steps scaled down by a budget share in (0, 1]."""
        return Schedule(**{**asdict(self), "steps": max(1, int(self.steps * share))})


def budget_share(budget: TrainBudget, planned_images: int) -> float:
    """Return how much of a planned training fits into the image budget."""
    if budget.max_images_seen is None:
        return 1.0
    return min(1.0, budget.max_images_seen / max(planned_images, 1))


def deadline_of(budget: TrainBudget) -> float | None:
    """Return the `time.monotonic` value at which a time budget ends, None without one."""
    return None if budget.max_seconds is None else time.monotonic() + budget.max_seconds


def learning_rate(schedule: Schedule, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine to zero."""
    warm = max(1, schedule.steps // 10)
    if step < warm:
        return schedule.rate * (step + 1) / warm
    done = (step + 1 - warm) / max(1, schedule.steps - warm)
    return schedule.rate * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Endless:
    """Batches, epoch after epoch, each in an order of its own."""

    data: TrainData  # served images; a last batch smaller than the others is left out
    batch_size: int  # images per batch, at most the size of the data
    steps: int  # number of batches
    seed: int  # epoch e is ordered by ``seed + e``

    def __iter__(self) -> Iterator[Batch]:
        return self.after(0)

    def after(self, done: int) -> Iterator[Batch]:
        """Yield what follows the first ``done`` batches, which are counted as served."""
        per_epoch = len(self.data) // self.batch_size
        epoch, skipped = divmod(done, per_epoch)
        if epoch:
            self.data.count_again(epoch * per_epoch * self.batch_size)
        done -= skipped
        while done < self.steps:
            batches = self.data.batches(self.batch_size, seed=self.seed + epoch, drop_last=True)
            yield from islice(batches, skipped, min(per_epoch, self.steps - done))
            done, epoch, skipped = done + per_epoch, epoch + 1, 0


class Batches(Protocol[BatchOut]):
    """What `train` asks for: batches of images (`Endless`), or of what was made of them."""

    @property
    def batch_size(self) -> int:
        """Images per batch."""
        ...

    @property
    def steps(self) -> int:
        """Number of batches."""
        ...

    @property
    def seed(self) -> int:
        """What orders them."""
        ...

    def after(self, done: int) -> Iterator[BatchOut]:
        """Yield what follows the first ``done`` batches."""
        ...


def endless(data: TrainData, batch_size: int, steps: int, seed: int) -> Endless:
    """Return ``steps`` batches of at most ``batch_size`` images; see `Endless`."""
    return Endless(data, min(batch_size, len(data)), steps, seed)


def autocast(precision: Precision, device: str = "cpu") -> contextlib.AbstractContextManager[Any]:
    """Return the context in which networks run: bfloat16 where it pays, or plain float32."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")


def train(
    model: nn.Module,
    loss: Callable[[BatchT], Tensor],
    batches: Batches[BatchT],
    schedule: Schedule,
    *,
    log: RunLog,
    name: str,
    deadline: float | None = None,
    stop: EarlyStop | None = None,
) -> None:
    """Train a model in place and leave it in evaluation mode."""
    # Goes on where a killed process stopped, when the log says where; see `Checkpoint`.
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=schedule.rate, weight_decay=schedule.weight_decay, foreach=True
    )
    origin = f"{name} {schedule} {batches.batch_size} {batches.seed}"
    others = {} if stop is None else {"stop": stop}
    kept = Checkpoint(model, optimiser, log, origin, others)
    model.train()
    with compiled(model, schedule.compile):
        for step, batch in enumerate(batches.after(kept.done), kept.done):
            value = _step(optimiser, parameters, loss, batch, schedule, step)
            if step % 20 == 0:
                log.scalar(name, float(value), step)
            if stop is not None and stop.after(step + 1, batches.steps, model, log):
                break
            kept.save(step + 1)
            if deadline is not None and time.monotonic() > deadline:
                break
    if stop is not None:
        stop.give_best(model)
    model.eval()


def _step(
    optimiser: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
    loss: Callable[[BatchT], Tensor],
    batch: BatchT,
    schedule: Schedule,
    step: int,
) -> Tensor:
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(schedule, step)
    value = loss(batch)
    optimiser.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(parameters, schedule.clip)
    optimiser.step()
    return value.detach()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Make everything random inside depend on a seed only, and nothing outside."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = generator_of(seed + 0x5EED)
        token = drawing.set(generator)
        try:
            yield generator
        finally:
            drawing.reset(token)


def cached_stage(
    cache_dir: Path | None,
    identity: Mapping[str, Any],
    build: Callable[[], dict[str, Tensor]],
    log: RunLog | None = None,
) -> tuple[dict[str, Tensor], bool]:
    """Return the tensors of a training stage, from the cache when they are there.

    What the first stage of a run wrote into its log, and what it took, is kept beside the tensors
    and counted again in every run that finds it.
    """
    if cache_dir is None:
        return build(), False
    text = json.dumps({**identity, "torch": torch.__version__}, sort_keys=True, allow_nan=False)
    path = cache_dir / f"stage-{hashlib.sha256(text.encode()).hexdigest()[:24]}.safetensors"
    if path.exists():
        with unless_damaged(path):
            with safetensors.safe_open(path, "pt") as file:
                about = file.metadata() or {}
            tensors = safetensors.torch.load_file(path)
            _count_stage(log, json.loads(about.get("stage", "{}")))
            return tensors, True
    tensors = {key: value.detach().contiguous() for key, value in build().items()}
    with replacing(path) as part:
        safetensors.torch.save_file(tensors, part, {"stage": json.dumps(_told_by_stage(log))})
    return tensors, False


def stage_identity(
    settings: Any, without: Collection[str], data: TrainData, *, seed: int, share: float
) -> dict[str, Any]:
    """Return what a cached stage follows from; settings that come into play later are left out."""
    kept = {name: value for name, value in asdict(settings).items() if name not in without}
    return {
        "settings": kept,
        "source": source_sha256(settings),  # changed code trains anew
        "data": data.fingerprint(),
        "seed": seed,
        "share": share,
    }


def _told_by_stage(log: RunLog | None) -> dict[str, Any]:
    """Return the curves that a log on disk holds so far, and the time that it counted."""
    path = getattr(log, "path", None)
    if path is None:
        return {}
    curves = [[one.name, one.steps, one.values] for one in read_curves("", path)]
    spent = {name: getattr(log, name) for name in ("seconds", "cpu_seconds")}
    return {"curves": curves, "spent": spent}


def _count_stage(log: RunLog | None, told: Mapping[str, Any]) -> None:
    if log is None:
        return
    for name, steps, values in told.get("curves", ()):
        for step, value in zip(steps, values, strict=True):
            log.scalar(name, value, step)
    if told and (count_spent := getattr(log, "count_spent", None)):
        count_spent(**told["spent"])


# Early stopping on in-combination validation images, and on nothing else.

CHUNK = 256


class EarlyStop:
    """Ends training when the loss on ID validation images stops falling.

    Every look is recorded as a configuration tried. Out-of-combination images cannot get here: a
    `TrainData` serves no test split.
    """

    def __init__(
        self,
        val: TrainData,
        loss: Callable[[Batch], Tensor],
        *,
        patience: int,
        every: int,
    ) -> None:
        if min(patience, every) < 1:
            raise UsageError(
                f"early stopping: expected patience and interval of at least 1, got {patience} "
                f"and {every}; set patience to 0 in the settings to train to the end"
            )
        self.val, self.loss = val, loss
        self.patience, self.every = patience, every
        self.best: dict[str, Tensor] = {}
        self.lowest, self.bad = torch.tensor(torch.inf), torch.tensor(0)
        self.looks = torch.tensor(0)

    def after(self, done: int, steps: int, model: nn.Module, log: RunLog) -> bool:
        """Look at the validation loss when it is time to, and say whether training ends."""
        if done % self.every and done != steps:
            return False
        with torch.random.fork_rng():
            value = self._value(model)
        log.scalar("id-val", float(value), done - 1)
        log.config_tried({"steps": done}, -float(value))
        if value < self.lowest:
            self.lowest, self.bad = value, torch.tensor(0)
            self.best = {key: kept.clone() for key, kept in model.state_dict().items()}
        else:
            self.bad = self.bad + 1
        return bool(self.bad >= self.patience)

    def give_best(self, model: nn.Module) -> None:
        """Set the model to the weights with the lowest validation loss so far."""
        if self.best:
            model.load_state_dict(self.best)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state."""
        best = {f"best/{key}": value for key, value in self.best.items()}
        return {"lowest": self.lowest, "bad": self.bad, "looks": self.looks, **best}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take a state back."""
        self.lowest, self.bad = tensors["lowest"], tensors["bad"]
        self.looks = tensors["looks"]
        self.val.count_again(int(self.looks) * len(self.val))
        begin = "best/"
        self.best = {k.removeprefix(begin): v for k, v in tensors.items() if k.startswith(begin)}

    @torch.no_grad()
    def _value(self, model: nn.Module) -> Tensor:
        model.eval()
        whole = self.val.arrays()
        self.looks = self.looks + 1
        total = torch.zeros(())
        for rows in torch.split(torch.arange(len(whole.images)), CHUNK):
            total += len(rows) * self.loss(_take(whole, rows)).cpu()
        model.train()
        return total / len(whole.images)


def _take(batch: Batch, rows: Tensor) -> Batch:
    factors = {key: value[rows] for key, value in batch.factors.items()}
    masks = None if batch.masks is None else batch.masks[rows]
    return Batch(batch.images[rows], factors, masks)
