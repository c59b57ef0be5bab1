"""Asking isolated code batch by batch: no image is in reach before the last answer is given.

Pixels are shown through one small file that both sides map into memory, a batch at a time. After
every batch the inside commits itself with the SHA-256 of its answer; only then comes the next
batch. The answers themselves come back in one file at the end, and must have the promised hashes.
So a learner sees no test image while it trains, and no answer can depend on later images.

Messages have a fixed size: outwards 32 bytes, inwards two 64-bit numbers.
"""

from __future__ import annotations

import hashlib
import os
import select
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recombine.benchmark.isolation_limits import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from jaxtyping import Int, UInt8

    from recombine.benchmark.answering_outputs import Output
    from recombine.benchmark.arrays import Array

ASK, MEASURE = 0, 1
READY = bytes(32)
_NUMBERS = struct.Struct("<qq")


class Interview:
    """The outside: shows batches, keeps the promised hashes.

    Attributes
    ----------
    inherited : tuple of int
        File descriptors for the inside: where it reads numbers, and where it writes hashes.
    promised : list of bytes
        One hash per batch that was answered.
    ready_seconds : float, optional
        When the inside was ready for the first batch, training included.
    error : Exception, optional
        What went wrong on this side.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        batches: Sequence[Int[Array, " rows"]],
        measured: Int[Array, " rows"],
        read: Callable[[Int[Array, " rows"]], UInt8[Array, "rows height width 3"]],
    ) -> None:
        """Prepare the file and the pipes.

        Parameters
        ----------
        path : Path
            New file for the batch that is shown.
        shape : tuple of int
            Height, width and 3.
        batches : sequence of array
            Image indices of every batch, in the order of asking.
        measured : array
            Images on which costs are measured at the end.
        read : callable
            Image indices to pixels.
        """
        room = max(len(one) for one in (*batches, measured))
        self._shown: Array = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            path, mode="w+", dtype=np.uint8, shape=(room, *shape)
        )
        path.chmod(0o444)
        self._batches, self._measured, self._read = batches, measured, read
        ask_in, self._ask = os.pipe()
        self._tell, tell_out = os.pipe()
        self.inherited: tuple[int, ...] = (ask_in, tell_out)
        self.promised: list[bytes] = []
        self.ready_seconds: float | None = None
        self.error: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(time.monotonic(),), daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        for number in (*self.inherited, self._ask, self._tell):
            with suppress(OSError):
                os.close(number)
        self.inherited, self._ask, self._tell = (), -1, -1
        self._shown = np.zeros(0, np.uint8)  # lets go of the file

    def started(self) -> None:
        """Begin, once the inside has its ends of the pipes."""
        for number in self.inherited:
            os.close(number)
        self.inherited = ()
        self._thread.start()

    def _run(self, begin: float) -> None:
        try:
            if self._hear() is None:
                return
            self.ready_seconds = time.monotonic() - begin
            for batch in self._batches:
                self._show(batch, ASK)
                promise = self._hear()
                if promise is None:
                    return
                self.promised.append(promise)
            self._show(self._measured, MEASURE)
        except BrokenPipeError:
            return  # it died; how is known elsewhere
        except Exception as error:
            self.error = error
            os.close(self._ask)  # ends the inside
            self._ask = -1

    def _show(self, indices: Int[Array, " rows"], kind: int) -> None:
        self._shown[: len(indices)] = self._read(indices)
        os.write(self._ask, _NUMBERS.pack(len(indices), kind))

    def _hear(self) -> bytes | None:
        """Return the next 32 bytes, None when there will be none."""
        heard = b""
        while len(heard) < len(READY):
            if self._over.is_set():
                return None
            if not select.select([self._tell], [], [], 0.1)[0]:
                continue
            part = os.read(self._tell, len(READY) - len(heard))
            if not part:
                return None
            heard += part
        return heard


class Listener:
    """The inside: waits for batches, promises answers.

    Attributes
    ----------
    measured : array, optional
        The last batch, on which costs are measured.
    """

    def __init__(self, path: Path, ask: int, tell: int) -> None:
        self._shown: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        self._ask, self._tell = ask, tell
        self.measured: UInt8[Array, "rows height width 3"] | None = None

    def batches(self) -> Iterator[UInt8[Array, "rows height width 3"]]:
        """Yield copies of the batches; between two of them a promise must be made."""
        os.write(self._tell, READY)
        while True:
            count, kind = _NUMBERS.unpack(self._exactly(_NUMBERS.size))
            images = np.array(self._shown[:count])
            if kind == MEASURE:
                self.measured = images
                return
            yield images

    def promise(self, answers: Sequence[Output]) -> None:
        """Commit to the answers to the last batch, one output per step count."""
        os.write(self._tell, digest(answers))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = os.read(self._ask, size - len(data))
            if not part:
                raise EOFError("the harness went away")
            data += part
        return data


def digest(answers: Sequence[Output]) -> bytes:
    """Return the SHA-256 of the answers to one batch.

    Parameters
    ----------
    answers : sequence of Output
        One per step count.

    Returns
    -------
    bytes
        32 of them; every part and its name counts.
    """
    total = hashlib.sha256()
    for output in answers:
        for name in sorted(output):
            total.update(f"{name}\0".encode())
            array = np.ascontiguousarray(output[name])
            total.update(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
    return total.digest()


def check_promises(
    promised: Sequence[bytes], answered: Sequence[tuple[Any, Sequence[Output]]], who: str
) -> None:
    """Check that the answers are those that were promised, batch by batch.

    Parameters
    ----------
    promised : sequence of bytes
        See `Interview`.
    answered : sequence of (anything, answers)
        In the order of asking.
    who : str
        The submission, for messages.

    Raises
    ------
    RefusedError
        "changed-answer".
    """
    given = [digest(answers) for _, answers in answered]
    if given != list(promised):
        changed = sum(a != b for a, b in zip(given, promised, strict=False))
        changed += abs(len(given) - len(promised))
        raise RefusedError(
            "changed-answer",
            f"{who}: refused [changed-answer]: expected the answers as they were given, got other "
            f"ones for {changed} of {len(given)} batches; leave the harness's process alone",
        )
