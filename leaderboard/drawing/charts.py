"""A few lines that build inline SVG; every text and attribute is escaped as it goes in.

Positions are percentages wherever they can be: the drawing then follows the width of the page
while text, line widths and markers keep their size, down to a 320 px screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.formatting import TIMES

if TYPE_CHECKING:
    from collections.abc import Callable


SHAPES = {
    "diamond": "M0 -6.5L6.5 0L0 6.5L-6.5 0Z",
    "triangle": "M0 -7L6.5 5H-6.5Z",
    "square": "M-5 -5H5V5H-5Z",
    "plus": "M-2 -6.5H2V-2H6.5V2H2V6.5H-2V2H-6.5V-2H-2Z",
    "cross": "M-6 -3.5L-3.5 -6L0 -2.5L3.5 -6L6 -3.5L2.5 0L6 3.5L3.5 6L0 2.5L-3.5 6L-6 3.5L-2.5 0Z",
    "ring": "M-6 0A6 6 0 1 0 6 0A6 6 0 1 0 -6 0ZM-3 0A3 3 0 1 1 3 0A3 3 0 1 1 -3 0Z",
}
"""Marks around the point 0, 0, about 12 px wide, told apart by form alone."""


def node(tag: str, *children: Markup | None, text: str = "", **attrs: object) -> Markup:
    """Make one SVG element."""
    written = "".join([_attribute(key, value) for key, value in attrs.items() if value is not None])
    inside = "".join([child for child in children if child is not None])
    # Every part was escaped, or is the name of an element or attribute in our own code.
    shown = escape(text) if text else ""
    return Markup(f"<{tag}{written}>{shown}{inside}</{tag}>")  # noqa: S704


def figure(
    children: Iterable[Markup | None],
    *,
    title: str,
    height: float,
    css: str,
    desc: str = "",
    role: str = "img",
) -> Markup:
    """Write a drawing that is as wide as its container; a group when it holds links."""
    return node(
        "svg",
        node("title", text=title),
        node("desc", text=desc) if desc else None,
        *children,
        class_=css,
        width="100%",
        height=height,
        role=role,
    )


def percent(share: float) -> str:
    """Write a share of the width as an SVG percentage."""
    return f"{_number(100 * min(1.0, max(0.0, share)))}%"


def segments(points: Sequence[tuple[float, float]], css: str) -> list[Markup]:
    """Draw a line through points as single segments, because polylines know no percentages."""
    return [
        node("line", x1=percent(a[0]), y1=a[1], x2=percent(b[0]), y2=b[1], class_=css)
        for a, b in pairwise(points)
    ]


def diamond(share: float, y: float, radius: float, css: str) -> Markup:
    """Draw a filled diamond at a percentage position."""
    r = radius
    path = node("path", d=f"M0 {-r}L{r} 0L0 {r}L{-r} 0Z", class_=css)
    return node("svg", path, x=percent(share), y=y, overflow="visible")


def symbol(shape: str, css: str) -> Markup:
    """Draw a mark beside a word of text."""
    path = node("path", d=SHAPES[shape], class_=css)
    return node("svg", path, viewBox="-8 -8 16 16", class_="symbol", aria_hidden="true")


def shaped(shape: str, share: float, y: float, css: str) -> Markup:
    """Draw a mark at a percentage position."""
    path = node("path", d=SHAPES[shape], class_=f"{css} shape-{shape}")
    return node("svg", path, x=percent(share), y=y, overflow="visible")


def anchor(share: float) -> str:
    """Choose the text anchor that keeps a label inside the drawing."""
    if share < 0.08:
        return "start"
    return "end" if share > 0.92 else "middle"


@lru_cache(maxsize=1 << 16, typed=True)
def _attribute(key: str, value: object) -> str:
    """Write an attribute; a page repeats few, so they are remembered."""
    written = _number(value) if isinstance(value, float) else escape(value)
    return f' {key.rstrip("_").replace("_", "-")}="{written}"'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


# Interval strips, heat map and variance bar, as inline SVG.

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    Cell = tuple[str, str]

STRIP_HEIGHT = 44
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
LABELLED_COLUMNS = 12


@dataclass(frozen=True)
class Mark:
    """A measured share with its interval."""

    value: float  # in [0, 1]; what lies outside is drawn on the border
    interval: Sequence[float] | None = None  # its 95 % interval
    seeds: Sequence[float] = ()  # the share of every training run: one that failed shows here


Point = tuple[float, float]
Lines = Sequence[tuple[float, str]]
"""Levels to compare with, the lowest first: a share in [0, 1], and who scores it."""


def strip(inside: Mark | None, outside: Mark | None, levels: Lines, title: str) -> Markup:
    """Draw what is known of ID and OOC of one entry over a shared axis from 0 to 1."""
    parts = [_strip_ground(tuple(levels))]
    if inside is not None:
        parts += _bar(inside, 15, "id")
        parts.append(node("circle", cx=percent(inside.value), cy=15, r=4.2, class_="dot-id"))
    if outside is not None:
        parts += _bar(outside, 30, "ooc")
        parts.append(diamond(outside.value, 30, 6, "dot-ooc"))
    return figure(parts, title=title, height=STRIP_HEIGHT, css="strip")


@lru_cache(maxsize=256)
def _strip_ground(levels: tuple[tuple[float, str], ...]) -> Markup:
    """Draw what all strips of a board have in common."""
    lines = [(percent(tick), "grid") for tick in TICKS]
    lines += [(percent(level), _line_class(words)) for level, words in levels]
    drawn = (node("line", x1=x, x2=x, y1=0, y2=STRIP_HEIGHT, class_=css) for x, css in lines)
    return Markup("").join(drawn)


def _line_class(words: str) -> str:
    return "chance" if words == "chance" else "chance level"


def _level_text(level: float, words: str, **at: object) -> Markup:
    """Write a level beside its line; on a narrow screen only its number."""
    if words == "chance":
        return node("text", text=f"chance {numbers.chance(level)} %", **at)
    rest = node("tspan", text=f" {words}", class_="wide-only")
    return node("text", rest, text=f"{numbers.chance(level)} %", **at)


def strip_axis(levels: Lines) -> Markup:
    """Draw the axis below a column of strips, with a line of text per level."""
    parts = [
        node("text", x=percent(t), y=14, text_anchor=anchor(t), text=f"{100 * t:.0f}")
        for t in TICKS
    ]
    for row, (level, words) in enumerate(levels):
        x, y = percent(level), 32 + LINE_HEIGHT * row
        side: dict[str, Any] = {"x": x, "text_anchor": anchor(level)}
        if words != "chance":  # the text is long
            side = {"x": 0, "text_anchor": "start", "class_": "halo"}
        css = _line_class(words)
        parts.append(node("line", x1=x, x2=x, y1=0 if not row else 20, y2=y - 12, class_=css))
        parts.append(_level_text(level, words, y=y, **side))
    parts.append(node("text", x="100%", y=32, text_anchor="end", text="accuracy, %"))
    height = 36 + LINE_HEIGHT * max(0, len(levels) - 1)
    return figure(parts, title="Axis from 0 to 100 %", height=height, css="plot-wide")


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[Cell, float],
    held_out: set[Cell],
    title: str,
) -> Markup:
    """Draw the accuracy of every cell; held-out cells are framed."""
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


def shares(parts: Sequence[tuple[str, float]], title: str) -> Markup:
    """Draw how much each part contributes to a whole, as one bar."""
    drawn, start = [], 0.0
    for i, (name, share) in enumerate(parts):
        tip = node("title", text=f"{name}: {100 * share:.0f} %")
        box = _box(start, 0, share, 22)
        drawn.append(node("rect", tip, class_=f"v{i}", **box))
        start += share
    return figure(drawn, title=title, height=22, css="plot-wide")


def _bar(mark: Mark, y: float, css: str) -> list[Markup]:
    runs = [node("circle", cx=percent(x), cy=y - 7, r=1.6, class_=f"f-{css}") for x in mark.seeds]
    if mark.interval is None:
        return runs
    low, high = (percent(end) for end in mark.interval)
    whisker = f"whisker-{css}"
    ends = [node("line", x1=x, x2=x, y1=y - 4, y2=y + 4, class_=whisker) for x in (low, high)]
    return [node("line", x1=low, x2=high, y1=y, y2=y, class_=f"bar-{css}"), *ends, *runs]


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


# Accuracy against compute, as inline SVG: all entries of a board, or one entry's search curve.

HEIGHT, TOP, BOTTOM = 330, 14, 276
LEFT, RIGHT, INNER = 0.075, 0.985, 0.04
LINE_HEIGHT = 15.0
CURVE_LEFT, CURVE_BOTTOM = 0.09, 150
LOG_FROM = 3
"""Greatest over least value of a training curve from which its axis is logarithmic."""
LABELLED, NAMED = 24, 8
"""Most entries of the figure of costs whose letters, and whose names, are written in it."""
LABEL_APART = 0.09
COMPUTE = "GFLOP per image, search included (log scale)"
LETTER_SHARE = 0.0115
"""Width of one letter of a label as a share of the figure at its usual size, for collisions."""


@dataclass(frozen=True)
class Trace:
    """One entry in the figure of accuracy against compute."""

    key: str  # its letter on the board; empty for a mark without a label
    name: str  # label; untrusted text
    # GFLOP per image (> 0) and OOC accuracy in [0, 1], in the order of search steps
    points: tuple[Point, ...]
    interval: Sequence[float] | None = None  # 95 % interval of the last point
    shape: str = "diamond"  # mark of the last point, a key of ``SHAPES``
    href: str = ""  # page of the entry
    tip: tuple[str, ...] = ()  # lines told when the mark is pointed at or focused


def cost_figure(traces: Sequence[Trace], levels: Lines, title: str, axis: str = COMPUTE) -> Markup:
    """Draw OOC accuracy against a cost on a logarithmic axis; every mark stands at its cost."""
    costs = [cost for trace in traces for cost, _ in trace.points]
    low = math.floor(math.log10(min(costs)))
    high = max(low + 1, math.ceil(math.log10(max(costs))))

    def place(cost: float) -> float:
        return _inner((math.log10(cost) - low) / (high - low))

    below = BOTTOM + 42 + LINE_HEIGHT  # where marks crowd at the bottom, words of levels cover them
    parts = _frame(levels, below)
    for decade in range(low, high + 1):
        x = percent(place(10.0**decade))
        parts.append(node("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, class_="grid"))
        parts.append(_tick(x, numbers.short(10.0**decade)))
    parts.append(_axis_title(axis))
    height = HEIGHT + LINE_HEIGHT * len(levels)
    for trace in traces:
        parts += _trace(trace, place, height)
    keyed = [trace for trace in traces if trace.key]
    if len(keyed) <= LABELLED:
        room = _Room([], _dots(traces, place))
        named = len(keyed) <= NAMED
        parts += [_label(place(trace.points[-1][0]), trace, room, named) for trace in keyed]
    told = max((len(trace.tip) for trace in traces), default=0)
    height += 8 + LINE_HEIGHT * told if told else 0
    return figure(parts, title=title, height=height, css="plot-wide", role="group")


def search_figure(
    steps: Sequence[int],
    inside: Sequence[Mark],
    outside: Sequence[Mark],
    levels: Lines,
    title: str,
    costs: Sequence[float | None] = (),
) -> Markup:
    """Draw accuracy against the number of search steps of one entry."""
    places = [_inner(i / max(1, len(steps) - 1)) for i in range(len(steps))]
    parts = [_tick(percent(x), str(step)) for x, step in zip(places, steps, strict=True)]
    known = bool(costs) and None not in costs
    for x, cost in zip(places, costs if known else (), strict=False):
        y, text = BOTTOM + 33, numbers.short(cost or 0.0)
        parts.append(
            node("text", x=percent(x), y=y, text_anchor="middle", class_="wide-only", text=text)
        )
    below = node("tspan", text="; below, GFLOP per image", class_="wide-only") if known else None
    parts.append(_axis_title("search steps", below))
    parts += _both(places, inside, outside)
    height = HEIGHT + (LINE_HEIGHT if known else 0)
    return figure([*_frame(levels), *parts], title=title, height=height, css="plot-wide")


def size_figure(
    sizes: Sequence[int],
    inside: Sequence[Mark],
    outside: Sequence[Mark],
    levels: Lines,
    title: str,
) -> Markup:
    """Draw accuracy against the number of training images, on a logarithmic axis."""
    low, high = math.log(sizes[0]), math.log(sizes[-1])
    places = [_inner((math.log(size) - low) / (high - low)) for size in sizes]
    parts, last = [], -1.0
    for x, size in zip(places, sizes, strict=True):
        if x - last >= LABEL_APART:
            parts.append(_tick(percent(x), numbers.count(size)))
            last = x
    parts.append(_axis_title("training images (log scale)"))
    parts += _both(places, inside, outside)
    return figure([*_frame(levels), *parts], title=title, height=HEIGHT, css="plot-wide")


def training_figure(runs: Sequence[tuple[str, Sequence[Point]]], title: str) -> Markup:
    """Draw one curve of training, every run a line: its name, and values against steps."""
    points = [point for _, run in runs for point in run]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    log = low > 0 and high > LOG_FROM * low
    bottom, top = (math.log10(low), math.log10(high)) if log else (low, high)
    last = max(step for step, _ in points) or 1

    def place(step: float, value: float) -> tuple[float, float]:
        height = ((math.log10(value) if log else value) - bottom) / ((top - bottom) or 1)
        return 1000 * step / last, 1000 * (1 - height)

    parts = []
    for share in (0.0, 0.5, 1.0):
        y = TOP + (CURVE_BOTTOM - TOP) * (1 - share)
        at = bottom + (top - bottom) * share
        css = "grid" if share else "axis"
        parts.append(node("line", x1=percent(CURVE_LEFT), x2="100%", y1=y, y2=y, class_=css))
        parts.append(node("text", x=0, y=y + 4, text=f"{10**at if log else at:.3g}"))
        x = CURVE_LEFT + (1 - CURVE_LEFT) * share
        tick = {
            "x": percent(x),
            "y": CURVE_BOTTOM + 18,
            "text_anchor": "end" if share == 1 else "middle",
        }
        parts.append(node("text", text=numbers.count(last * share), **tick))
    # A line per run in coordinates of its own: polylines know no percentages.
    drawn = []
    for name, run in runs:
        told = " ".join(f"{x:.0f},{y:.0f}" for x, y in (place(*point) for point in run))
        tip = node("title", text=name)
        drawn.append(
            node("polyline", tip, points=told, vector_effect="non-scaling-stroke", class_="run")
        )
    inner: dict[str, Any] = {"x": percent(CURVE_LEFT), "y": TOP, "overflow": "visible"}
    inner |= {"width": percent(1 - CURVE_LEFT), "height": CURVE_BOTTOM - TOP}
    box = {"viewBox": "0 0 1000 1000", "preserveAspectRatio": "none"}
    parts.append(node("svg", *drawn, **inner, **box))
    axis = f"optimiser steps{', values on a log scale' if log else ''}"
    parts.append(node("text", x="53%", y=CURVE_BOTTOM + 36, text_anchor="middle", text=axis))
    return figure(parts, title=title, height=CURVE_BOTTOM + 42, css="plot-wide")


def _both(places: Sequence[float], inside: Sequence[Mark], outside: Sequence[Mark]) -> list[Markup]:
    """Draw the ID and the OOC curve with their intervals, a little beside each other."""
    parts = []
    for marks, css, shift in ((inside, "id", -0.006), (outside, "ooc", 0.006)):
        line = [(x + shift, _height(m.value)) for x, m in zip(places, marks, strict=True)]
        parts += segments(line, f"curve curve-{css}")
        for (x, y), one in zip(line, marks, strict=True):
            parts += _whisker(x, one.interval, css)
            parts.append(_point(x, y, css))
    return parts


def _inner(share: float) -> float:
    return LEFT + INNER + (RIGHT - LEFT - 2 * INNER) * share


def _height(value: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * min(1.0, max(0.0, value))


def _tick(x: str, text: str) -> Markup:
    return node("text", x=x, y=BOTTOM + 18, text_anchor="middle", text=text)


def _axis_title(text: str, more: Markup | None = None) -> Markup:
    """Write below one row of tick labels, or with more to say below two."""
    y = BOTTOM + 42 + (LINE_HEIGHT if more else 0)
    return node("text", more, x="53%", y=y, text_anchor="middle", text=text)


def _frame(levels: Lines, below: float | None = None) -> list[Markup]:
    return [_figure_ground(tuple(levels), below)]


@lru_cache(maxsize=256)
def _figure_ground(levels: tuple[tuple[float, str], ...], below: float | None) -> Markup:
    """Draw axis, grid and levels, which all figures of a board have in common.

    The words of levels stand on their lines, or from ``below`` downwards.
    """
    ends = {"x1": percent(LEFT), "x2": percent(RIGHT)}
    parts = []
    for tick in TICKS:
        y = _height(tick)
        parts.append(node("line", y1=y, y2=y, class_="grid" if tick else "axis", **ends))
        parts.append(node("text", x=0, y=y + 4, text=f"{100 * tick:.0f}"))
    free = float(BOTTOM)
    for row, (level, words) in enumerate(levels):
        y = _height(level)
        parts.append(node("line", y1=y, y2=y, class_=_line_class(words), **ends))
        if below is not None:
            parts.append(_level_text(level, words, x=0, y=below + LINE_HEIGHT * row))
            continue
        free = min(y - 5, free - LINE_HEIGHT + 2)  # texts of close levels stand one on the other
        at = {"x": percent(RIGHT), "y": free, "text_anchor": "end", "class_": "halo"}
        parts.append(_level_text(level, words, **at))
    return Markup("").join(parts)


def _trace(trace: Trace, place: Callable[[float], float], below: float) -> list[Markup]:
    line = [(place(cost), _height(value)) for cost, value in trace.points]
    dots = [node("circle", cx=percent(x), cy=y, r=2.4, class_="f-ooc") for x, y in line[:-1]]
    x, y = line[-1]
    mark = [*_whisker(x, trace.interval, "ooc"), shaped(trace.shape, x, y, "dot-ooc")]
    if trace.href:
        hit = node("circle", cx=percent(x), cy=y, r=10, class_="hit")
        mark = [_link(trace, [hit, *mark], below)]
    return [*segments(line, "curve curve-ooc"), *dots, *mark]


def _link(trace: Trace, mark: Sequence[Markup], below: float) -> Markup:
    """Link a mark to its entry; what it tells stands below the figure, where nothing covers it."""
    title = node("title", text="; ".join(trace.tip))
    lines = [
        node("text", x=0, y=below + LINE_HEIGHT * i + 12, class_="tip", aria_hidden="true", text=t)
        for i, t in enumerate(trace.tip)
    ]
    return node("a", title, *mark, *lines, href=trace.href, class_="point")


@dataclass(frozen=True)
class _Room:
    """What labels must keep clear of: boxes of other labels, and dots along the curves."""

    boxes: list[tuple[float, float, float]]
    dots: list[tuple[float, float]]

    def cost(self, start: float, width: float, y: float) -> int:
        """Count what a label of this place would cover; another label weighs most."""
        labels = sum(
            abs(y - at) < LINE_HEIGHT and start < left + wide and left < start + width
            for left, wide, at in self.boxes
        )
        dots = sum(abs(y - at) < 8 and start < x < start + width for x, at in self.dots)
        return 100 * labels + dots


def _label(x: float, trace: Trace, room: _Room, named: bool) -> Markup:
    """Write letter and name beside a marker, moved up or down to where it is free."""
    text = trace.name if len(trace.name) <= 40 else trace.name[:39] + "…"
    text = text if named else ""
    width = LETTER_SHARE * (len(text) + 3)
    right = x + width < 1
    start = x + 0.02 if right else x - 0.02 - width
    wanted = _height(trace.points[-1][1])
    moves = [0.0, *(sign * 5.0 * k for k in range(1, 13) for sign in (-1, 1))]
    heights = [wanted + move for move in moves if TOP <= wanted + move <= BOTTOM - 4]
    y = min(heights, key=lambda h: room.cost(start, width, h) + abs(h - wanted) / 4)
    room.boxes.append((start, width, y))
    name = node("tspan", text=f"{trace.key} ", class_="strong")
    rest = node("tspan", text=text, class_="wide-only")
    side: dict[str, Any] = (
        {"dx": 11, "text_anchor": "start"} if right else {"dx": -11, "text_anchor": "end"}
    )
    return node("text", name, rest, class_="halo", x=percent(x), y=y + 4, **side)


def _dots(traces: Sequence[Trace], place: Callable[[float], float]) -> list[Point]:
    dots = []
    for trace in traces:
        line = [(place(cost), _height(value)) for cost, value in trace.points]
        dots.append(line[-1])
        for (x0, y0), (x1, y1) in pairwise(line):
            dots += [(x0 + (x1 - x0) * k / 8, y0 + (y1 - y0) * k / 8) for k in range(9)]
    return dots


def _whisker(x: float, interval: Sequence[float] | None, css: str) -> list[Markup]:
    if interval is None:
        return []
    low, high = (_height(end) for end in interval)
    at = percent(x)
    return [node("line", x1=at, x2=at, y1=low, y2=high, class_=f"whisker whisker-{css}")]


def _point(x: float, y: float, css: str) -> Markup:
    if css == "ooc":
        return diamond(x, y, 6, "dot-ooc")
    return node("circle", cx=percent(x), cy=y, r=4.2, class_="dot-id")
