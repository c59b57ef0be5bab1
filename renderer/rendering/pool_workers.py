"""Worker processes that are replaced one by one: after enough units, too much memory, or a death.

The standard process pool cannot do it: its `max_tasks_per_child` deadlocks on Python 3.11 once
every worker has reached it (CPython issue 115634), it knows no memory bound, one dead worker
breaks the whole pool, and daemonic processes, such as the workers of a cluster, may have none.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

UNITS_PER_WORKER = 16
MAX_RSS = 4 * 2**30
T = TypeVar("T")


class WorkerDiedError(RuntimeError):
    """A worker process ended in the middle of a unit; the message infers why."""


@dataclass(frozen=True)
class Reply:
    """What a worker answers.

    Attributes
    ----------
    error : BaseException or None
        What the call raised.
    value : object
        What it returned.
    rss : int
        Resident memory of the worker afterwards, bytes.
    broken : bool
        Whether the worker could not even start properly.
    """

    error: BaseException | None
    value: Any
    rss: int
    broken: bool


class WorkerPool(Executor):
    """An executor of spawned processes, each replaced alone when it is worn out.

    Parameters
    ----------
    workers : int
        Processes.
    initializer : callable
        Runs once in every new worker; what it raises fails the unit that asked for the worker.
    max_rss : int
        Bytes of resident memory above which a worker is replaced after its unit.
    units_per_worker : int
        Units after which a worker is replaced whatever its memory.
    """

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


class Worker:
    """One fresh Python process and the pipe to it; used by one thread at a time.

    Parameters
    ----------
    initializer : callable
        Picklable; runs once in the process.
    """

    def __init__(self, initializer: Callable[[], None]) -> None:
        self._pipe, theirs = Pipe()
        self.units = 0
        code = "from recombine.renderer.rendering.pool_workers import _work; _work()"
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._pipe.send(sys.path)
        self._pipe.send(initializer)

    def run(self, call: Callable[[], Any]) -> Reply:
        """Make the process call something picklable.

        Raises
        ------
        WorkerDiedError
            When the process ends meanwhile.
        """
        self.units += 1
        try:
            self._pipe.send(call)
            reply = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerDiedError(death_cause(self.process.wait())) from error
        if not isinstance(reply, Reply):
            raise WorkerDiedError(f"a worker answered with a {type(reply).__name__}")
        return reply

    def is_worn(self, reply: Reply, max_rss: int = MAX_RSS, units: int = UNITS_PER_WORKER) -> bool:
        """Tell whether the process should be replaced after a reply."""
        return reply.broken or reply.rss > max_rss or self.units >= units

    def leave(self) -> None:
        """Let the process end, and wait for it."""
        self._pipe.close()
        self.process.wait()


def local_pool(
    workers: int, initializer: Callable[[], None], *, max_rss: int = MAX_RSS
) -> Callable[[], Executor]:
    """Return a maker of local worker pools.

    Parameters
    ----------
    workers : int
        Processes.
    initializer : callable
        Runs once in every new worker.
    max_rss : int
        Bytes of resident memory above which a worker is replaced after its unit.
    """
    return partial(WorkerPool, workers, initializer, max_rss=max_rss)


def resident_memory() -> int:
    """Return the resident memory of this process, bytes; its peak where the system tells only that.

    Source: `proc(5)`, second field of ``statm``, in pages.
    """
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
    fd, parent = map(int, sys.argv[1:])
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    with contextlib.suppress(EOFError), Connection(fd) as pipe:
        sys.path[:] = pipe.recv()
        broken, _ = _attempt(pipe.recv())
        while True:
            call = pipe.recv()
            failure, value = (broken, None) if broken else _attempt(call)
            pipe.send(Reply(failure, value, resident_memory(), broken is not None))


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
        return f"a worker died: Blender crashed ({signal.Signals(-exitcode).name})"
    return f"a worker died with exit code {exitcode}"
