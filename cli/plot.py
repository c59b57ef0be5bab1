"""`plot`: figures for papers from result files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from recombine.benchmark.result import Result


@dataclass(frozen=True)
class Plot:
    """Draw a figure from result files alone, as SVG, PDF or PNG.

    scatter: OOC against ID accuracy with both intervals. compute: OOC accuracy against operations
    per image, the whole search curve. data: accuracy against training images for entries scored
    at several sizes, with the area under the curve. cells: heat map of one entry.

    Example: recombine plot scatter runs/results --out scatter.pdf
    """

    kind: Annotated[Literal["scatter", "compute", "data", "cells"], tyro.conf.Positional]
    """Which figure."""
    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files, or folders of them."""
    out: Path
    """File to write; its suffix (.svg, .pdf, .png) is the format."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Draw and write."""
        from recombine.leaderboard import plots
        from recombine.renderer.errors import UsageError

        if self.out.suffix not in plots.FORMATS:
            raise UsageError(
                f"--out: expected a file name that ends in {', '.join(plots.FORMATS)}; "
                f"got {self.out.name!r}"
            )
        results = self._load()
        if self.kind == "cells":
            if len(results) != 1:
                raise UsageError(f"plot cells: expected one result file; got {len(results)}")
            figure = plots.cells(results[0])
        else:
            draw = {"scatter": plots.scatter, "compute": plots.compute, "data": plots.data}
            figure = draw[self.kind](results)
        plots.save(figure, self.out)
        if self.json:
            say.emit({"figure": str(self.out), "results": [r.result_id for r in results]})
        else:
            say.line(f"{self.out}: {self.kind} of {len(results)} results")
        return 0

    def _load(self) -> list[Result]:
        from recombine.benchmark.result import Result
        from recombine.renderer.errors import UsageError

        files = [
            file
            for path in self.results
            for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])
        ]
        if not files:
            raise UsageError(
                "plot: expected result files (*.json), found none. "
                "Make some with `recombine score`."
            )
        return [Result.load(file) for file in files]
