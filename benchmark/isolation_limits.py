"""What isolated code may use, and the names of the reasons for which it is stopped."""

from __future__ import annotations

import functools
import importlib.util
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recombine.renderer.errors import InvalidInputError, ResourceError, UsageError

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


@functools.cache
def library_bytes() -> int:
    """Return the size of torch's shared libraries: 0.4 GiB, or 4 GiB where they bring CUDA."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return 0
    torch = Path(spec.origin).parent
    libraries = [*torch.glob("lib/*.so*"), *torch.parent.glob("nvidia/**/lib/*.so*")]
    return sum(path.stat().st_size for path in libraries)


class RefusedError(InvalidInputError):
    """Isolated code did what a submission may not do, or died.

    Attributes
    ----------
    reason : str
        One of `Reason`; also in brackets in the message.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LimitError(ResourceError):
    """Isolated code used more than `Limits` allow.

    Attributes
    ----------
    reason : str
        One of `RESOURCES`; also in brackets in the message.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def refusal(who: str, reason: Reason, got: str, todo: str) -> RefusedError | LimitError:
    """Return the typed error for a reason.

    Parameters
    ----------
    who : str
        The submission.
    reason : str
        Why it is stopped.
    got : str
        What happened, one line.
    todo : str
        What its author can do.

    Returns
    -------
    RefusedError or LimitError
        Exit code 3, or 4 for a limit.

    Examples
    --------
    >>> str(refusal("x, seed 0", "network", "it called connect", "use local files"))
    'x, seed 0: refused [network]: it called connect; use local files'
    """
    kind = LimitError if reason in RESOURCES else RefusedError
    return kind(reason, f"{who}: refused [{reason}]: {got}; {todo}")
