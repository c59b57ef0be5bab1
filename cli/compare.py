"""`compare`: two result files, their difference, and whether it is real."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from recombine.benchmark.statistics.compare import Comparison, Contrast

COLUMNS = ("score", "A", "B", "A - B", "95 % interval", "p", "verdict")


@dataclass(frozen=True)
class Compare:
    """Say whether two entries really differ, from their result files alone.

    Both must have answered the same images under the same metric version; anything else is
    refused. Cells (combinations) are paired, training seeds are not. The verdict is Holm's at a
    family-wise error of 5 %, within the three headline scores and within the factors. Where two
    entries cannot be told apart, the smallest detectable difference says what could have been
    seen: "no difference found" is not "no difference".

    Example: recombine compare runs/results/a.json runs/results/b.json
    """

    first: Annotated[Path, tyro.conf.Positional]
    """Result file A."""
    second: Annotated[Path, tyro.conf.Positional]
    """Result file B."""
    json: bool = False
    """Print JSON instead of tables."""

    def run(self) -> int:
        """Compare and print."""
        from recombine.benchmark.results.result import Result
        from recombine.benchmark.statistics.compare import compare_results

        mine, theirs = Result.load(self.first), Result.load(self.second)
        found = compare_results(mine, theirs)
        if self.json:
            ids = {"first": mine.result_id, "second": theirs.result_id}
            say.emit({**ids, **asdict(found)})
            return 0
        for letter, one in (("A", mine), ("B", theirs)):
            n = f"{len(one.seeds)} seeds, {one.data.n_train:,} training images"
            say.line(f"{letter}: {one.method.name}, {one.method.inference}, {n}")
        _show(found)
        return 0


def _show(found: Comparison) -> None:
    say.table("joint slot accuracy, %", COLUMNS, [_row(c, 100) for c in found.headline])
    if found.factors:
        say.table(
            "OOC factor scores (1 perfect, 0 chance)", COLUMNS, [_row(c, 1) for c in found.factors]
        )
    if found.detectable is not None and found.power is not None:
        say.line(
            f"This pair of designs notices an OOC difference of {100 * found.detectable:.1f} "
            f"points with 80 % power, and one of 5 points {100 * found.power:.0f} % of the time."
        )
    for caveat in found.caveats:
        say.line(f"note: {caveat}")


def _row(contrast: Contrast, unit: float) -> tuple[str, ...]:
    digits = 1 if unit == 100 else 3
    difference = contrast.difference
    interval, p_value, verdict = "none", "none", "no test"
    if difference.ci95 is not None and difference.p_value is not None:
        low, high = difference.ci95
        interval = f"{unit * low:+.{digits}f} to {unit * high:+.{digits}f}"
        p_value = f"{difference.p_value:.3f}" if difference.p_value >= 0.001 else "< 0.001"
        better = "A higher" if difference.value > 0 else "B higher"
        verdict = better if contrast.real else "not told apart"
    return (
        contrast.name,
        f"{unit * contrast.first:.{digits}f}",
        f"{unit * contrast.second:.{digits}f}",
        f"{unit * difference.value:+.{digits}f}",
        interval,
        p_value,
        verdict,
    )
