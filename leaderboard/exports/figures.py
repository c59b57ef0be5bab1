"""Figures for papers, from result files alone: SVG, PDF or PNG.

matplotlib draws them; the site draws its own. In every figure out-of-combination is filled and in
combination is open, error bars are 95 % intervals over runs, cells and blocks, small points are
training runs, and what ignorance scores is dotted.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.results.levels import shared_levels
from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.curves import data_curves
from recombine.leaderboard.board.entries import cell_table
from recombine.leaderboard.drawing.formatting import DASH, TIMES, chance, short
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError
from recombine.renderer.core.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recombine.benchmark.results.parts import Score
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.running.training_curves import Curve
    from recombine.benchmark.statistics.curves import DataCurve
    from recombine.leaderboard.board.board import RankedBoard, Row


FORMATS = (".svg", ".pdf", ".png")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito (2008): told apart with every common colour vision."""
MARKERS = "osD^vP*X"
STYLE: Any = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e6e8",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "recombine",
    "pdf.fonttype": 42,
}
NOTHING: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "ModDate": None},
    ".png": {"Software": None},
}
"""Metadata that would make equal figures differ in bytes."""


def scatter(results: Sequence[Result]) -> Figure:
    """Draw OOC against ID accuracy, one point per entry."""
    _require_one_dataset(results)
    with styled(_size(len(results))) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color="#9aa2ab", linewidth=1)
        axes.annotate("no gap", (0.13, 0.17), color="#69727d", rotation=45)
        _levels(axes, [result.scores.ooc_test for result in results])
        for level in shared_levels([r.scores.id_test for r in results], held_out=False):
            axes.axvline(level.value, color="#9aa2ab", linestyle=":", linewidth=1)
        for result, look in zip(results, looks(), strict=False):
            inside, outside = result.scores.id_test, result.scores.ooc_test
            axes.errorbar(
                inside.estimate,
                outside.estimate,
                xerr=_error(inside.estimate, inside.ci95),
                yerr=_error(outside.estimate, outside.ci95),
                label=_label(result),
                linestyle="none",
                capsize=2,
                **look,
            )
        _unit(axes.set_xlim, axes.set_ylim)
        axes.set_aspect("equal")
        axes.set_xlabel("ID joint slot accuracy")
        axes.set_ylabel("OOC joint slot accuracy")
        _legend(figure)
    return figure


def compute(results: Sequence[Result]) -> Figure:
    """Draw OOC accuracy against operations per image, search included."""
    _require_one_dataset(results)
    counted = _one_per_curve([r for r in results if None not in r.compute_curve.gflop_per_image])
    if not counted:
        raise InvalidInputError(
            "plot compute: expected entries with counted operations, got none; an entry's "
            "compute card says why"
        )
    with styled(_size(len(counted))) as figure:
        axes = figure.add_subplot()
        for result, look in zip(counted, looks(), strict=False):
            curve = result.compute_curve
            axes.errorbar(
                np.array(curve.gflop_per_image, float),
                np.array(curve.ooc),
                yerr=_errors(curve.ooc, curve.ooc_ci95),
                label=_label(result, searching=len(curve.steps) > 1),
                capsize=2,
                **look,
            )
        scores = [result.scores.ooc_test for result in counted]
        _finish(axes, scores, "GFLOP per image, search included")
        _plain_ticks(axes)
        _legend(figure)
    return figure


def data(results: Sequence[Result]) -> Figure:
    """Draw accuracy against the number of training images."""
    _require_one_dataset(results)
    curves = data_curves(results)
    if not curves:
        raise InvalidInputError(
            "plot data: expected an entry that was scored at two or more numbers of training "
            "images, got none; score with several training set sizes into one folder"
        )
    with styled(_size(2 * len(curves))) as figure:
        axes = figure.add_subplot()
        for curve, look in zip(curves, looks(), strict=False):
            _data_lines(axes, curve, look)
        scores = [result.scores.ooc_test for curve in curves for result in curve.results]
        _finish(axes, scores, "rendered training images")
        sizes = sorted({size for curve in curves for size in curve.sizes})
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_ylabel("joint slot accuracy: OOC filled, ID open")
        _legend(figure)
    return figure


