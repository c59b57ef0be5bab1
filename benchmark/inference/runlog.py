"""One training run and its log: what was tried and generated, and the training curves."""

from __future__ import annotations

import json
import math
import shutil
import time
from typing import TYPE_CHECKING, Any, Self

import torch

from recombine.benchmark.inference.flops import training_counter
from recombine.renderer.core.errors import ResourceError, UsageError
from recombine.renderer.core.files import require_writable, writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from recombine.benchmark.protocol.contract import Learner, TrainBudget
    from recombine.benchmark.serving.data import TrainData


class FileRunLog:
    """A ``RunLog`` that counts, and writes every event as one JSON line."""

    def __init__(self, path: Path, checkpoints: Path | None = None) -> None:
        self.path, self.checkpoints = path, checkpoints
        require_writable(path.parent)
        resumes = checkpoints is not None and checkpoints.is_dir() and path.is_file()
        self._before = path.read_bytes() if resumes else b""
        self.generated = 0
        self.configs = 0
        self._begin, self._cpu_begin = time.monotonic(), time.process_time()
        self._stream = path.open("wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write({"event": "end", "generated": self.generated, "configs": self.configs})
        self._stream.close()

    def count_generated(self, n_images: int) -> None:
        """Count images that the method made itself."""
        if n_images < 0:
            raise UsageError(f"RunLog.count_generated: expected at least 0 images, got {n_images}")
        self.generated += int(n_images)

    def config_tried(self, config: Mapping[str, Any], id_val_score: float) -> None:
        """Record one configuration compared on in-combination validation images."""
        self.configs += 1
        self._write({"event": "config", "config": dict(config), "score": _finite(id_val_score)})

    def scalar(self, name: str, value: float, step: int) -> None:
        """Record one point of a training curve; NaN and infinity are written as null."""
        self._write({"event": "scalar", "name": name, "value": _finite(value), "step": int(step)})

    @property
    def seconds(self) -> float:
        """Return the seconds logged so far, those before a restored state included."""
        return time.monotonic() - self._begin

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU seconds of this process in the same time, those of all its threads."""
        return time.process_time() - self._cpu_begin

    def count_spent(self, seconds: float, cpu_seconds: float) -> None:
        """Count what a part of training took that another run did, and that was found again."""
        self._begin -= seconds
        self._cpu_begin -= cpu_seconds

    def state(self) -> dict[str, float]:
        """Return what was counted and written so far, as plain numbers for `restore`."""
        counted = {"generated": self.generated, "configs": self.configs}
        spent = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        return {**counted, **spent, "bytes": self._stream.tell()}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from a state of the killed process that wrote this file before."""
        self.generated, self.configs = int(state["generated"]), int(state["configs"])
        self._begin = time.monotonic() - state["seconds"]
        self._cpu_begin = time.process_time() - state["cpu_seconds"]
        self._stream.seek(0)
        self._stream.truncate()
        self._stream.write(self._before[: int(state["bytes"])])

    def _write(self, event: dict[str, Any]) -> None:
        event["t"] = round(self.seconds, 3)
        with writing(self.path):
            self._stream.write((json.dumps(event, default=str) + "\n").encode())


# What a training run took, in the form of ``RunFacts.training``, when there was none.
NOT_TRAINED = {"real": 0, "val": 0, "generated": 0, "wall_s": 0.0, "configs": 0}


def fit_learner(
    learner: Learner,
    data: TrainData,
    val: TrainData,
    *,
    seed: int,
    budget: TrainBudget,
    path: Path,
    during: AbstractContextManager[None],
    states: Path | None = None,
) -> tuple[object, dict[str, Any]]:
    """Return what a learner's ``fit`` returns, entered into ``during``, and what it took."""
    torch.manual_seed(seed)
    with FileRunLog(path, states) as log, training_counter(budget.max_gflop) as flops:
        with during:
            method = learner.fit(data, val, seed=seed, budget=budget, log=log)
        wall, cpu = log.seconds, log.cpu_seconds
    return method, {
        "real": data.images_served,
        "val": val.images_served,
        "generated": log.generated,
        "wall_s": wall,
        "cpu_s": cpu,
        "configs": log.configs,
        "gflop": None if flops is None else 1e-9 * flops.report.flops,
    }


def took_too_long(seconds: float, limit: float | None) -> bool:
    """Return whether training exceeded its limit; a learner can only stop between steps."""
    return limit is not None and seconds > 1.1 * limit + 5


def check_training_time(who: str, seconds: float, limit: float | None) -> None:
    """Refuse a training run that exceeded its limit."""
    if limit is not None and took_too_long(seconds, limit):
        raise ResourceError(
            f"{who}: training may take {limit:g} s and took {seconds:.0f} s; train less, or raise "
            "TrainBudget.max_seconds"
        )


def _finite(value: float) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None


def states_folder(out_dir: Path, seed: int, key: str, budget: TrainBudget) -> Path | None:
    """Return where a run keeps the states of its unfinished training."""
    if budget.max_seconds is not None or budget.max_gflop is not None:
        return None
    return out_dir / f".seed-{seed}.{key[:16]}.states"


def drop_states(out_dir: Path, seed: int) -> None:
    """Remove the states of a finished run, and those that older code left."""
    for folder in out_dir.glob(f".seed-{seed}.*.states"):
        shutil.rmtree(folder, ignore_errors=True)
