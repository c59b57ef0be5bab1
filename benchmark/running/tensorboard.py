"""Training curves for TensorBoard, written beside training rather than by it.

A thread of the parent process follows the logs of runs, so that baselines, worker processes and
isolated submissions know nothing of it, and a run's result cannot depend on it.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from recombine.benchmark.running.training_curves import Tail
from recombine.renderer.core.errors import InvalidInputError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType


class TensorBoard:
    """Copies the curves of logs into event files while it is entered, and once more at its end."""

    def __init__(self, logs: Mapping[str, Path], folder: Path, every_s: float = 5.0) -> None:
        self._writer = _writer()
        self._runs = {name: _Run(Tail(path), folder / name) for name, path in logs.items()}
        self._every_s, self._done = every_s, threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._copy()
        for run in self._runs.values():
            run.close()

    def _follow(self) -> None:
        while not self._done.wait(self._every_s):
            self._copy()

    def _copy(self) -> None:
        for run in self._runs.values():
            # A log rewritten between two looks reads as broken; no run may be lost for a curve.
            with suppress(InvalidInputError):
                run.copy(self._writer)


class _Run:
    """Event files of one run."""

    def __init__(self, tail: Tail, folder: Path) -> None:
        self.tail, self.folder = tail, folder
        self.writer: Any = None

    def copy(self, writer_of: Callable[[str], Any]) -> None:
        events, again = self.tail.events()
        if again:
            self.close()
        scalars = [event for event in events if event.get("event") == "scalar"]
        if scalars and self.writer is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.writer = writer_of(str(self.folder))
        for event in scalars:
            if event["value"] is not None:
                self.writer.add_scalar(event["name"], event["value"], event["step"])
        if scalars:
            self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer = None


def _writer() -> Callable[[str], Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ResourceError(
            "--tensorboard: expected TensorBoard to be installed; it is not. "
            "Run: pip install tensorboard. Without it: recombine results plot training"
        ) from error
    return SummaryWriter
