"""`results`: compare, score again, draw, tabulate and analyse from result files and predictions."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import console
from recombine.cli.console import Command
from recombine.renderer.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recombine.benchmark.predictions.alignment import AlignedPredictions
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.scoring.rescore import Change, Rescored
    from recombine.benchmark.statistics.compare import Comparison

SHOWN = 12


@dataclass(frozen=True)
class Compare(Command):
    """Say whether two entries really differ, from their result files alone.

    Both must have answered the same images under the same metric version; anything else is
    refused. Cells (combinations) are paired, training seeds are not. The verdict is Holm's at a
    family-wise error of 5 %, within the three headline scores and within the factors. Where two
    entries cannot be told apart, the smallest detectable difference says what could have been
    seen: "no difference found" is not "no difference".

    Example: recombine results compare runs/results/a.json runs/results/b.json
    """

    first: Annotated[Path, tyro.conf.Positional]
    """Result file A."""
    second: Annotated[Path, tyro.conf.Positional]
    """Result file B."""

    def run(self) -> int:
        """Compare and print."""
        from recombine.benchmark.results.result import Result
        from recombine.benchmark.statistics.compare import compare_results

        mine, theirs = Result.load(self.first), Result.load(self.second)
        found = compare_results(mine, theirs)
        if self.json:
            ids = {"first": mine.result_id, "second": theirs.result_id}
            console.emit({**ids, **asdict(found)})
            return 0
        for letter, one in (("A", mine), ("B", theirs)):
            n = f"{len(one.seeds)} seeds, {one.data.n_train:,} training images"
            console.line(f"{letter}: {one.method.name}, {one.method.inference}, {n}")
        _show_comparison(found)
        return 0


@dataclass(frozen=True)
class Rescore(Command):
    """Compute result files anew from their stored predictions and show what changed.

    Nothing is trained and no submitted code runs. Predictions are found by their hash anywhere
    below `--runs`. When nothing changed, the new file is the old one, byte for byte. Other numbers
    under the same metric version contradict the file: exit code 5.

    Example: recombine results rescore runs/results --data runs/smoke
    """

    results: Annotated[Path, tyro.conf.Positional]
    """One result file, or a folder of them."""
    data: tuple[Path, ...]
    """Dataset folders that the entries were scored on."""
    runs: tuple[Path, ...] = ()
    """Folders with predictions, searched with subfolders; by default the folder of the results."""
    out: Path | None = None
    """Folder for the new files (may be that of the old ones); without it nothing is written."""

    def run(self) -> int:
        """Score again, print, and write if asked to."""
        from recombine.benchmark.results.result import Result
        from recombine.benchmark.scoring.rescore import PredictionStore, rescore_results
        from recombine.renderer.store.dataset import Dataset

        files = _files([self.results])
        folders = self.runs or (files[0].parent,)
        store = PredictionStore(folders)
        old = [Result.load(path) for path in files]
        found: list[Rescored] = []
        with self.progress("rescore, entries") as progress:
            progress(0, len(old))
            for one in rescore_results(old, store, [Dataset(folder) for folder in self.data]):
                found.append(one)
                progress(len(found), len(old))
        self._print(files, found)
        if self.out is not None:
            for path, one in zip(files, found, strict=True):
                one.new.save(self.out / path.name)
        return 5 if any(one.verdict == "contradiction" for one in found) else 0

    def _print(self, files: list[Path], found: list[Rescored]) -> None:
        if self.json:
            console.emit([_plain(path, one) for path, one in zip(files, found, strict=True)])
            return
        for path, one in zip(files, found, strict=True):
            console.line(f"{path}: {one.verdict}{_scores(one.old, one.new)}")
            for line in _lines(one.changes):
                console.line(f"  {line}")


@dataclass(frozen=True)
class Plot(Command):
    """Draw a figure for a paper from result files alone. Equal files give equal bytes.

    rows: the board as a figure: ID and OOC with intervals, and verdicts.
    scatter: OOC against ID accuracy with both intervals. compute: OOC accuracy against operations
    per image, the whole search curve. data: accuracy against training images for entries scored
    at several sizes, with the area under the curve. cells: heat map of one entry.
    training: the training curves of runs, from their logs (`recombine score` keeps them in
    OUT/runs), also of runs that are going on.

    Example: recombine results plot scatter runs/results --out scatter.pdf
    """

    kind: Annotated[
        Literal["rows", "scatter", "compute", "data", "cells", "training"], tyro.conf.Positional
    ]
    """Which figure."""
    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files, or folders of them; for training, logs (*.log.jsonl), or folders of runs."""
    out: Path
    """File to write; its suffix (.svg, .pdf, .png) is the format."""

    def run(self) -> int:
        """Draw and write."""
        from recombine.leaderboard.exports import figures

        _require_suffix(self.out, figures.FORMATS)
        if self.kind == "training":
            drawn, what = self._draw_training(), "runs"
        else:
            draw = self._draw_rows if self.kind == "rows" else self._draw
            drawn, what = [result.result_id for result in draw()], "results"
        line = f"{self.out}: {self.kind} of {len(drawn)} {what}"
        self.reply({"figure": str(self.out), what: drawn}, line)
        return 0

    def _draw_training(self) -> list[str]:
        from recombine.benchmark.running.training_curves import logs, read_curves
        from recombine.leaderboard.exports import figures

        if not self.results:
            raise UsageError("plot training: expected logs or folders of runs; got none")
        for path in self.results:
            if not path.exists():
                raise UsageError(f"plot training: no such file or folder: {path}")
        found = logs(self.results)
        curves = [curve for name in found for curve in read_curves(name, found[name])]
        figures.save(figures.training(curves), self.out)
        return list(found)

    def _draw(self) -> list[Result]:
        from recombine.benchmark.results.result import Result
        from recombine.leaderboard.exports import figures

        results = [Result.load(file) for file in _files(self.results)]
        if self.kind == "cells":
            if len(results) != 1:
                raise UsageError(f"plot cells: expected one result file; got {len(results)}")
            figure = figures.cells(results[0])
        else:
            draw = {"scatter": figures.scatter, "compute": figures.compute, "data": figures.data}
            figure = draw[self.kind](results)
        figures.save(figure, self.out)
        return results

    def _draw_rows(self) -> list[Result]:
        """Draw what needs verdicts; every file is checked as for a build of the site."""
        from recombine.leaderboard.board.board import rank_board
        from recombine.leaderboard.board.entries import load_boards
        from recombine.leaderboard.exports import figures

        boards = [rank_board(board) for board in load_boards(_files(self.results))]
        if len(boards) > 1:
            raise UsageError(
                f"plot rows: expected results of one board, got {len(boards)}; results of other "
                "data or metric versions need a figure of their own"
            )
        figures.save(figures.rows(boards[0]), self.out)
        return [entry.result for entry in boards[0].board.entries]