def cells(result: Result) -> Figure:
    """Draw the accuracy of every cell of one entry; held-out cells are framed."""
    names = result.data.recombined
    if len(names) < 2:
        raise InvalidInputError(
            f"plot cells: expected two or more recombined factors, got {', '.join(names)}"
        )
    table = {cell.names: (cell.accuracy, cell.held_out) for cell in cell_table(result)}
    rows, columns = (sorted({cell[i] for cell in table}) for i in (0, 1))
    panels = sorted({cell[2:] for cell in table})
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    size = (2.2 + across * max(2.2, 0.45 * len(columns)), 1.4 + down * max(1.6, 0.4 * len(rows)))
    with styled(size) as figure:
        grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        shown = None
        for panel, axes in zip(panels, grid.flat, strict=False):
            shown = _heat(
                axes, rows, columns, {c[:2]: v for c, v in table.items() if c[2:] == panel}
            )
            axes.set_title(f" {TIMES} ".join(panel), fontsize=9)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        figure.supylabel(names[0], fontsize=9)
        figure.supxlabel(names[1], fontsize=9)
        if shown is not None:
            figure.colorbar(shown, ax=grid, label="right, % (framed: held out)")
        figure.suptitle(_label(result), fontsize=9)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix decides the format."""
    import matplotlib as mpl

    if path.suffix not in FORMATS:
        raise UsageError(
            f"plot: expected a file name that ends in {', '.join(FORMATS)}, got {path.name!r}"
        )
    with mpl.rc_context(STYLE), replacing(path) as temporary:
        figure.savefig(
            temporary,
            format=path.suffix[1:],
            dpi=200,
            metadata=NOTHING[path.suffix],
            bbox_inches="tight",
        )


@contextmanager
def styled(size: tuple[float, float] = (6.8, 3.6)) -> Iterator[Figure]:
    """Yield an empty figure in the style of this module."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise ResourceError(
            "plot: matplotlib must be installed to draw figures, and it is not; "
            "run: pip install matplotlib"
        ) from None
    with mpl.rc_context(STYLE):
        yield Figure(figsize=size, layout="constrained")


def looks() -> Iterator[dict[str, Any]]:
    """Yield colour and marker of one line after the other, without end."""
    for colour, marker in zip(cycle(COLOURS), cycle(MARKERS), strict=False):
        yield {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.3}


def literal(text: str) -> str:
    """Return text that is drawn as it is: a name with dollar signs is no formula."""
    return text.replace("$", r"\$")


def _label(result: Result, *, searching: bool = False) -> str:
    inference = result.method.inference.removesuffix("search").removesuffix("+") or "direct"
    kind = f"{inference} and search" if searching else result.method.inference
    marked = "" if len(result.seeds) >= 5 else f", {len(result.seeds)} seeds"
    return f"{literal(result.method.name)} ({kind}{marked})"


def _one_per_curve(results: Sequence[Result]) -> list[Result]:
    """Return one of the results that share a compute curve (before and after search)."""
    chosen: dict[tuple[str, str, int], Result] = {}
    for one in results:
        key = (one.method.id, one.compute_curve.model_dump_json(), one.data.n_train)
        chosen.setdefault(key, one)
    return list(chosen.values())


def _error(value: float, interval: Sequence[float] | None) -> list[list[float]] | None:
    return None if interval is None else [[value - interval[0]], [interval[1] - value]]


def _errors(values: Sequence[float], intervals: Sequence[Sequence[float] | None]) -> Any:
    ends = [interval or (value, value) for value, interval in zip(values, intervals, strict=True)]
    return np.abs(np.array(ends).T - np.array(values))


