"""A twin of the answering process: forked before the first question, it knows no other answer.

Whatever a method keeps between calls stays in the process that was asked. The twin is asked a
sample of the same images, in another order and after few others: a method that treats images one
by one answers both alike. What shared memory, files or a patched harness carry between the two
processes is not seen.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import TracebackType

    from jaxtyping import UInt8

    from recombine.benchmark.protocol.outputs import Output
    from recombine.renderer.core.types import Array

READY_SECONDS = 60.0
PATIENCE = 20.0  # a busy machine slows the twin down, too
LEAST_SECONDS = 60.0


class Twin:
    """A forked copy of this process that answers batches, or the reason why there is none."""

    def __init__(
        self,
        answer: Callable[[UInt8[Array, "rows height width 3"]], list[Output]],
        device: torch.device,
    ) -> None:
        """Fork; ``answer`` runs in the twin."""
        self.reason = _obstacle(device)  # why there is no twin; empty while there is one
        self._pid = 0
        if not self.reason:
            self._fork(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def ask(
        self, pixels: UInt8[Array, "rows height width 3"], expected_seconds: float
    ) -> list[Output] | None:
        """Return the twin's answer to one batch; None when there is no twin, then or from now on.

        ``expected_seconds`` is what the first process would take.
        """
        if self.reason:
            return None
        try:
            self._pipe.send(pixels)
            found: list[Output] | None = self._receive(LEAST_SECONDS + PATIENCE * expected_seconds)
        except (EOFError, OSError):
            self._give_up("it died")
            return None
        return found

    def _fork(self, answer: Callable[[Any], list[Output]]) -> None:
        self._pipe, other = multiprocessing.Pipe()
        try:
            with warnings.catch_warnings():
                # Python warns of threads: they do not exist in the twin, and if it waits for one
                # it is given up.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pid = os.fork()
        except OSError as error:  # no memory, or no more processes allowed
            self._give_up(f"this system refused to fork: {error.strerror}")
            return
        if self._pid == 0:
            try:
                self._pipe.close()
                _serve(other, answer)
            finally:  # nothing of the first process is run or tidied up here
                os._exit(0)
        other.close()
        try:
            self._receive(READY_SECONDS)
        except (EOFError, OSError):
            self._give_up("it died")

    def _receive(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            self._give_up(f"it did not answer within {seconds:.0f} s")
            return None
        found = self._pipe.recv()
        if isinstance(found, str):
            self._give_up(found)
            return None
        return found

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self._end()

    def _end(self) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0
            self._pipe.close()
        self.reason = self.reason or "it was ended"


def _obstacle(device: torch.device) -> str:
    """Return why this process cannot be forked."""
    if not hasattr(os, "fork") or sys.platform == "darwin":  # Apple's libraries break in a fork
        return "this system cannot fork a process that computes"
    if device.type != "cpu" or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return "a process that uses an accelerator cannot be forked"
    return ""


def _serve(pipe: Connection, answer: Callable[[Any], list[Output]]) -> None:
    """Answer until the first process ends."""
    gc.freeze()  # what the first process has yet to tidy up, such as temporary files, is its own
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    sys.stdout = sys.stderr = os.fdopen(null, "w")  # those of a notebook are no files
    # The threads of a pool do not exist in a twin, and libgomp would wait for them for ever; with
    # one thread it uses no pool.
    torch.set_num_threads(1)
    threadpool_limits(1)
    pipe.send([])
    while True:
        try:
            pixels = pipe.recv()
        except EOFError:
            return
        try:
            found: Any = answer(pixels)
        except BaseException as error:
            found = f"it failed with {type(error).__name__}: {error}"[:200]
        pipe.send(found)
