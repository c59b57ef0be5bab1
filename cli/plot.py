"""`plot`: figures for papers from result files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from recombine.benchmark.results.result import Result

TEXT = {"table": (".tex", ".md"), "decoders": (".md",)}


@dataclass(frozen=True)
class Plot:
    """Draw a figure, or write the table, for a paper from result files alone.

    rows: the board as a figure: ID and OOC with intervals, and rank sets. table: the same as a
    LaTeX (booktabs) or Markdown table with gap and cost; one per board.
    scatter: OOC against ID accuracy with both intervals. compute: OOC accuracy against operations
    per image, the whole search curve. data: accuracy against training images for entries scored
    at several sizes, with the area under the curve. cells: heat map of one entry.
    training: the training curves of runs, from their logs (`recombine train` keeps them in
    OUT/runs), also of runs that are going on. decoders: a Markdown table of what decoders do,
    from results made with --full, beside what their search reaches. Equal files give equal bytes.

    Example: recombine plot scatter runs/results --out scatter.pdf
    """

    kind: Annotated[
        Literal["rows", "table", "scatter", "compute", "data", "cells", "training", "decoders"],
        tyro.conf.Positional,
    ]
    """Which figure."""
    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files, or folders of them; for training, logs (*.log.jsonl), or folders of runs."""
    out: Path
    """File to write; its suffix (.svg, .pdf, .png; .tex or .md for tables) is the format."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Draw and write."""
        from recombine.leaderboard.exports import figures as plots
        from recombine.renderer.core.errors import UsageError

        formats = TEXT.get(self.kind, plots.FORMATS)
        if self.out.suffix not in formats:
            raise UsageError(
                f"--out: expected a file name that ends in {', '.join(formats)}; "
                f"got {self.out.name!r}"
            )
        if self.kind == "training":
            drawn, what = self._draw_training(), "runs"
        else:
            drawn, what = [result.result_id for result in self._draw_results()], "results"
        if self.json:
            say.emit({"figure": str(self.out), what: drawn})
        else:
            say.line(f"{self.out}: {self.kind} of {len(drawn)} {what}")
        return 0

    def _draw_training(self) -> list[str]:
        from recombine.benchmark.running.training_curves import logs, read_curves
        from recombine.leaderboard.exports import figures as plots
        from recombine.leaderboard.exports.figures import training
        from recombine.renderer.core.errors import UsageError

        if not self.results:
            raise UsageError("plot training: expected logs or folders of runs; got none")
        for path in self.results:
            if not path.exists():
                raise UsageError(f"plot training: no such file or folder: {path}")
        found = logs(self.results)
        plots.save(
            training([c for name in found for c in read_curves(name, found[name])]), self.out
        )
        return list(found)

    def _draw_results(self) -> list[Result]:
        if self.kind in ("rows", "table"):
            return self._write_board()
        return self._write_decoders() if self.kind == "decoders" else self._draw()

    def _write_decoders(self) -> list[Result]:
        from recombine.benchmark.results.result import Result
        from recombine.leaderboard.exports.tables import decoder_table
        from recombine.renderer.core.files import write_bytes

        results = [Result.load(file) for file in self._files()]
        write_bytes(self.out, decoder_table(results).encode())
        return results

    def _draw(self) -> list[Result]:
        from recombine.benchmark.results.result import Result
        from recombine.leaderboard.exports import figures as plots
        from recombine.renderer.core.errors import UsageError

        results = [Result.load(file) for file in self._files()]
        if self.kind == "cells":
            if len(results) != 1:
                raise UsageError(f"plot cells: expected one result file; got {len(results)}")
            figure = plots.cells(results[0])
        else:
            draw = {"scatter": plots.scatter, "compute": plots.compute, "data": plots.data}
            figure = draw[self.kind](results)
        plots.save(figure, self.out)
        return results

    def _write_board(self) -> list[Result]:
        """Write what needs rank sets; every file is checked as for a build of the site."""
        from recombine.leaderboard.board.board import rank_board
        from recombine.leaderboard.board.entries import load_boards
        from recombine.leaderboard.exports import figures as plots
        from recombine.leaderboard.exports.figures import rows
        from recombine.leaderboard.exports.tables import latex_table, markdown_table
        from recombine.renderer.core.errors import UsageError
        from recombine.renderer.core.files import write_bytes

        boards = [rank_board(board) for board in load_boards(self._files())]
        if self.kind == "table":
            write = latex_table if self.out.suffix == ".tex" else markdown_table
            write_bytes(self.out, write(boards).encode())
        elif len(boards) > 1:
            raise UsageError(
                f"plot rows: expected results of one board, got {len(boards)}; results of other "
                "data or metric versions need a figure of their own"
            )
        else:
            plots.save(rows(boards[0]), self.out)
        return [entry.result for ranked in boards for entry in ranked.board.entries]

    def _files(self) -> list[Path]:
        from recombine.renderer.core.errors import UsageError

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
        return files