def _data_lines(axes: Axes, curve: DataCurve, look: dict[str, Any]) -> None:
    found = [stats.crossed_mean(one) for one in curve.ooc]
    heights = [one.value for one in found]
    within = "no interval"
    if curve.area.ci95 is not None:
        within = DASH.join(f"{100 * end:.1f}" for end in curve.area.ci95)
    axes.errorbar(
        np.array(curve.sizes, float),
        np.array(heights),
        yerr=_errors(heights, [one.ci95 for one in found]),
        label=f"{_label(curve.results[0])}\n  area {100 * curve.area.value:.1f} % ({within})",
        capsize=2,
        **look,
    )
    inside = {**look, "linewidth": 0.9, "linestyle": "--", "markerfacecolor": "white"}
    axes.plot(curve.sizes, [table.cells.mean() for table in curve.id], **inside)


def _levels(axes: Axes, scores: Sequence[Score]) -> None:
    """Draw what ignorance scores as dotted lines, and name them at the right, one above another."""
    free = -1.0
    for level in shared_levels(scores):
        axes.axhline(level.value, color="#9aa2ab", linestyle=":", linewidth=1)
        free = max(level.value, free)
        axes.annotate(level.words.replace(", ", ",\n"), (1.01, free), fontsize=6.5, va="center",
                      xycoords=("axes fraction", "data"), color="#69727d")  # fmt: skip
        free += 0.11


def _finish(axes: Axes, scores: Sequence[Score], label: str) -> None:
    _levels(axes, scores)
    axes.set_xscale("log")
    axes.set_xlabel(f"{label} (log scale)")
    axes.set_ylabel("OOC joint slot accuracy")
    _unit(axes.set_ylim)


def _unit(*limits: Any) -> None:
    for limit in limits:
        limit(-0.03, 1.03)


def _plain_ticks(axes: Axes) -> None:
    """Mark 1, 2 and 5 of every decade in plain numbers: a curve may span less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside lower left")


def _size(lines: int) -> tuple[float, float]:
    """Return inches: two thirds of a page's width, and a legend of so many lines below."""
    return 4.4, 3.3 + 0.17 * lines


def _heat(
    axes: Axes, rows: list[str], columns: list[str], table: dict[Any, tuple[float, bool]]
) -> Any:
    from matplotlib.patches import Rectangle

    values = np.full((len(rows), len(columns)), np.nan)
    few = len(columns) <= 12
    for (row, column), (value, held_out) in table.items():
        y, x = rows.index(row), columns.index(column)
        values[y, x] = 100 * value
        if few:
            ink = "white" if value > 0.55 else "black"
            axes.text(x, y, f"{100 * value:.0f}", ha="center", va="center", color=ink, fontsize=7)
        if held_out:
            corner = (x - 0.44, y - 0.44)
            axes.add_patch(
                Rectangle(corner, 0.88, 0.88, fill=False, edgecolor="#D55E00", linewidth=1.6)
            )
    axes.grid(visible=False)
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=7)
    axes.set_yticks(range(len(rows)), rows, fontsize=7)
    return axes.imshow(values, cmap="Blues", vmin=0, vmax=100, aspect="auto")


def _require_one_dataset(results: Sequence[Result]) -> None:
    keys = {
        (r.data.identity, r.scores.ooc_test.metric, r.scores.ooc_test.metric_version)
        for r in results
    }
    if len(keys) != 1:
        raise InvalidInputError(
            f"plot: expected entries of one dataset and metric version, got {len(keys)}; draw "
            "one figure per dataset"
        )


# The board as one figure: a row per entry with ID, OOC, both intervals and the verdict.

GREY, SOFT = "#69727d", "#9aa2ab"
OFFSET = 0.14


def rows(ranked: RankedBoard) -> Figure:
    """Draw every entry of a board as a row, track by track."""
    listed = [row for track in ranked.tracks for row in track.rows]
    with styled((6.6, 1.1 + 0.4 * len(listed))) as figure:
        axes = figure.add_subplot()
        for height, row in enumerate(listed):
            scores = row.entry.result.scores
            _point(axes, scores.id_test, height - OFFSET, filled=False)
            _point(axes, scores.ooc_test, height + OFFSET, filled=True)
            axes.annotate(
                row.rank.words, (1.02, height), xycoords=("axes fraction", "data"), va="center"
            )
        _frame(axes, ranked, listed)
    return figure


