"""The log of one training run: what was tried and generated, and the training curves."""

from __future__ import annotations

import json
import math
import shutil
import time
from typing import TYPE_CHECKING, Any, Self

from recombine.renderer.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from recombine.benchmark.protocol.contract import TrainBudget


class FileRunLog:
    """A ``RunLog`` that counts, and writes every event as one JSON line."""

    def __init__(self, path: Path, checkpoints: Path | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.checkpoints = checkpoints
        resumes = checkpoints is not None and checkpoints.is_dir() and path.is_file()
        self._before = path.read_bytes() if resumes else b""
        self.generated = 0
        self.configs = 0
        self._begin = time.monotonic()
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

    def state(self) -> dict[str, float]:
        """Return what was counted and written so far, as plain numbers for `restore`."""
        counted = {"generated": self.generated, "configs": self.configs}
        return {**counted, "seconds": self.seconds, "bytes": self._stream.tell()}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from a state of the killed process that wrote this file before."""
        self.generated, self.configs = int(state["generated"]), int(state["configs"])
        self._begin = time.monotonic() - state["seconds"]
        self._stream.seek(0)
        self._stream.truncate()
        self._stream.write(self._before[: int(state["bytes"])])

    def _write(self, event: dict[str, Any]) -> None:
        event["t"] = round(self.seconds, 3)
        self._stream.write((json.dumps(event, default=str) + "\n").encode())


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
