"""One process tree under watch: wall-clock time, memory of all together, processes, decoys."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import resource
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recombine.benchmark.inference.clocks import PROC, descendants
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recombine.benchmark.sandbox.bubblewrap import DecoyWatch


POLL_SECONDS = 0.1
GRACE_SECONDS = 2.0
LAST_WORDS_SECONDS = 10.0  # for output of a process that has ended; one that escaped may hold it
KEPT_OUTPUT = 65_536
NO_ROOM = 28
"""Exit status of the inside when the disk is full on which it leaves its answer (ENOSPC)."""


@dataclass(frozen=True)
class Ended:
    """How a process tree ended."""

    code: int  # exit status; negative or above 128 for a signal
    output: str  # the last 64 KiB that it printed
    stopped: Reason | None  # the limit for which it was stopped from outside
    detail: str  # what was measured then
    seconds: float  # wall-clock seconds


@dataclass(frozen=True)
class Usage:
    """What a process tree uses now: bytes of own memory, and processes with their threads."""

    memory: int
    tasks: int


def run_watched(
    argv: Sequence[str],
    *,
    limits: Limits,
    environment: Mapping[str, str],
    inherited: Sequence[int] = (),
    decoys: DecoyWatch | None = None,
    started: Callable[[int], None] | None = None,
) -> Ended:
    """Run a command until it ends or breaks a limit; then nothing of it is left."""
    begin = time.monotonic()
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        pass_fds=tuple(inherited),
        start_new_session=True,
    )
    tail = _Tail(process)
    try:
        if started is not None:
            started(process.pid)
        stopped, detail = _watch(process, limits, decoys, begin)
    finally:
        _end(process)
        output = tail.finish()
    if stopped is None and decoys is not None and (names := decoys.opened()):
        stopped, detail = "label-decoy", names[0]
    return Ended(process.returncode, output, stopped, detail, time.monotonic() - begin)


def usage(pid: int) -> Usage:
    """Return what a process and all its descendants use."""
    # Memory is what they do not share with files; pages shared between processes after a fork count
    # once where the system tells, and once per process elsewhere.
    status = [s for p in descendants(pid) if (s := _status(p)) is not None]
    memory = sum(s.get("RssAnon", 0) for s in status)
    memory += max((s.get("RssShmem", 0) for s in status), default=0)
    return Usage(memory * 1024, sum(s.get("Threads", 1) for s in status))


def proportional_memory(pid: int) -> int | None:
    """Return bytes of own memory of a process tree, shared pages once; None when not told."""
    total = 0
    for one in descendants(pid):
        try:
            text = (PROC / str(one) / "smaps_rollup").read_text()
        except PermissionError:
            return None
        except OSError:  # it ended meanwhile
            continue
        values = dict(line.split(":", 1) for line in text.splitlines()[1:])
        kinds = ("Pss_Anon", "Pss_Shmem")
        total += sum(int(values.get(kind, "0 kB").split()[0]) for kind in kinds)
    return total * 1024


def _status(pid: int) -> dict[str, int] | None:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    pairs = (line.split(":", 1) for line in lines)
    wanted = ("RssAnon", "RssShmem", "Threads")
    return {name: int(value.split()[0]) for name, value in pairs if name in wanted}


def _watch(
    process: subprocess.Popen[bytes], limits: Limits, decoys: DecoyWatch | None, begin: float
) -> tuple[Reason | None, str]:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
            return None, ""
        if decoys is not None and (names := decoys.opened()):
            return "label-decoy", names[0]
        spent = time.monotonic() - begin
        if spent > limits.seconds:
            return "time-limit", f"{spent:.0f} s"
        now = usage(process.pid)
        if now.tasks > limits.processes + 4:  # bubblewrap's own
            return "process-limit", f"{now.tasks} processes and threads"
        if now.memory > limits.memory_bytes:
            exact = proportional_memory(process.pid)
            if exact is None or exact > limits.memory_bytes:
                return "memory-limit", f"{(exact or now.memory) / 2**30:.1f} GiB"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole session: politely, then not. bubblewrap takes its namespace with it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
            if number == signal.SIGKILL:
                return


class _Tail:
    """Reads all that a process prints, so that it never blocks, and keeps the end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._stream = process.stdout
        self._kept = b""
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        if self._stream is None:
            return
        with self._stream:  # closed here, for a busy machine may take longer than the grace
            while part := self._stream.read1(KEPT_OUTPUT):  # type: ignore[attr-defined]
                self._kept = (self._kept + part)[-KEPT_OUTPUT:]

    def finish(self) -> str:
        self._thread.join(LAST_WORDS_SECONDS)
        return self._kept.decode("utf-8", "replace")


