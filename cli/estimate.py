"""How an estimate of time and disk is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recombine.cli import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.renderer.rendering.estimate import Estimate, Range


TIMES = (("days", 1 / 24), ("hours", 1.0), ("minutes", 60.0))
SIZES = (("TB", 1e-3), ("GB", 1.0), ("MB", 1e3))


def show(name: str, found: Estimate) -> None:
    """Print an estimate as a table, with what it assumes."""
    rows = [
        ("images", f"{found.images:,} at {found.resolution} px", ""),
        ("CPU-s per image", *_cells(found.cpu_seconds)),
        ("CPU-s to start a worker", f"{found.start_seconds:.1f}", ""),
        _row("{} with " + f"{found.workers} workers", found.hours, TIMES),
        _row("{} on disk", found.gigabytes, SIZES),
    ]
    console.table(f"{name} on this machine", ("", "estimate", "95 % interval"), rows)
    console.line(
        f"From {found.samples} renders here; assumes a free core per worker and that other "
        "machines are as fast as this one."
    )


def _row(label: str, value: Range, units: Sequence[tuple[str, float]]) -> tuple[str, str, str]:
    name, factor = next((u for u in units if value.mean * u[1] >= 1), units[-1])
    return label.format(name), *_cells(value.times(factor))


def _cells(value: Range) -> tuple[str, str]:
    return f"{value.mean:.3g}", f"{value.low:.3g} to {value.high:.3g}"
