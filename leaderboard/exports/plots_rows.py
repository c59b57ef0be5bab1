"""The board as one figure: a row per entry with ID, OOC, both intervals and the rank set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recombine.leaderboard.exports.plots import COLOURS, literal, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recombine.benchmark.results.result_parts import Score
    from recombine.leaderboard.board.board import RankedBoard, Row

GREY, SOFT = "#69727d", "#9aa2ab"
OFFSET = 0.14


def rows(ranked: RankedBoard) -> Figure:
    """Draw every entry of a board as a row, track by track.

    Parameters
    ----------
    ranked : RankedBoard
        From ``rank_board``.

    Returns
    -------
    Figure
        OOC filled, ID open, 95 % intervals over seeds and cells, chance dotted, and on the right
        the rank set within the track.
    """
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
    """Name rows and tracks, mark chance, explain the two points."""
    chance = ranked.board.entries[0].result.scores.ooc_test.chance
    axes.axvline(chance, color=SOFT, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(listed)), [row_name(row) for row in listed])
    axes.set_ylim(len(listed) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("joint slot accuracy (dotted: chance)")
    above: Any = {"xycoords": "axes fraction", "color": GREY, "va": "bottom"}
    axes.annotate("rank set", (1.02, 1.01), **above)
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
    """Name an entry with its inference and its mark.

    Parameters
    ----------
    row : Row
        Of a board.

    Returns
    -------
    str
        Two lines: its name; inference, and the number of seeds when they are few.
    """
    result = row.entry.result
    plural = "" if row.entry.n_seeds == 1 else "s"
    marked = f", {row.entry.n_seeds} seed{plural}" if row.seed_mark else ""
    return f"{literal(result.method.name)}\n{result.method.inference}{marked}"
