"""Accuracy against compute, as inline SVG: all entries of a board, or one entry's search curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.svg import diamond, figure, node, percent, segments, shaped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup

    from recombine.leaderboard.drawing.charts import Mark

HEIGHT, TOP, BOTTOM = 330, 14, 276
LEFT, RIGHT, INNER = 0.075, 0.985, 0.04
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
LINE_HEIGHT = 15.0
APART = 0.016
LABELLED = 24
LABEL_APART = 0.09
COMPUTE = "GFLOP per image, search included (log scale)"
LETTER_SHARE = 0.0115
"""Width of one letter of a label as a share of the figure at its usual size, for collisions."""


@dataclass(frozen=True)
class Trace:
    """One entry in the figure of accuracy against compute.

    Attributes
    ----------
    key : str
        Its letter on the board; empty for a mark without a label.
    name : str
        Label; untrusted text.
    points : tuple of (float, float)
        GFLOP per image (> 0) and OOC accuracy in [0, 1], in the order of search steps.
    interval : sequence of two floats, optional
        95 % interval of the last point.
    shape : str
        Mark of the last point, a key of ``svg.SHAPES``.
    """

    key: str
    name: str
    points: tuple[tuple[float, float], ...]
    interval: Sequence[float] | None = None
    shape: str = "diamond"


def cost_figure(
    traces: Sequence[Trace], chance: float | None, title: str, axis: str = COMPUTE
) -> Markup:
    """Draw OOC accuracy against a cost on a logarithmic axis.

    Parameters
    ----------
    traces : sequence of Trace
        Entries with at least one point each.
    chance : float, optional
        Where the chance line stands.
    title : str
        Accessible name.
    axis : str
        What the cost is.

    Returns
    -------
    Markup
        The last point of each trace is a lettered mark; a line shows what search added. Above
        24 entries with a letter the letters are left out.
    """
    costs = [cost for trace in traces for cost, _ in trace.points]
    low = math.floor(math.log10(min(costs)))
    high = max(low + 1, math.ceil(math.log10(max(costs))))

    def place(cost: float) -> float:
        return _inner((math.log10(cost) - low) / (high - low))

    parts = _frame(chance)
    for decade in range(low, high + 1):
        x = percent(place(10.0**decade))
        parts.append(node("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, class_="grid"))
        parts.append(_tick(x, numbers.short(10.0**decade)))
    parts.append(_axis_title(axis))
    ends = _apart([place(trace.points[-1][0]) for trace in traces])
    for end, trace in zip(ends, traces, strict=True):
        parts += _trace(trace, place, end)
    keyed = [(end, trace) for end, trace in zip(ends, traces, strict=True) if trace.key]
    if len(keyed) <= LABELLED:
        room = _Room([], _dots(traces, place))
        parts += [_label(end, trace, room) for end, trace in keyed]
    return figure(parts, title=title, height=HEIGHT, css="plot-wide")


def search_figure(
    steps: Sequence[int],
    inside: Sequence[Mark],
    outside: Sequence[Mark],
    chance: float | None,
    title: str,
    costs: Sequence[float | None] = (),
) -> Markup:
    """Draw accuracy against the number of search steps of one entry.

    Parameters
    ----------
    steps : sequence of int
        Ascending; drawn evenly spaced, since the harness reads at about equal ratios.
    inside, outside : sequence of Mark
        ID and OOC at every step count.
    chance : float, optional
        Where the chance line stands.
    title : str
        Accessible name.
    costs : sequence of float or None
        GFLOP per image at every step count, written below it; nothing where not counted.

    Returns
    -------
    Markup
        Both curves with their intervals.
    """
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
    return figure([*_frame(chance), *parts], title=title, height=height, css="plot-wide")


def size_figure(
    sizes: Sequence[int],
    inside: Sequence[Mark],
    outside: Sequence[Mark],
    chance: float | None,
    title: str,
) -> Markup:
    """Draw accuracy against the number of training images, on a logarithmic axis.

    Parameters
    ----------
    sizes : sequence of int
        Ascending and positive, at least two.
    inside, outside : sequence of Mark
        ID and OOC at every size.
    chance : float, optional
        Where the chance line stands.
    title : str
        Accessible name.

    Returns
    -------
    Markup
        Both curves with their intervals; sizes that stand close together share a label.
    """
    low, high = math.log(sizes[0]), math.log(sizes[-1])
    places = [_inner((math.log(size) - low) / (high - low)) for size in sizes]
    parts, last = [], -1.0
    for x, size in zip(places, sizes, strict=True):
        if x - last >= LABEL_APART:
            parts.append(_tick(percent(x), numbers.count(size)))
            last = x
    parts.append(_axis_title("training images (log scale)"))
    parts += _both(places, inside, outside)
    return figure([*_frame(chance), *parts], title=title, height=HEIGHT, css="plot-wide")


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


def _frame(chance: float | None) -> list[Markup]:
    ends = {"x1": percent(LEFT), "x2": percent(RIGHT)}
    parts = []
    for tick in TICKS:
        y = _height(tick)
        parts.append(node("line", y1=y, y2=y, class_="grid" if tick else "axis", **ends))
        parts.append(node("text", x=0, y=y + 4, text=f"{100 * tick:.0f}"))
    if chance is not None:
        y = _height(chance)
        text = f"chance {numbers.chance(chance)} %"
        parts.append(node("line", y1=y, y2=y, class_="chance", **ends))
        parts.append(node("text", x=percent(RIGHT), y=y - 5, text_anchor="end", text=text))
    return parts


def _apart(places: Sequence[float]) -> list[float]:
    """Move markers of equal cost a little to the right, so that their intervals stay visible."""
    if len(places) > LABELLED:
        return list(places)
    moved: list[float] = []
    for x in places:
        while any(abs(x - other) < APART * 0.9 for other in moved):
            x += APART
        moved.append(x)
    return moved


def _trace(trace: Trace, place: Callable[[float], float], end: float) -> list[Markup]:
    line = [(place(cost), _height(value)) for cost, value in trace.points]
    line[-1] = (end, line[-1][1])
    dots = [node("circle", cx=percent(x), cy=y, r=2.4, class_="f-ooc") for x, y in line[:-1]]
    x, y = line[-1]
    return [
        *segments(line, "curve curve-ooc"),
        *dots,
        *_whisker(x, trace.interval, "ooc"),
        shaped(trace.shape, x, y, "dot-ooc"),
    ]


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


def _label(x: float, trace: Trace, room: _Room) -> Markup:
    """Write letter and name beside a marker, moved up or down to where it is free."""
    text = trace.name if len(trace.name) <= 40 else trace.name[:39] + "…"
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


def _dots(traces: Sequence[Trace], place: Callable[[float], float]) -> list[tuple[float, float]]:
    dots = []
    for trace in traces:
        line = [(place(cost), _height(value)) for cost, value in trace.points]
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
