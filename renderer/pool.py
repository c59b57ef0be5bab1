"""Running idempotent units of work on any executor: retries, a failure ledger, broken pools.

A unit is a range of images that ends up as one shard. Units share nothing, so the first
complete one wins and any scheduler will do.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

from recombine.renderer.errors import RecombineError, ResourceError

ATTEMPTS = 3
UNITS_PER_WORKER = 16  # workers are replaced after this many shards, which bounds their memory


@dataclass(frozen=True)
class Unit:
    """A contiguous range of images, [start, stop), that becomes shard ``number``."""

    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


Task = Callable[[Unit], None]


def local_pool(workers: int, initializer: Callable[[], None]) -> Callable[[], Executor]:
    """Return a maker of process pools that spawn their workers.

    The pool's own `max_tasks_per_child` is not used: on Python 3.11 it deadlocks once every
    worker has reached it (CPython issue 115634). `run_units` replaces whole pools instead.

    Parameters
    ----------
    workers : int
        Processes.
    initializer : callable
        Runs once in every new worker.
    """

    def make() -> Executor:
        return ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(initializer, os.getpid()),
        )

    return make


def run_units(
    units: Sequence[Unit],
    task: Task,
    make_executor: Callable[[], Executor],
    *,
    done: Callable[[Unit], None],
    ledger: Path,
    per_pool: int | None = None,
) -> None:
    """Run every unit, retrying those that fail.

    Parameters
    ----------
    units : sequence of Unit
        What is left to do.
    task : callable
        Picklable; writes its shard atomically.
    make_executor : callable
        Returns a fresh executor; called again when a pool breaks.
    done : callable
        Told of every finished unit, in the calling thread.
    ledger : Path
        ``failures.jsonl``, appended to.
    per_pool : int, optional
        Units after which the executor is replaced, to bound the memory of its workers.

    Raises
    ------
    RecombineError
        At once when a unit meets an error that a retry cannot cure (a full disk, Blender
        missing), or after `ATTEMPTS` attempts of one unit.
    """
    tries: dict[Unit, int] = dict.fromkeys(units, 0)
    left = list(units)
    while left:
        executor = make_executor()
        batch, later = left[:per_pool], left[len(left[:per_pool]) :]
        try:
            failed = _pass(executor, batch, task, done)
        except BaseException:
            # The units in flight are lost anyway; do not make the user wait for them.
            _stop_now(executor)
            raise
        executor.shutdown()
        for unit, error in failed:
            tries[unit] += 1
            _log(ledger, unit, tries[unit], error)
        left = [unit for unit, _ in failed] + later
        hopeless = [(u, e) for u, e in failed if tries[u] >= ATTEMPTS]
        if hopeless:
            unit, error = hopeless[0]
            raise ResourceError(
                f"render: images {unit.start}..{unit.stop - 1} failed {ATTEMPTS} times; the last "
                f"reason was: {_reason(error)}. Every attempt is in {ledger}. "
                "Run the same command again to resume."
            )


def _pass(
    executor: Executor, units: Sequence[Unit], task: Task, done: Callable[[Unit], None]
) -> list[tuple[Unit, BaseException]]:
    running: dict[Future[None], Unit] = {executor.submit(task, u): u for u in units}
    failed = []
    while running:
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            unit = running.pop(future)
            error = future.exception()
            if isinstance(error, RecombineError):
                raise error
            if error is None:
                done(unit)
            else:
                failed.append((unit, error))
    return failed


def _stop_now(executor: Executor) -> None:
    processes = dict(getattr(executor, "_processes", None) or {})
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes.values():
        process.terminate()


def _start(initializer: Callable[[], None], parent: int) -> None:
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    initializer()


def _die_with(parent: int) -> None:
    # A parent killed with -9 cannot tell its workers; without this they would render on.
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _log(ledger: Path, unit: Unit, attempt: int, error: BaseException) -> None:
    row = {"time": time.time(), "attempt": attempt, **asdict(unit), "reason": _reason(error)}
    with ledger.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(row) + "\n")


def _reason(error: BaseException) -> str:
    if isinstance(error, BrokenProcessPool):
        return "a worker died (killed from outside, out of memory, or Blender crashed)"
    return f"{type(error).__name__}: {error}"
