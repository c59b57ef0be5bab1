"""CPU seconds, which a busy machine does not stretch: of this process, of others, of a whole tree.

Wall-clock seconds say what somebody waits for; whether two measurements of the same work agree is
asked of CPU seconds.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")
LOOKS, LOOK_SECONDS = 50, 0.01


def other_seconds() -> float:
    """Return CPU seconds that other threads and processes than the calling thread spent so far."""
    children = sum(process_seconds(pid) for pid in descendants(os.getpid()) if pid != os.getpid())
    waited = os.times()
    children += waited.children_user + waited.children_system
    return time.process_time() - time.thread_time() + children


def wait_for_idle() -> None:
    """Wait a moment for threads that spin after their last work, as those of OpenMP do."""
    for _ in range(LOOKS):
        before = other_seconds()
        time.sleep(LOOK_SECONDS)
        if other_seconds() - before < LOOK_SECONDS / 100:
            return


def tree_seconds(pid: int) -> float:
    """Return CPU seconds of a process and all that descend from it, in steps of a clock tick."""
    return sum(process_seconds(one) for one in descendants(pid))


def process_seconds(pid: int) -> float:
    """Return CPU seconds of a process and of its children that have ended; 0 when it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0.0
    # The name of the program, in brackets, may hold anything.
    fields = text.rpartition(")")[2].split()
    return TICK * sum(int(value) for value in fields[11:15])


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    with contextlib.suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                for child in (task / "children").read_text().split():
                    yield from descendants(int(child))


class AnswerClock:
    """CPU seconds of this process per image, batch by batch, while it answers."""

    def __init__(self) -> None:
        self.per_image: list[float] = []

    def over(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield batches; what happens until the next one is asked for is the answer."""
        for images in batches:
            begin = time.process_time()
            yield images
            self.per_image.append((time.process_time() - begin) / len(images))

    @property
    def median(self) -> float | None:
        """Return the middle over batches, which a first slow one does not move."""
        return float(np.median(self.per_image)) if self.per_image else None
