"""What answering costs: operations, seconds, memory, parameters.

Costs are measured before anything is asked, on test images of both kinds that are changed so
little that the work is the same, and that no call has shown before: remembered answers save
nothing, and who adapts the work to an image is measured on both kinds.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from recombine.benchmark.inference.flops import ELSEWHERE, FlopReport, count_flops
from recombine.benchmark.protocol.contract import Encoder, Inverter
from recombine.benchmark.serving.data import to_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxtyping import Float, UInt8
    from torch import Tensor

    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
MEASURED = 32
COUNTED = 16
COUNTED_STEPS = 3
COUNTS = 3  # tries, when other threads of this process happened to work
CHANGED_PIXELS = 0.1
TEST_SPLITS = ("id_test", "ooc_test")
REPEATS = 7
SECONDS_PER_BATCH_SIZE = 5.0
# GFLOP per CPU second below which operations must have escaped the counter, asked where an image
# of at most 64 x 64 pixels takes so many seconds; slow code reaches 1 and more.
LEAST_RATE, LEAST_SECONDS = 0.05, 2e-3
UNSEEN = "work that the counter did not see"


@dataclass(frozen=True)
class Timing:
    """Seconds per image at one batch size: before any search step, and per step."""

    batch: int  # images per call
    start_median: float  # ``encode``, or ``init`` and ``read``
    start_p95: float  # ``encode``, or ``init`` and ``read``
    step_median: float = 0.0  # one search step; 0 for an encoder
    step_p95: float = 0.0  # one search step; 0 for an encoder


@dataclass(frozen=True)
class Cost:
    """The measured cost of one answer."""

    # 1e9 operations per image, before any step and per step; None when counting failed or missed
    # work that was seen
    start_gflop: float | None
    step_gflop: float | None
    # operators without a formula and how often they ran while counting
    uncounted: Mapping[str, int]
    timings: tuple[Timing, ...]  # one per batch size
    params: int  # numbers held by the method, shared storages once
    # peak memory of tensors on the accelerator while the biggest timed batch was answered; None on
    # a CPU, where `peak_rss` tells
    peak_device_bytes: int | None = None
    # CPU seconds of this process per image, at the greatest batch: before any step, and per step
    start_cpu: float | None = None
    step_cpu: float | None = None

    def gflop_at(self, steps: int) -> float | None:
        """Return 1e9 operations per image after so many search steps."""
        if self.start_gflop is None or self.step_gflop is None:
            return None
        return self.start_gflop + steps * self.step_gflop


def measure_cost(
    method: Encoder | Inverter,
    images: Float[Tensor, "images 3 height width"],
    batches: Sequence[int] = (1, 32),
) -> Cost:
    """Measure a method that is set up, on images like those of `unasked_images`."""
    fresh = _Fresh(images)
    sizes = sorted({min(size, len(images)) for size in batches})
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):  # the answers do not depend on what is drawn here
        start, step, uncounted = _count(method, fresh)
        reset_peak_device(images.device)
        timed = [_time(method, fresh, size) for size in sizes]
        memory = peak_device(images.device)
    timings, (begun, walked) = tuple(one for one, *_ in timed), timed[-1][1:]
    room = LEAST_SECONDS * max(1.0, (images.shape[-1] / 64) ** 2)
    # With several threads they spin while they wait for each other, and no number is small enough.
    alone = images.device.type == "cpu" and torch.get_num_threads() == 1
    if alone and any(
        gflop is not None and seconds > room and gflop < LEAST_RATE * seconds
        for gflop, seconds in ((start, begun.least), (step, walked.least))
    ):
        start, step, uncounted = None, None, {**uncounted, UNSEEN: 1}
    return Cost(
        start, step, uncounted, timings, count_params(method), memory, begun.cpu, walked.cpu
    )


def unasked_images(
    dataset: DatasetLike, key: bytes | None = None, most: int = MEASURED
) -> UInt8[Array, "images height width 3"]:
    """Return changed test images of both kinds, in secret order, to measure costs on."""
    rng = np.random.default_rng(int.from_bytes(key or secrets.token_bytes(16), "big"))
    chosen = [rng.permutation(dataset.indices(name))[: most // 2] for name in TEST_SPLITS]
    images = to_images(dataset.images(rng.permutation(np.concatenate(chosen))))
    changed = one_level(images, torch.Generator().manual_seed(int(rng.integers(2**62))))
    pixels: Array = (changed * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels


def one_level(
    images: Float[Tensor, "images 3 height width"], generator: torch.Generator
) -> Float[Tensor, "images 3 height width"]:
    """Return images of which a tenth of the numbers is one grey level of 255 off."""
    levels = (images * 255).round()
    moved = torch.rand(images.shape, generator=generator).to(images.device) < CHANGED_PIXELS
    return (levels + moved * torch.where(levels < 128, 1.0, -1.0)).div_(255.0)


class _Fresh:
    """Images that no call has shown yet, as many as are wanted."""

    def __init__(self, images: Float[Tensor, "images 3 height width"]) -> None:
        self.images, self.device = images, images.device
        self._generator = torch.Generator().manual_seed(secrets.randbits(62))

    def take(self, n: int) -> Float[Tensor, "n 3 height width"]:
        """Return the first n images, changed anew."""
        return one_level(self.images[:n], self._generator)


def peak_rss() -> int | None:
    """Return this process's peak resident bytes (VmHWM), None where there is no procfs."""
    # ``getrusage`` would report the peak of the process that started this one.
    if not STATUS.is_file():
        return None
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def reset_peak_rss() -> bool:
    """Start the peak anew, so that training does not count as answering."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def peak_device(device: torch.device) -> int | None:
    """Return the peak bytes of tensors on an accelerator since `reset_peak_device`."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def reset_peak_device(device: torch.device) -> None:
    """Start the accelerator's peak anew; nothing to do on a CPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def count_params(method: object) -> int:
    """Return how many numbers a method holds in tensors."""
    sizes: dict[int, int] = {}
    for tensor in _tensors(method, set(), depth=8):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
    return sum(sizes.values())


def _tensors(value: object, seen: set[int], depth: int) -> Iterator[Tensor]:
    if id(value) in seen or depth < 0:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, torch.nn.Module):
        yield from value.parameters()
        yield from value.buffers()
        for child in value.modules():
            # Not the dict itself: its id is free again at once and would be taken for another's.
            for extra in _plain_attributes(child).values():
                yield from _tensors(extra, seen, depth - 1)
    else:
        for child in _children(value):
            yield from _tensors(child, seen, depth - 1)


def _plain_attributes(module: torch.nn.Module) -> dict[str, Any]:
    hidden = {"_parameters", "_buffers", "_modules"}
    return {name: value for name, value in vars(module).items() if name not in hidden}


def _children(value: object) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, type) or (callable(value) and not hasattr(value, "__dict__")):
        return []
    return list(getattr(value, "__dict__", {}).values())


def _start(method: Encoder | Inverter, images: Tensor) -> Any:
    """Answer without search; returns the state of an inverter."""
    if isinstance(method, Inverter):
        state = method.init(images)
        method.read(state)
        return state
    with torch.inference_mode():
        method.encode(images)
    return None


def _count(
    method: Encoder | Inverter, fresh: _Fresh
) -> tuple[float | None, float | None, dict[str, int]]:
    n, tries = min(COUNTED, len(fresh.images)), 0
    while True:
        try:
            start, step = _count_once(method, fresh.take(n))
        except Exception as error:  # a method that cannot run under the counter still has a score
            return None, None, {f"counting failed: {type(error).__name__}": 1}
        uncounted: Counter[str] = start.uncounted + step.uncounted
        tries += 1
        if ELSEWHERE not in uncounted or tries == COUNTS:
            break
    if not (start.complete and step.complete):
        return None, None, dict(uncounted)
    return 1e-9 * start.flops / n, 1e-9 * step.flops / n / COUNTED_STEPS, dict(uncounted)


def _count_once(method: Encoder | Inverter, images: Tensor) -> tuple[FlopReport, FlopReport]:
    start = count_flops(lambda: _start(method, images))
    if not isinstance(method, Inverter):
        return start, FlopReport()
    state = [method.init(images)]

    def walk() -> None:
        for _ in range(COUNTED_STEPS):
            state[0] = method.step(images, state[0])

    return start, count_flops(walk)


def _time(
    method: Encoder | Inverter, fresh: _Fresh, size: int
) -> tuple[Timing, _Seconds, _Seconds]:
    """Return the timing at one batch size, and the seconds of a start and of a step."""
    start = _repeat(lambda images: _start(method, images), fresh, size)
    if not isinstance(method, Inverter):
        return Timing(size, *_summary(start.wall, size)), start, _Seconds([], 0.0, 0.0)
    inverter, searched = method, fresh.take(size)
    state = [inverter.init(searched)]

    def walk(images: Tensor) -> None:
        state[0] = inverter.step(images, state[0])

    step = _repeat(walk, fresh, size, searched)
    return Timing(size, *_summary(start.wall, size), *_summary(step.wall, size)), start, step


class _Seconds(NamedTuple):
    """What some calls took."""

    wall: list[float]  # of every call
    cpu: float  # per image, of this process: the median
    least: float  # per image, of this thread: the least


def _repeat(
    function: Callable[[Tensor], Any], fresh: _Fresh, size: int, same: Tensor | None = None
) -> _Seconds:
    """Return the seconds of at least 3 and up to `REPEATS` calls."""
    function(fresh.take(size) if same is None else same)  # warms up
    seconds: list[float] = []
    cpu: list[float] = []
    own: list[float] = []  # of this thread alone: those of a pool may spin
    while len(seconds) < REPEATS and (len(seconds) < 3 or sum(seconds) < SECONDS_PER_BATCH_SIZE):
        images = fresh.take(size) if same is None else same
        _synchronise(fresh.device)
        begin, busy, here = time.perf_counter(), time.process_time(), time.thread_time()
        function(images)
        _synchronise(fresh.device)
        seconds.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - busy)
        own.append(time.thread_time() - here)
    return _Seconds(seconds, float(np.median(cpu)) / size, min(own) / size)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _summary(seconds: list[float], images: int) -> tuple[float, float]:
    return float(np.median(seconds)) / images, float(np.quantile(seconds, 0.95)) / images
