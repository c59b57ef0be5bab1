"""Running idempotent units of work on any executor: retries, a failure ledger, broken pools.

A unit is a range of images that ends up as one shard. Units share nothing, so the first
complete one wins and any scheduler will do.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from recombine.renderer.core import surroundings
from recombine.renderer.core.errors import RecombineError, ResourceError
from recombine.renderer.core.files import disk_error
from recombine.renderer.core.machine import limited

# Worker processes that are replaced one by one: after enough units, too much memory, or a death.

UNITS_PER_WORKER = 16
MAX_RSS = 4 * 2**30
LAST_LINES, LAST_WORDS = 4, 400  # lines and characters that become part of a reason
HEARD = 5.0  # seconds for the last lines of a process that has ended
T = TypeVar("T")


class WorkerDiedError(ResourceError):
    """A worker process ended in the middle of a unit; the message infers why."""


@dataclass(frozen=True)
class Reply:
    """What a worker answers."""

    error: BaseException | None  # what the call raised
    value: Any  # what it returned
    rss: int  # resident memory of the worker afterwards, bytes
    broken: bool  # whether the worker could not even start properly


class WorkerPool(Executor):
    """An executor of spawned processes, each replaced alone when it is worn out."""

    def __init__(
        self,
        workers: int,
        initializer: Callable[[], None],
        *,
        max_rss: int = MAX_RSS,
        units_per_worker: int = UNITS_PER_WORKER,
    ) -> None:
        self._initializer = initializer
        self._max_rss, self._units = max_rss, units_per_worker
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._hired: set[Worker] = set()
        self._closed = False
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a picklable call for the next free worker."""
        if self._closed:
            raise RuntimeError("cannot submit to a pool that was shut down")
        future: Future[T] = Future()
        self._jobs.put((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers after what is queued, or after what is running."""
        if cancel_futures:
            with contextlib.suppress(Exception):
                while True:
                    job = self._jobs.get_nowait()
                    if job is not None:
                        job[0].cancel()
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._jobs.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def stop_now(self) -> None:
        """End the workers at once; what they were doing fails."""
        self.shutdown(wait=False, cancel_futures=True)
        for worker in list(self._hired):
            worker.process.terminate()

    def _serve(self) -> None:
        worker: Worker | None = None
        while (job := self._jobs.get()) is not None:
            future, call = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker = worker or self._hire()
                reply = worker.run(call)
            except Exception as error:
                self._dismiss(worker)
                worker = None
                future.set_exception(error)
                continue
            if worker.is_worn(reply, self._max_rss, self._units):
                self._dismiss(worker)
                worker = None
            if reply.error is None:
                future.set_result(reply.value)
            else:
                future.set_exception(reply.error)
        self._dismiss(worker)

    def _hire(self) -> Worker:
        worker = Worker(self._initializer)
        self._hired.add(worker)
        return worker

    def _dismiss(self, worker: Worker | None) -> None:
        if worker is not None:
            worker.leave()
            self._hired.discard(worker)


START = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from recombine.renderer.rendering.pool import _work
_work()
"""


class Worker:
    """One fresh Python process and the pipe to it; used by one thread at a time."""

    def __init__(self, initializer: Callable[[], None]) -> None:
        self._pipe, theirs = Pipe()
        self._initializer = initializer
        self.units = 0
        words = json.dumps(surroundings.import_path()), str(theirs.fileno()), str(os.getpid())
        with theirs:
            self.process = subprocess.Popen(
                [*surroundings.interpreter(), "-c", START, *words, __file__],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=surroundings.shown(os.environ),
            )
        self._said = _Listener(self.process)
        self._said.start()

    def run(self, call: Callable[[], Any]) -> Reply:
        """Make the process call something picklable."""
        try:
            if not self.units:
                self._pipe.send(self._initializer)
            self.units += 1
            self._pipe.send(call)
            reply = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerDiedError(self._cause()) from error
        if not isinstance(reply, Reply):
            raise WorkerDiedError(f"a worker answered with a {type(reply).__name__}")
        return reply

    def _cause(self) -> str:
        """Return why the process ended, and what it said last."""
        cause = death_cause(self.process.wait())
        words = self._said.last_words()
        return f"{cause}; it said last: {words}" if words else cause

    def is_worn(self, reply: Reply, max_rss: int = MAX_RSS, units: int = UNITS_PER_WORKER) -> bool:
        """Tell whether the process should be replaced after a reply."""
        return reply.broken or reply.rss > max_rss or self.units >= units

    def leave(self) -> None:
        """Let the process end, and wait for it."""
        self._pipe.close()
        self.process.wait()
        self._said.join(HEARD)


class _Listener(threading.Thread):
    """Passes on what a process writes to its standard error, and keeps the last lines."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = process.stderr
        self._lines: deque[bytes] = deque(maxlen=LAST_LINES)

    def run(self) -> None:
        if self._stream is None:
            return
        with self._stream as stream:
            for line in iter(lambda: stream.readline(2**16), b""):
                if line.strip():
                    self._lines.append(line.strip())
                with contextlib.suppress(OSError):  # nobody may read any more
                    os.write(2, line)

    def last_words(self) -> str:
        """Return the last lines of a process that has ended, as one line."""
        self.join(HEARD)  # a child of it may hold the stream open
        text = b" / ".join(self._lines)
        words = "".join(c if c.isprintable() else " " for c in text.decode(errors="replace"))
        return words if len(words) <= LAST_WORDS else f"... {words[-LAST_WORDS:]}"


def local_pool(
    workers: int, initializer: Callable[[], None], *, max_rss: int = MAX_RSS
) -> Callable[[], Executor]:
    """Return a maker of local worker pools."""
    return partial(WorkerPool, workers, initializer, max_rss=max_rss)


def resident_memory() -> int:
    """Return the resident memory of this process, bytes; its peak where only that is told."""
    # Source: `proc(5)`, second field of ``statm``, in pages.
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def die_with(parent: int) -> None:
    """End this process when its parent is gone; a parent killed with -9 cannot tell it."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work() -> None:
    fd, parent = map(int, sys.argv[1:3])
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    with contextlib.suppress(EOFError), Connection(fd) as pipe:
        begin = pipe.recv()
        broken, _ = _attempt(partial(_begin, sys.argv[3], begin))
        while True:
            call = pipe.recv()
            failure, value = (broken, None) if broken else _attempt(call)
            pipe.send(Reply(failure, value, resident_memory(), broken is not None))


def _begin(wanted: str, initializer: Callable[[], None]) -> None:
    """Prepare this process, if it runs the code of the process that started it."""
    if Path(wanted).resolve() != Path(__file__).resolve():
        raise ResourceError(
            f"render: expected workers to run the code of this program, {Path(wanted).parents[2]}; "
            f"they find {Path(__file__).parents[2]}. Start the installed `recombine`, or do not "
            "start Python in a folder that holds a copy named recombine."
        )
    initializer()


def _attempt(call: Callable[[], Any]) -> tuple[BaseException | None, Any]:
    try:
        return None, call()
    except Exception as error:
        return _portable(error), None


def _portable(error: Exception) -> Exception:
    # Some exceptions cannot be rebuilt in another process; their text always can.
    try:
        # As the pipe will send it.
        ForkingPickler.loads(ForkingPickler.dumps(error))  # pyright: ignore[reportAttributeAccessIssue]
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def death_cause(exitcode: int | None) -> str:
    """Say in words why a process with this exit code ended."""
    if exitcode == -signal.SIGKILL:
        return "a worker was killed (SIGKILL): out of memory, or from outside"
    if exitcode in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL):
        memory = limited()
        why = f"; {memory}" if memory else ""
        return f"a worker died: Blender crashed ({signal.Signals(-exitcode).name}{why})"
    return f"a worker died with exit code {exitcode}"


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
    """Run every unit, retrying those that fail after all others have had their turn."""
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
    # A worker that died may be the one that the machine had no memory for; a full disk stays full.
    if isinstance(error, RecombineError) and not isinstance(error, WorkerDiedError):
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
