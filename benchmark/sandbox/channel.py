"""The channel to isolated code: it gets no image before it has answered the last one.

Images are sent through one small file that both sides map into memory, a batch at a time. First
come changed images on which costs are measured (`cost.unasked_images`). After every batch of
questions the guest commits itself with the SHA-256 of its answer; only then comes the next
batch. The answers themselves come back in one file at the end, and must have the promised hashes.
So a learner sees no test image while it trains, and no answer can depend on later images.

Some images are asked again of a twin of the guest's process (`inference.twin`), where there is one.

Where the decoder is to be examined, the guest then encodes images and decodes slots on request,
until the host is done (`RemoteProbe`). Those answers are numbers like any other: checked for
shape and range, and never compared with what they are about in there.

Messages have a fixed size: outwards 32 bytes, inwards four 64-bit numbers: how many, what for, and
the shape of slots. Slots go inwards through a second small file; what was encoded or decoded comes
out through the pipe.
"""

from __future__ import annotations

import hashlib
import os
import selectors
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from recombine.benchmark.inference.clocks import tree_seconds
from recombine.benchmark.protocol.outputs import MAX_ABS, MAX_DIM, MAX_SLOTS
from recombine.benchmark.sandbox.data import new_mapped
from recombine.benchmark.sandbox.process import forged
from recombine.benchmark.serving.data import to_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from jaxtyping import Float, Int, UInt8
    from torch import Tensor

    from recombine.benchmark.inference.probe import Probe
    from recombine.benchmark.inference.twin import Twin
    from recombine.benchmark.protocol.outputs import Output
    from recombine.renderer.core.types import Array

QUERY, MEASURE, ENCODE, DECODE, TWIN, DONE = 0, 1, 2, 3, 4, 5
READY = bytes(32)
CAN_DECODE = b"\x01" + bytes(31)
NO_TWIN = b"\x02" + bytes(31)
ROOM = 64
SLOTS = "slots.npy"
_NUMBERS = struct.Struct("<qqqq")
_SHAPE = struct.Struct("<qq")


