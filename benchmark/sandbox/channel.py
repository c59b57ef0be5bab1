"""Asking isolated code batch by batch: no image is in reach before the last answer is given.

Pixels are shown through one small file that both sides map into memory, a batch at a time. After
every batch the inside commits itself with the SHA-256 of its answer; only then comes the next
batch. The answers themselves come back in one file at the end, and must have the promised hashes.
So a learner sees no test image while it trains, and no answer can depend on later images.

Where the decoder is to be examined, the inside then encodes images and decodes slots on request,
until the harness is done (`RemoteProbe`). Those answers are numbers like any other: checked for
shape and range, and never compared with what they are about in there.

Messages have a fixed size: outwards 32 bytes, inwards four 64-bit numbers: how many, what for, and
the shape of slots. Slots go inwards through a second small file; what was encoded or decoded comes
out through the pipe.
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

from recombine.benchmark.sandbox.process import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from jaxtyping import Float, Int, UInt8
    from torch import Tensor

    from recombine.benchmark.inference.probe import Probe
    from recombine.benchmark.protocol.outputs import Output
    from recombine.renderer.core.types import Array

ASK, MEASURE, ENCODE, DECODE = 0, 1, 2, 3
READY = bytes(32)
CAN_DECODE = b"\x01" + bytes(31)
ROOM = 64
MOST_SLOTS, MOST_DIM = 64, 512
SLOTS = "slots.npy"
_NUMBERS = struct.Struct("<qqqq")
_SHAPE = struct.Struct("<qq")


class Interview:
    """The outside: shows batches, keeps the promised hashes."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        batches: Sequence[Int[Array, " rows"]],
        measured: Int[Array, " rows"],
        read: Callable[[Int[Array, " rows"]], UInt8[Array, "rows height width 3"]],
        examine: Callable[[RemoteProbe], dict[str, Any]] | None = None,
    ) -> None:
        """Prepare the file and the pipes."""
        room = max(ROOM, *(len(one) for one in (*batches, measured)))
        self._examine = examine
        self.findings: dict[str, Any] = {}
        self.slots: Array = np.zeros(0, np.float32)
        if examine is not None:
            self.slots = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
                path.with_name(SLOTS), mode="w+", dtype=np.float32,
                shape=(ROOM * MOST_SLOTS * MOST_DIM,),
            )  # fmt: skip
            path.with_name(SLOTS).chmod(0o444)
        self._shown: Array = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            path, mode="w+", dtype=np.uint8, shape=(room, *shape)
        )
        path.chmod(0o444)
        self._batches, self._measured, self._read = batches, measured, read
        self.size = (shape[0], shape[1])
        ask_in, self._ask = os.pipe()
        self._tell, tell_out = os.pipe()
        self.inherited: tuple[int, ...] = (ask_in, tell_out)
        self.promised: list[bytes] = []
        self.ready_seconds: float | None = None
        self.answer_seconds: list[float] = []
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
        self._shown = self.slots = np.zeros(0, np.uint8)  # lets go of the files

    def started(self) -> None:
        """Begin, once the inside has its ends of the pipes."""
        for number in self.inherited:
            os.close(number)
        self.inherited = ()
        self._thread.start()

    def _run(self, begin: float) -> None:
        try:
            ready = self._hear()
            if ready is None:
                return
            self.ready_seconds = time.monotonic() - begin
            for batch in self._batches:
                self._show(batch, ASK)
                shown = time.monotonic()
                promise = self._hear()
                self.answer_seconds.append(time.monotonic() - shown)
                if promise is None:
                    return
                self.promised.append(promise)
            if self._examine is not None and ready == CAN_DECODE:
                self.findings = self._examine(RemoteProbe(self))
            self._show(self._measured, MEASURE)
        except (BrokenPipeError, _GoneError):
            return  # it died; how is known elsewhere
        except Exception as error:
            self.error = error
            os.close(self._ask)  # ends the inside
            self._ask = -1

    def _show(self, indices: Int[Array, " rows"], kind: int) -> None:
        self.show(self._read(indices), kind)

    def show(self, pixels: UInt8[Array, "rows height width 3"], kind: int) -> None:
        """Put images into the shared file, and say what for."""
        self._shown[: len(pixels)] = pixels
        os.write(self._ask, _NUMBERS.pack(len(pixels), kind, 0, 0))

    def hand(self, slots: Float[Array, "rows slots dim"]) -> None:
        """Put slots into the shared file, to be decoded."""
        flat = slots.ravel()
        self.slots[: len(flat)] = flat
        os.write(self._ask, _NUMBERS.pack(len(slots), DECODE, *slots.shape[1:]))

    def heard(self, size: int) -> bytes:
        """Return so many bytes from the inside."""
        found = self._hear(size)
        if found is None:
            raise _GoneError
        return found

    def _hear(self, size: int = len(READY)) -> bytes | None:
        """Return the next bytes, None when there will be none."""
        heard = bytearray()
        while len(heard) < size:
            if self._over.is_set():
                return None
            if not select.select([self._tell], [], [], 0.1)[0]:
                continue
            part = os.read(self._tell, min(size - len(heard), 2**20))
            if not part:
                return None
            heard += part
        return bytes(heard)


