"""What this machine lends to a process: cores and memory."""

from __future__ import annotations

import os
import resource

WORKER_BYTES = (270_000_000, 700_000_000)
"""Resident memory of a Blender worker at its start, and after some images (measured)."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    # Not on macOS, where a process cannot be tied to cores.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def address_space_limit() -> int | None:
    """Return how many bytes of addresses a process may have; None where it is not limited."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def limited() -> str:
    """Return the words that name a limited address space; empty where there is none."""
    limit = address_space_limit()
    if limit is None:
        return ""
    return (
        f"the address space is limited to {limit / 1e9:.1f} GB, and a Blender worker wants 3 GB: "
        "run `ulimit -v unlimited` first"
    )


def crowding(workers: int) -> str:
    """Return a warning where more workers are asked for than there are cores; else nothing."""
    cores = usable_cores()
    if workers <= cores:
        return ""
    first, later = (f"{workers * size / 1e9:.1f} GB" for size in WORKER_BYTES)
    return (
        f"{workers} workers on {cores} cores: they take about {first} of memory at the start and "
        f"{later} later, and are no faster than --workers {cores}"
    )