def _point(axes: Axes, score: Score, height: float, *, filled: bool) -> None:
    if score.ci95 is not None:
        axes.plot(score.ci95, (height, height), color=COLOURS[1 - filled], linewidth=1.3)
    # Every training run: one that failed is a point far from the others.
    axes.plot(
        score.per_seed,
        [height + OFFSET / 2] * len(score.per_seed),
        color=COLOURS[1 - filled],
        marker=".",
        markersize=2.5,
        linestyle="none",
    )
    axes.plot(
        [score.estimate],
        [height],
        color=COLOURS[1 - filled],
        marker="o",
        markersize=5,
        linestyle="none",
        markerfacecolor=COLOURS[1 - filled] if filled else "white",
        label="OOC" if filled else "ID",
    )


def _frame(axes: Axes, ranked: RankedBoard, listed: Sequence[Row]) -> None:
    """Name rows and tracks, mark what ignorance scores, explain the two points."""
    named = []
    for level, words in ranked.levels:
        axes.axvline(level, color=SOFT, linestyle=":", linewidth=1)
        named.append(f"{words} {chance(level)} %")
    axes.set_yticks(range(len(listed)), [row_name(row) for row in listed])
    axes.set_ylim(len(listed) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("\n".join(["joint slot accuracy; dotted:", *named]))
    above: Any = {"xycoords": "axes fraction", "color": GREY, "va": "bottom"}
    axes.annotate("verdict", (1.02, 1.01), **above)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[:2], names[:2], loc="lower left", bbox_to_anchor=(0, 1), ncols=2,
                borderaxespad=0)  # fmt: skip
    start = 0
    for track in ranked.tracks:
        if start:
            axes.axhline(start - 0.5, color=SOFT, linewidth=0.8)
        if len(ranked.tracks) > 1:
            axes.annotate(track.title, (0.01, start - 0.47), color=GREY, fontsize=7, va="top",
                          xycoords=("axes fraction", "data"))  # fmt: skip
        start += len(track.rows)


def row_name(row: Row) -> str:
    """Name an entry with its inference and its mark."""
    result = row.entry.result
    plural = "" if row.entry.n_seeds == 1 else "s"
    marked = f", {row.entry.n_seeds} seed{plural}" if row.seed_mark else ""
    return f"{literal(result.method.name)}\n{result.method.inference}{marked}"


# Training curves as a figure: a panel per curve, a line per run.


def training(curves: Sequence[Curve]) -> Figure:
    """Draw training curves."""
    if not curves:
        raise InvalidInputError(
            "plot training: the logs hold no training curve; rows that are fitted in closed form "
            "have none"
        )
    names = list(dict.fromkeys(curve.name for curve in curves))
    settings = list(dict.fromkeys(_setting(curve) for curve in curves))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(settings)}
    with styled((4.6, 0.6 + 2.1 * len(names) + 0.16 * len(settings))) as figure:
        panels = figure.subplots(len(names), squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=True):
            _panel(axes, name, [curve for curve in curves if curve.name == name], colours)
        panels[-1].set_xlabel("optimiser step")
        figure.legend(
            handles=[
                panels[0].plot([], [], color=colours[s], label=literal(s))[0] for s in settings
            ],
            loc="outside lower center",
        )
    return figure


def _panel(axes: Axes, name: str, curves: Sequence[Curve], colours: dict[str, str]) -> None:
    for curve in curves:
        axes.plot(curve.steps, curve.values, color=colours[_setting(curve)], linewidth=1, alpha=0.8)
    if all(value > 0 for curve in curves for value in curve.values):
        axes.set_yscale("log")
    axes.set_ylabel(literal(name))


def _setting(curve: Curve) -> str:
    """Return the name of a run without its seed."""
    return curve.run.rpartition("/")[0] or curve.run
