"""Running idempotent units of work on any executor: retries, a failure ledger, broken pools.

A unit is a range of images that ends up as one shard. Units share nothing, so the first
complete one wins and any scheduler will do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

from recombine.renderer.core.atomic import disk_error
from recombine.renderer.core.errors import RecombineError, ResourceError
from recombine.renderer.rendering.pool_workers import WorkerDiedError

ATTEMPTS = 3


@dataclass(frozen=True)
class Unit:
    """A contiguous range of images, [start, stop), that becomes shard ``number``."""

    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


Task = Callable[[Unit], None]


def run_units(
    units: Sequence[Unit],
    task: Task,
    make_executor: Callable[[], Executor],
    *,
    done: Callable[[Unit], None],
    ledger: Path,
    describe: Callable[[Unit], str] = lambda unit: f"images {unit.start}..{unit.stop - 1}",
) -> None:
    """Run every unit, retrying those that fail after all others have had their turn.

    Parameters
    ----------
    units : sequence of Unit
        What is left to do.
    task : callable
        Picklable; writes its shard atomically.
    make_executor : callable
        Returns a fresh executor; called again for the units that failed.
    done : callable
        Told of every finished unit, in the calling thread.
    ledger : Path
        ``failures.jsonl``, appended to: time, attempt, unit, inferred reason.
    describe : callable
        Names what a hopeless unit holds, for the error message.

    Raises
    ------
    RecombineError
        At once when a unit meets an error that a retry cannot cure (a full disk, Blender
        missing), or when all is done but units that failed `ATTEMPTS` times.
    """
    left = list(units)
    failed: list[tuple[Unit, str]] = []
    for attempt in range(1, ATTEMPTS + 1):
        if not left:
            return
        failed = _pass(make_executor(), left, task, done)
        for unit, reason in failed:
            _log(ledger, unit, attempt, reason)
        left = [unit for unit, _ in failed]
    if failed:
        raise ResourceError(
            f"render: {'; '.join(describe(u) for u in left[:3])}"
            f"{f' and {len(left) - 3} more shards' if len(left) > 3 else ''} failed {ATTEMPTS} "
            f"times; the last reason was: {failed[0][1]}. Every attempt is in {ledger}. "
            "Run the same command again to resume."
        )


def _pass(
    executor: Executor, units: Sequence[Unit], task: Task, done: Callable[[Unit], None]
) -> list[tuple[Unit, str]]:
    running: dict[Future[None], Unit] = {executor.submit(task, u): u for u in units}
    failed = []
    try:
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                unit = running.pop(future)
                error = _curable(future)
                if error is None:
                    done(unit)
                else:
                    failed.append((unit, _reason(error)))
    except BaseException:
        # The units in flight are lost anyway; do not make the user wait for them.
        _stop_now(executor, list(running))
        raise
    executor.shutdown()
    return sorted(failed, key=lambda f: f[0].number)


def _curable(future: Future[None]) -> BaseException | None:
    try:
        error = future.exception()
    except CancelledError as cancelled:  # a cluster that loses its scheduler cancels what it had
        return cancelled
    if isinstance(error, RecombineError):
        raise error
    return error


def _stop_now(executor: Executor, running: Sequence[Future[None]]) -> None:
    for future in running:
        future.cancel()
    stop = getattr(executor, "stop_now", None)
    if stop is None:
        executor.shutdown(wait=False)
    else:
        stop()


def _log(ledger: Path, unit: Unit, attempt: int, reason: str) -> None:
    row = {"time": time.time(), "attempt": attempt, **asdict(unit), "reason": reason}
    try:
        with ledger.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
    except OSError as error:
        raise disk_error(ledger, error) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, WorkerDiedError):
        return str(error)
    if isinstance(error, BrokenProcessPool):
        return "a worker died (killed from outside, out of memory, or Blender crashed)"
    if isinstance(error, CancelledError):
        return "the executor cancelled it (was its scheduler stopped?)"
    return f"{type(error).__name__}: {error}"