class Host:
    """The harness's end: sends batches, keeps the promised hashes."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        batches: Sequence[Int[Array, " rows"]],
        measured: UInt8[Array, "rows height width 3"],
        read: Callable[[Int[Array, " rows"]], UInt8[Array, "rows height width 3"]],
        examine: Callable[[RemoteProbe], dict[str, Any]] | None = None,
        of_twin: Sequence[Int[Array, " rows"]] = (),
    ) -> None:
        """Prepare the file and the pipes."""
        room = max(ROOM, *(len(one) for one in (*batches, *of_twin, measured)))
        self._of_twin = of_twin
        self._examine = examine
        self.findings: dict[str, Any] = {}
        self.slots: Array = np.zeros(0, np.float32)
        if examine is not None:
            size = (ROOM * MAX_SLOTS * MAX_DIM,)
            self.slots = new_mapped(path.with_name(SLOTS), np.float32, size)
            path.with_name(SLOTS).chmod(0o444)
        self._images: Array = new_mapped(path, np.uint8, (room, *shape))
        path.chmod(0o444)
        self._batches, self._measured, self._read = batches, measured, read
        self.size = (shape[0], shape[1])
        ask_in, self._ask = os.pipe()
        self._tell, tell_out = os.pipe()
        self._heard = selectors.PollSelector()  # `select` takes no descriptor above 1,023
        self._heard.register(self._tell, selectors.EVENT_READ)
        self.inherited: tuple[int, ...] = (ask_in, tell_out)
        self.promised: list[bytes] = []
        self.ready_seconds: float | None = None
        self.answer_seconds: list[float] = []
        self.answer_cpu: list[float] = []  # CPU seconds of the whole process tree
        self._pid: int | None = None
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
        self._images = self.slots = np.zeros(0, np.uint8)  # lets go of the files

    def started(self, pid: int | None = None) -> None:
        """Begin, once the inside, a process tree, has its ends of the pipes."""
        self._pid = pid
        for number in self.inherited:
            os.close(number)
        self.inherited = ()
        self._thread.start()

    def _run(self, begin: float) -> None:
        try:
            self.receive(len(READY))
            self.ready_seconds = time.monotonic() - begin
            self.send_images(self._measured, MEASURE)
            ready = self.receive(len(READY))
            for batch in self._batches:
                self.send_images(self._read(batch), QUERY)
                sent, busy = time.monotonic(), self._cpu()
                self.promised.append(self.receive(len(READY)))
                self.answer_seconds.append(time.monotonic() - sent)
                self.answer_cpu.append(self._cpu() - busy)
            for batch in self._of_twin:
                self.send_images(self._read(batch), TWIN)
                if (promise := self.receive(len(READY))) == NO_TWIN:
                    break
                self.promised.append(promise)
            if self._examine is not None and ready == CAN_DECODE:
                self.findings = self._examine(RemoteProbe(self))
            os.write(self._ask, _NUMBERS.pack(0, DONE, 0, 0))
        except (BrokenPipeError, _GoneError):
            return  # it died; how is known elsewhere
        except Exception as error:
            self.error = error
            os.close(self._ask)  # ends the inside
            self._ask = -1

    def _cpu(self) -> float:
        return 0.0 if self._pid is None else tree_seconds(self._pid)

    def send_images(self, pixels: UInt8[Array, "rows height width 3"], kind: int) -> None:
        """Put images into the shared file, and say what for."""
        self._images[: len(pixels)] = pixels
        os.write(self._ask, _NUMBERS.pack(len(pixels), kind, 0, 0))

    def send_slots(self, slots: Float[Array, "rows slots dim"]) -> None:
        """Put slots into the shared file, to be decoded."""
        flat = slots.ravel()
        self.slots[: len(flat)] = flat
        os.write(self._ask, _NUMBERS.pack(len(slots), DECODE, *slots.shape[1:]))

    def receive(self, size: int) -> bytes:
        """Return the next bytes from the guest."""
        data = bytearray()
        while len(data) < size:
            if self._over.is_set():
                raise _GoneError
            if not self._heard.select(0.1):
                continue
            part = os.read(self._tell, min(size - len(data), 2**20))
            if not part:
                raise _GoneError
            data += part
        return bytes(data)


class _GoneError(Exception):
    """The guest ended; why is known elsewhere."""


class RemoteProbe:
    """Isolated code as two functions, for ``decoder_report.examine``."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def encode(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return slots; images are rounded to 8 bits on the way, as they are stored."""
        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        self._host.send_images(pixels, ENCODE)
        count, dim = _SHAPE.unpack(self._host.receive(_SHAPE.size))
        if not (1 <= count <= MAX_SLOTS and 1 <= dim <= MAX_DIM):
            raise forged("isolation", "what was asked for", f"slots of shape {count} x {dim}")
        return torch.from_numpy(self._numbers((len(pixels), count, dim)))

    def decode(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Return images."""
        self._host.send_slots(slots.detach().float().numpy())
        height, width = _SHAPE.unpack(self._host.receive(_SHAPE.size))
        if (height, width) != self._host.size:
            raise forged("isolation", "what was asked for", f"images of {height} x {width}")
        return torch.from_numpy(self._numbers((len(slots), 3, height, width)))

    def _numbers(self, shape: tuple[int, ...]) -> Array:
        data = self._host.receive(4 * int(np.prod(shape)))
        array = np.frombuffer(data, "<f4").reshape(shape).copy()
        if not np.all(np.abs(array) <= MAX_ABS):  # also False for NaN
            bad = f"numbers that are not finite or above {MAX_ABS:g}"
            raise forged("isolation", "what was asked for", bad)
        return array


class Guest:
    """The submission's end: waits for batches, promises answers."""

    def __init__(
        self,
        path: Path,
        ask: int,
        tell: int,
        probe: Probe | None = None,
        twin: Twin | None = None,
    ) -> None:
        self._images: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        slots = path.with_name(SLOTS)
        self._slots: Array | None = None
        if probe is not None and slots.exists():
            self._slots = np.load(slots, mmap_mode="r", allow_pickle=False)
        self._probe, self._twin = probe, twin
        self.of_twin: list[list[Output]] = []
        self.no_twin = "" if twin is not None else "none was made"
        self._ask, self._tell = ask, tell

    def measured(self) -> UInt8[Array, "rows height width 3"]:
        """Return the images to measure costs on; `batches` tells the harness that it is done."""
        os.write(self._tell, READY)
        count, *_ = _NUMBERS.unpack(self._exactly(_NUMBERS.size))
        return np.array(self._images[:count])

    def batches(self) -> Iterator[UInt8[Array, "rows height width 3"]]:
        """Yield copies of the batches; between two of them a promise must be made."""
        os.write(self._tell, READY if self._probe is None else CAN_DECODE)
        seconds, answered = 0.0, 0
        while True:
            count, kind, *shape = _NUMBERS.unpack(self._exactly(_NUMBERS.size))
            if kind == DONE:
                return
            images = np.array(self._images[:count])
            if kind == QUERY:
                begin = time.monotonic()
                yield images
                seconds, answered = seconds + time.monotonic() - begin, answered + count
            elif kind == TWIN:
                self._ask_twin(images, seconds * count / max(answered, 1))
            else:
                self._send(self._probed(kind, images, (count, *shape)))

    def _ask_twin(self, images: Array, expected_seconds: float) -> None:
        """Promise the twin's answer, or say that there is no twin."""
        answers = None if self._twin is None else self._twin.ask(images, expected_seconds)
        if answers is not None:
            self.of_twin.append(answers)
            self.promise(answers)
        else:
            self.no_twin = self._twin.reason if self._twin is not None else self.no_twin
            os.write(self._tell, NO_TWIN)

    def _probed(self, kind: int, images: Array, shape: tuple[int, ...]) -> Array:
        """Return encoded images, or decoded slots."""
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
        got = f"other ones for {changed} of {len(given)} batches"
        raise forged(who, "the answers as they were given", got, "changed-answer")