# What isolated code may use, and the names of the reasons for which it is stopped.

GIB = 2**30
MIB = 2**20

Backend = Literal["bubblewrap", "subprocess"]
Reason = Literal[
    "time-limit",
    "memory-limit",
    "process-limit",
    "output-limit",
    "network",
    "outside-file",
    "label-decoy",
    "blocked-call",
    "crashed",
    "no-answer",
    "changed-answer",
    "batch-statistics",
    "not-repeatable",
    "places-by-masks",
    "too-many-slots",
    "memory-between-calls",
    "brought-data",
]
RESOURCES = frozenset({"time-limit", "memory-limit", "process-limit", "output-limit"})


@dataclass(frozen=True)
class Limits:
    """What one run of a submission may use.

    Attributes
    ----------
    memory_bytes : int
        Address space of each process (``RLIMIT_AS``; not with a GPU, whose driver reserves far
        more than it uses), and resident memory of all together, sampled ten times a second.
    processes : int
        Processes and threads.
    seconds : float
        Wall-clock seconds of one run: loading, training and answering.
    scratch_bytes : int
        Room in ``/tmp``, which vanishes with the run, and in ``/dev/shm``.
    answer_bytes : int
        Size of the one file that comes back.
    """

    memory_bytes: int = 16 * GIB
    processes: int = 256
    seconds: float = 24 * 3600.0
    scratch_bytes: int = 1 * GIB
    answer_bytes: int = 4 * GIB

    def __post_init__(self) -> None:
        sizes = (self.memory_bytes, self.scratch_bytes, self.answer_bytes)
        if min(sizes) < MIB or self.processes < 1 or not self.seconds > 0:
            raise UsageError(
                "Limits: expected at least 1 MiB of memory, scratch and answer, 1 process and more "
                f"than 0 seconds; got {self}"
            )

    def apply(self, *, threads: int, mapped_bytes: int, gpu: bool, count_processes: bool) -> None:
        """Limit this process and all that it starts. Cannot be undone without privileges.

        Parameters
        ----------
        threads : int
            Threads of the tensor library; CPU seconds are wall-clock seconds times this.
        mapped_bytes : int
            Size of the files of pixels and of torch's libraries, which are mapped into memory but
            do not belong to the submission.
        gpu : bool
            Leave the address space alone.
        count_processes : bool
            Limit processes by the kernel. Only where the user has no others.
        """
        cpu = int(self.seconds * max(threads, 1)) + 60
        limits = {
            resource.RLIMIT_CPU: cpu,
            resource.RLIMIT_FSIZE: max(self.answer_bytes, self.scratch_bytes),
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_NOFILE: 4096,
        }
        if not gpu:
            limits[resource.RLIMIT_AS] = self.memory_bytes + mapped_bytes
        if count_processes:
            limits[resource.RLIMIT_NPROC] = self.processes
        for kind, value in limits.items():
            hard = resource.getrlimit(kind)[1]
            allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (allowed, allowed))


class RefusedError(InvalidInputError):
    """Isolated code did what a submission may not do, or died."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LimitError(ResourceError):
    """Isolated code used more than `Limits` allow."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def forged(
    who: str, expected: str, got: str, reason: Literal["no-answer", "changed-answer"] = "no-answer"
) -> RefusedError:
    """Return the error for an answer that the protocol's methods cannot have given."""
    return RefusedError(
        reason,
        f"{who}: refused [{reason}]: expected {expected}, got {got}; leave the harness's process "
        "alone",
    )


def refusal(who: str, reason: Reason, got: str, todo: str) -> RefusedError | LimitError:
    """Return the typed error for a reason."""
    kind = LimitError if reason in RESOURCES else RefusedError
    return kind(reason, f"{who}: refused [{reason}]: {got}; {todo}")


@functools.cache
def library_bytes() -> int:
    """Return the size of torch's shared libraries: 0.4 GiB, or 4 GiB where they bring CUDA."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return 0
    torch = Path(spec.origin).parent
    libraries = [*torch.glob("lib/*.so*"), *torch.parent.glob("nvidia/**/lib/*.so*")]
    return sum(path.stat().st_size for path in libraries)