class _GoneError(Exception):
    """The inside ended; why is known elsewhere."""


class RemoteProbe:
    """Isolated code as two functions, for ``metrics_examine.examine``."""

    def __init__(self, interview: Interview) -> None:
        self._interview = interview

    def encode(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return slots; images are rounded to 8 bits on the way, as they are stored."""
        import torch

        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        self._interview.show(pixels, ENCODE)
        count, dim = _SHAPE.unpack(self._interview.heard(_SHAPE.size))
        if not (1 <= count <= MOST_SLOTS and 1 <= dim <= MOST_DIM):
            raise _forged(f"slots of shape {count} x {dim}")
        return torch.from_numpy(self._numbers((len(pixels), count, dim), 1e6))

    def decode(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Return images."""
        import torch

        self._interview.hand(slots.detach().float().numpy())
        height, width = _SHAPE.unpack(self._interview.heard(_SHAPE.size))
        if (height, width) != self._interview.size:
            raise _forged(f"images of {height} x {width}")
        return torch.from_numpy(self._numbers((len(slots), 3, height, width), 1e6))

    def _numbers(self, shape: tuple[int, ...], most: float) -> Array:
        data = self._interview.heard(4 * int(np.prod(shape)))
        array = np.frombuffer(data, "<f4").reshape(shape).copy()
        if not np.all(np.abs(array) <= most):  # also False for NaN
            raise _forged(f"numbers that are not finite or above {most:g}")
        return array


def _forged(got: str) -> RefusedError:
    return RefusedError(
        "no-answer",
        f"isolation: refused [no-answer]: expected what was asked for, got {got}; leave the "
        "harness's process alone",
    )


class Listener:
    """The inside: waits for batches, promises answers."""

    def __init__(self, path: Path, ask: int, tell: int, probe: Probe | None = None) -> None:
        self._shown: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        slots = path.with_name(SLOTS)
        self._slots: Array | None = None
        if probe is not None and slots.exists():
            self._slots = np.load(slots, mmap_mode="r", allow_pickle=False)
        self._probe = probe
        self._ask, self._tell = ask, tell
        self.measured: UInt8[Array, "rows height width 3"] | None = None

    def batches(self) -> Iterator[UInt8[Array, "rows height width 3"]]:
        """Yield copies of the batches; between two of them a promise must be made."""
        os.write(self._tell, READY if self._probe is None else CAN_DECODE)
        while True:
            count, kind, *shape = _NUMBERS.unpack(self._exactly(_NUMBERS.size))
            images = np.array(self._shown[:count])
            if kind == MEASURE:
                self.measured = images
                return
            if kind == ASK:
                yield images
            else:
                self._send(self._probed(kind, images, (count, *shape)))

    def _probed(self, kind: int, images: Array, shape: tuple[int, ...]) -> Array:
        """Return encoded images, or decoded slots."""
        import torch

        from recombine.benchmark.serving.data import to_images

        if self._probe is None or self._slots is None:
            raise EOFError("the harness asked for a decoder, and there is none")
        if kind == ENCODE:
            return self._probe.encode(to_images(images)).numpy()
        slots = np.array(self._slots[: int(np.prod(shape))]).reshape(shape)
        return self._probe.decode(torch.from_numpy(slots)).numpy()

    def _send(self, array: Array) -> None:
        view = memoryview(_SHAPE.pack(*array.shape[-2:]) + array.astype("<f4").tobytes())
        while view:
            view = view[os.write(self._tell, view) :]

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
    """Return the SHA-256 of the answers to one batch."""
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
    """Check that the answers are those that were promised, batch by batch."""
    given = [digest(answers) for _, answers in answered]
    if given != list(promised):
        changed = sum(a != b for a, b in zip(given, promised, strict=False))
        changed += abs(len(given) - len(promised))
        raise RefusedError(
            "changed-answer",
            f"{who}: refused [changed-answer]: expected the answers as they were given, got other "
            f"ones for {changed} of {len(given)} batches; leave the harness's process alone",
        )