@dataclass(frozen=True)
class Table(Command):
    """Write the table of a paper from result files alone, or print it.

    One LaTeX (booktabs) or Markdown table per board, with ID, OOC, gap, cost and verdicts.
    --decoders writes what decoders do instead, from results made with --full, beside what their
    search reaches; --collapse how many of its dimensions every slot uses. Both are in Markdown.
    Without --out the Markdown is printed.

    Example: recombine results table runs/results --out table.tex
    """

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files, or folders of them."""
    out: Path | None = None
    """File to write; its suffix (.tex or .md) is the format."""
    decoders: bool = False
    """Tabulate decoders in place of boards."""
    collapse: bool = False
    """Tabulate collapse diagnostics of slots in place of boards."""

    def run(self) -> int:
        """Tabulate, and write or print."""
        from recombine.benchmark.results.result import Result
        from recombine.leaderboard.board.board import rank_board
        from recombine.leaderboard.board.entries import load_boards
        from recombine.leaderboard.exports import tables
        from recombine.renderer.core.files import write_bytes

        if self.decoders and self.collapse:
            raise UsageError("--decoders, --collapse: expected at most one of the two, got both")
        special = self.decoders or self.collapse
        if self.out is not None:
            _require_suffix(self.out, (".md",) if special else (".tex", ".md"))
        if special:
            results = [Result.load(file) for file in _files(self.results)]
            text = (tables.decoder_table if self.decoders else tables.collapse_table)(results)
        else:
            boards = [rank_board(board) for board in load_boards(_files(self.results))]
            results = [entry.result for ranked in boards for entry in ranked.board.entries]
            in_latex = self.out is not None and self.out.suffix == ".tex"
            text = (tables.latex_table if in_latex else tables.markdown_table)(boards)
        if self.out is not None:
            write_bytes(self.out, text.encode())
        line = text if self.out is None else f"{self.out}: table of {len(results)} results"
        ids = [result.result_id for result in results]
        self.reply({"table": self.out and str(self.out), "results": ids}, line)
        return 0


@dataclass(frozen=True)
class Page(Command):
    """Make the figures and tables of a document of results anew from result files alone.

    OUT is a Markdown page with blocks `<!-- results: NAME -->` to `<!-- /results -->`; NAME is ooc,
    tables, looks, data or rungs. Figures are drawn beside it. Everything else stays as it is.

    Example: recombine results page leaderboard/results --out docs/results.md
    """

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files, or folders of them."""
    out: Path
    """The page."""

    def run(self) -> int:
        """Fill and write."""
        from recombine.leaderboard.board.entries import find_results, load_boards
        from recombine.leaderboard.exports.results_page import write_page

        if not self.out.is_file():
            raise UsageError(f"results page: expected a page with blocks at {self.out}; found none")
        files = [
            one
            for path in self.results
            for one in (find_results(path) if path.is_dir() else [path])
        ]
        written = write_page(load_boards(files), self.out)
        self.reply({"written": [str(path) for path in written]}, *map(str, written))
        return 0


