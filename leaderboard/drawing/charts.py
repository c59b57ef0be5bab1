"""Interval strips, heat map and variance bar, as inline SVG.

In-combination is blue, a ring and the upper line; out-of-combination is orange, a diamond and the
lower line: no figure needs colour to be read. Every number of a figure also stands in a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.formatting import TIMES
from recombine.leaderboard.drawing.svg import anchor, diamond, figure, node, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    Cell = tuple[str, str]

STRIP_HEIGHT = 44
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
LABELLED_COLUMNS = 12


@dataclass(frozen=True)
class Mark:
    """A measured share with its interval.

    Attributes
    ----------
    value : float
        In [0, 1]; what lies outside is drawn on the border.
    interval : sequence of two floats, optional
        Its 95 % interval.
    """

    value: float
    interval: Sequence[float] | None = None


def strip(inside: Mark, outside: Mark, chance: float | None, title: str) -> Markup:
    """Draw ID and OOC of one entry over a shared axis from 0 to 1.

    Parameters
    ----------
    inside, outside : Mark
        In- and out-of-combination scores.
    chance : float, optional
        Where the chance line stands.
    title : str
        Accessible name.

    Returns
    -------
    Markup
        An ``svg`` 44 px high and as wide as its container.
    """
    lines = [(percent(tick), "grid") for tick in TICKS]
    if chance is not None:
        lines.append((percent(chance), "chance"))
    parts = [node("line", x1=x, x2=x, y1=0, y2=STRIP_HEIGHT, class_=css) for x, css in lines]
    parts += [*_bar(inside, 15, "id"), *_bar(outside, 30, "ooc")]
    parts.append(node("circle", cx=percent(inside.value), cy=15, r=4.2, class_="dot-id"))
    parts.append(diamond(outside.value, 30, 6, "dot-ooc"))
    return figure(parts, title=title, height=STRIP_HEIGHT, css="strip")


def strip_axis(chance: float | None) -> Markup:
    """Draw the axis below a column of strips.

    Parameters
    ----------
    chance : float, optional
        Share at which the chance line ends in a label.

    Returns
    -------
    Markup
        Tick labels in percent.
    """
    parts = [
        node("text", x=percent(t), y=14, text_anchor=anchor(t), text=f"{100 * t:.0f}")
        for t in TICKS
    ]
    if chance is not None:
        label = f"chance {numbers.chance(chance)} %"
        x = percent(chance)
        parts.append(node("line", x1=x, x2=x, y1=0, y2=20, class_="chance"))
        parts.append(node("text", x=x, y=32, text_anchor=anchor(chance), text=label))
    parts.append(node("text", x="100%", y=32, text_anchor="end", text="accuracy, %"))
    return figure(parts, title="Axis from 0 to 100 %", height=36, css="plot-wide")


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[Cell, float],
    held_out: set[Cell],
    title: str,
) -> Markup:
    """Draw the accuracy of every cell; held-out cells are framed.

    Parameters
    ----------
    rows, columns : sequence of str
        Value names of the first and the second recombined factor.
    values : mapping
        (row, column) to accuracy in [0, 1]; a cell that was not tested is left blank.
    held_out : set of (str, str)
        Out-of-combination cells.
    title : str
        Accessible name.

    Returns
    -------
    Markup
        Dark is good. Cells of maps with up to 12 columns carry their number in percent.
    """
    left, top, size = 0.17, 24, 44 if len(rows) <= LABELLED_COLUMNS else 24
    step = (1 - left) / len(columns)
    labelled = len(columns) <= LABELLED_COLUMNS
    parts = _names(rows, columns if labelled else (), left, top, size, step)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if (row, column) not in values:
                continue
            out = (row, column) in held_out
            kind = "held out" if out else "in combination"
            x, y = left + j * step, top + i * size
            if out:  # a frame with a light gap inside it shows on dark and on light cells
                frame = _box(x + 0.02 * step, y + 2, 0.96 * step, size - 4)
                parts.append(node("rect", class_="frame", **frame))
            inset = (0.055, 5.0) if out else (0.005, 0.5)
            box = _box(
                x + inset[0] * step, y + inset[1], (1 - 2 * inset[0]) * step, size - 2 * inset[1]
            )
            parts += _cell(values[row, column], f"{row} {TIMES} {column}, {kind}", box, labelled)
    height = top + len(rows) * size + 3
    return figure(parts, title=title, height=height, css="plot-wide heat")


def rank_bar(low: int, high: int, of: int, known: bool) -> Markup:
    """Draw a rank set as a stretch of the ranks on a board, rank 1 at the left.

    Parameters
    ----------
    low, high : int
        Best and worst rank, 1 <= low <= high <= of.
    of : int
        Entries on the board.
    known : bool
        False draws a dotted track: the set covers everything.

    Returns
    -------
    Markup
        A bar 8 px high.
    """
    steps = max(1, of - 1)
    ends = {"x1": percent((low - 1) / steps), "x2": percent(max(low - 0.999, high - 1) / steps)}
    parts = [node("line", x1="0%", x2="100%", y1=4, y2=4, class_="track" if known else "unknown")]
    if known:
        parts.append(node("line", y1=4, y2=4, class_="set", **ends))
    return figure(parts, title=f"Ranks {low} to {high} of {of}", height=8, css="rankbar")


def shares(parts: Sequence[tuple[str, float]], title: str) -> Markup:
    """Draw how much each part contributes to a whole, as one bar.

    Parameters
    ----------
    parts : sequence of (str, float)
        Name and share; the shares add up to 1.
    title : str
        Accessible name.

    Returns
    -------
    Markup
        A bar 22 px high; its legend is text on the page.
    """
    drawn, start = [], 0.0
    for i, (name, share) in enumerate(parts):
        tip = node("title", text=f"{name}: {100 * share:.0f} %")
        box = _box(start, 0, share, 22)
        drawn.append(node("rect", tip, class_=f"v{i}", **box))
        start += share
    return figure(drawn, title=title, height=22, css="plot-wide")


def _bar(mark: Mark, y: float, css: str) -> list[Markup]:
    if mark.interval is None:
        return []
    low, high = (percent(end) for end in mark.interval)
    whisker = f"whisker-{css}"
    ends = [node("line", x1=x, x2=x, y1=y - 4, y2=y + 4, class_=whisker) for x in (low, high)]
    return [node("line", x1=low, x2=high, y1=y, y2=y, class_=f"bar-{css}"), *ends]


def _box(x: float, y: float, width: float, height: float) -> dict[str, Any]:
    return {"x": percent(x), "y": y, "width": percent(width), "height": height}


def _names(
    rows: Sequence[str],
    columns: Sequence[str],
    left: float,
    top: float,
    size: float,
    step: float,
) -> list[Markup]:
    parts = []
    for j, name in enumerate(columns):
        x = percent(left + (j + 0.5) * step)
        parts.append(node("text", x=x, y=15, text_anchor="middle", class_="name", text=name[:14]))
    for i, name in enumerate(rows):
        y = top + (i + 0.5) * size + 4
        parts.append(node("text", x=0, y=y, class_="name", text=name[:14]))
    return parts


def _cell(value: float, name: str, box: dict[str, Any], labelled: bool) -> list[Markup]:
    level = round(10 * min(1.0, max(0.0, value)))
    tip = node("title", text=f"{name}: {numbers.percent(value)} %")
    parts = [node("rect", tip, class_=f"cell h{level}", **box)]
    if labelled:
        x = float(str(box["x"]).rstrip("%")) + float(str(box["width"]).rstrip("%")) / 2
        css = "on-dark" if level >= 6 else "on-light"
        y = float(str(box["y"])) + float(str(box["height"])) / 2 + 4.5
        text = f"{100 * value:.0f}"
        parts.append(node("text", x=f"{x:.2f}%", y=y, text_anchor="middle", class_=css, text=text))
    return parts
