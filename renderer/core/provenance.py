"""What pixels may depend on beside the plan: versions and the machine."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

PACKAGES = ("bpy", "blenderproc", "numpy", "recombine")
BUILD = (*PACKAGES, "machine", "cpu")  # the same pixels to the last bit are promised when equal
SEVERAL = " | "


def provenance() -> dict[str, str]:
    """Return the versions and the machine of this process."""
    found = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": cpu_name(),
    }
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def combined(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return one record for shards drawn on several machines; differing values are listed."""
    values: dict[str, set[str]] = {}
    for part in parts:
        for key, value in part.items():
            values.setdefault(key, set()).add(value)
    return {key: SEVERAL.join(sorted(found)) for key, found in sorted(values.items())}


def other_build(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return how this build differs from the recorded one; empty when it is the same."""
    return [
        f"{key} {recorded.get(key, 'unknown')} -> {here.get(key, 'unknown')}"
        for key in BUILD
        if recorded.get(key) != here.get(key)
    ]


def cpu_name() -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