@dataclass(frozen=True)
class Additivity(Command):
    """Is an edit of a scene the same vector in every context, for scored entries.

    For pairs of test images that differ in one thing: the share of an edit's squared length that
    its mean vector explains, over in-combination contexts (ID) and over others (OOC), and how far
    the two mean vectors agree (ID to OOC). 1: the slots add up. In parentheses the same with the
    edits permuted. Nothing is trained; the slots come from the stored predictions.

    Example: recombine results additivity runs/results --data runs/counterfactual
    """

    results: Annotated[Path, tyro.conf.Positional]
    """One result file, or a folder of them."""
    data: Path
    """Dataset folder that the entries were scored on; the preset counterfactual has six edits of
    every base scene."""
    runs: tuple[Path, ...] = ()
    """Folders with predictions, searched with subfolders; by default the folder of the results."""

    def run(self) -> int:
        """Measure and print one table per entry."""
        from recombine.benchmark.scoring.additivity import additivity_of_edits, mean_over_runs
        from recombine.renderer.store.shards import load_plan

        plan, plain = load_plan(self.data), {}
        for result, runs in _stored_runs(self.results, self.data, self.runs):
            found = mean_over_runs([additivity_of_edits(one.at, plan) for one in runs])
            plain[result.method.entry] = found
            if self.json:
                continue
            rows = [
                (
                    kind,
                    str(one["edits"]),
                    str(one["contexts"]),
                    *(
                        f"{_ratio(one[name])} ({_ratio(one[f'{name}_chance'])})"
                        for name in ("inside", "outside", "across")
                    ),
                )
                for kind, one in found.items()
            ]
            head = ("edit of", "edits", "pairs", "ID", "OOC", "ID to OOC")
            console.table(f"{result.method.entry}: consistency of edits (by chance)", head, rows)
        if self.json:
            console.emit(plain)
        return 0


