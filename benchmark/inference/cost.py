"""What answering costs: operations, seconds, memory, parameters."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recombine.benchmark.inference.flops import FlopReport, count_flops
from recombine.benchmark.protocol.contract import Encoder, Inverter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxtyping import Float
    from torch import Tensor

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
COUNTED_STEPS = 3
REPEATS = 7
SECONDS_PER_BATCH_SIZE = 5.0


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

    # 1e9 operations per image, before any step and per step; None when counting failed
    start_gflop: float | None
    # 1e9 operations per image, before any step and per step; None when counting failed
    step_gflop: float | None
    # operators without a formula and how often they ran while counting
    uncounted: Mapping[str, int]
    timings: tuple[Timing, ...]  # one per batch size
    params: int  # numbers held by the method, shared storages once
    # peak memory of tensors on the accelerator while the biggest timed batch was answered; None on
    # a CPU, where `peak_rss` tells
    peak_device_bytes: int | None = None

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
    """Measure a method that is set up."""
    start, step, uncounted = _count(method, images[:4])
    sizes = sorted({min(size, len(images)) for size in batches})
    reset_peak_device(images.device)
    timings = tuple(_time(method, images[:size]) for size in sizes)
    memory = peak_device(images.device)
    return Cost(start, step, uncounted, timings, count_params(method), memory)


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
    method: Encoder | Inverter, images: Tensor
) -> tuple[float | None, float | None, dict[str, int]]:
    scale = 1e-9 / len(images)
    try:
        start = count_flops(lambda: _start(method, images))
        step = FlopReport()
        if isinstance(method, Inverter):
            step = _count_steps(method, images)
    except Exception as error:  # a method that cannot run under the counter still has a score
        return None, None, {f"counting failed: {type(error).__name__}": 1}
    uncounted: Counter[str] = start.uncounted + step.uncounted
    return start.flops * scale, step.flops * scale / COUNTED_STEPS, dict(uncounted)


def _count_steps(method: Inverter, images: Tensor) -> FlopReport:
    state = [method.init(images)]

    def walk() -> None:
        for _ in range(COUNTED_STEPS):
            state[0] = method.step(images, state[0])

    return count_flops(walk)


def _time(method: Encoder | Inverter, images: Tensor) -> Timing:
    size = len(images)
    starts = _repeat(lambda: _start(method, images), images.device)
    if not isinstance(method, Inverter):
        return Timing(size, *_summary(starts, size))
    inverter = method
    state = [inverter.init(images)]

    def walk() -> None:
        state[0] = inverter.step(images, state[0])

    steps = _repeat(walk, images.device)
    return Timing(size, *_summary(starts, size), *_summary(steps, size))


def _repeat(function: Callable[[], Any], device: torch.device) -> list[float]:
    """Return seconds of at least 3 and up to `REPEATS` calls, after one to warm up."""
    function()
    seconds: list[float] = []
    while len(seconds) < REPEATS and (len(seconds) < 3 or sum(seconds) < SECONDS_PER_BATCH_SIZE):
        _synchronise(device)
        begin = time.perf_counter()
        function()
        _synchronise(device)
        seconds.append(time.perf_counter() - begin)
    return seconds


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _summary(seconds: list[float], images: int) -> tuple[float, float]:
    return float(np.median(seconds)) / images, float(np.quantile(seconds, 0.95)) / images