@dataclass(frozen=True)
class Questions(Command):
    """Ask questions about whole scenes of the slots of scored entries.

    How many objects, how large together, is there a given shape, is there a red one: what the
    latents of the data answer. Read by a set network (rho of the sum of phi over slots), which
    cannot know the order, by a network on the slots side by side, and by the latter with the slots
    shuffled. 1 is perfect, 0 chance.

    Example: recombine results questions runs/results --data runs/count
    """

    results: Annotated[Path, tyro.conf.Positional]
    """One result file, or a folder of them."""
    data: Path
    """Dataset folder that the entries were scored on, of scenes with several objects."""
    runs: tuple[Path, ...] = ()
    """Folders with predictions, searched with subfolders; by default the folder of the results."""

    def run(self) -> int:
        """Fit, ask and print one table per entry."""
        from recombine.benchmark.scoring.questions import ask_runs

        plain = {}
        for result, runs in _stored_runs(self.results, self.data, self.runs):
            found = ask_runs(runs)
            plain[result.method.entry] = found
            if self.json:
                continue
            rows = [
                (question, readout, _ratio(one["id_test"]), _ratio(one["ooc_test"]))
                for question, readouts in found.items()
                for readout, one in readouts.items()
            ]
            console.table(result.method.entry, ("question", "readout", "ID", "OOC"), rows)
        if self.json:
            console.emit(plain)
        return 0


def _stored_runs(
    results: Path, data: Path, runs: tuple[Path, ...]
) -> Iterator[tuple[Result, list[AlignedPredictions]]]:
    """Yield results with their stored predictions, one run per seed."""
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.scoring.rescore import PredictionStore, runs_of
    from recombine.renderer.store.dataset import Dataset

    files = _files([results])
    store, dataset = PredictionStore(runs or (files[0].parent,)), Dataset(data)
    for file in files:
        result = Result.load(file)
        yield result, runs_of(result, store, [dataset])


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _require_suffix(out: Path, formats: Sequence[str]) -> None:
    if out.suffix not in formats:
        raise UsageError(
            f"--out: expected a file name that ends in {', '.join(formats)}; got {out.name!r}"
        )


def _files(paths: Sequence[Path]) -> list[Path]:
    """Return result files, given as such or by their folder."""
    from recombine.renderer.core.files import visible

    files = [
        file
        for path in paths
        for file in (sorted(visible(path, "*.json")) if path.is_dir() else [path])
    ]
    if not files:
        raise UsageError(
            f"results: expected result files (*.json), found none in {[*map(str, paths)]}. "
            "Make some with `recombine score`."
        )
    return files


def _show_comparison(found: Comparison) -> None:
    from recombine.benchmark.statistics.compare import COLUMNS

    for title, rows in found.tables():
        console.table(title, COLUMNS, rows)
    for note in found.notes():
        console.line(note)


def _scores(old: Result, new: Result) -> str:
    before, after = old.scores.ooc_test.estimate, new.scores.ooc_test.estimate
    return f", OOC {before:.4f}" + (f" -> {after:.4f}" if before != after else "")


def _lines(changes: Sequence[Change]) -> Iterator[str]:
    """Yield numbers that moved, then how many other fields changed, by name."""
    moved = [c for c in changes if all(isinstance(v, int | float) for v in (c.old, c.new))]
    for change in moved[:SHOWN]:
        yield f"{change.path}: {change.old:.6g} -> {change.new:.6g}"
    if len(moved) > SHOWN:
        yield f"and {len(moved) - SHOWN} more numbers (--json shows all)"
    others = Counter(c.path.split("/")[-1] for c in changes if c not in moved)
    if others:
        yield "other fields: " + ", ".join(f"{name} ({n})" for name, n in others.items())


def _plain(path: Path, one: Rescored) -> dict[str, object]:
    return {
        "file": str(path),
        "verdict": one.verdict,
        "old": one.old.result_id,
        "new": one.new.result_id,
        "changes": [asdict(change) for change in one.changes],
    }
