"""Accuracy against cost: which entries no cheaper entry is known to beat."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.leaderboard.drawing.charts import LABELLED, Trace, cost_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from recombine.leaderboard.board.board import RankedBoard, Row
    from recombine.leaderboard.board.ranks import Comparisons

Cost = Callable[["Row"], float | None]
COSTS: tuple[tuple[str, str, str, Cost], ...] = (
    (
        "gflop",
        "GFLOP per image",
        "GFLOP per image, search included (log scale)",
        lambda row: row.entry.result.compute.gflop_per_image,
    ),
    (
        "images",
        "Training images seen",
        "training images, generated included (log)",
        lambda row: (
            row.entry.result.training.real_images_seen
            + row.entry.result.training.generated_images_seen
        ),
    ),
)


@dataclass(frozen=True)
class Front:
    """The entries of a board against one cost."""

    key: str  # ``"gflop"`` or ``"images"``
    title: str  # the cost in words
    # entry, its cost, and whether it is on the front; the cheapest first
    rows: tuple[tuple[Row, float, bool], ...]
    figure: Markup | None  # drawing; None when no entry has a known cost
    left_out: tuple[str, ...]  # names of entries without a known cost


def fronts(ranked: RankedBoard) -> list[Front]:
    """Return a board's entries against compute and against training images."""
    return [_front(ranked, *cost) for cost in COSTS]


def on_front(costs: Sequence[float], compared: Comparisons) -> list[bool]:
    """Return which entries no entry of at most their cost is known to beat."""
    beaten = compared.separated & (compared.difference < 0)
    return [
        not any(beaten[i, j] and costs[j] <= costs[i] for j in beaten[i].nonzero()[0])
        for i in range(len(costs))
    ]


def _front(ranked: RankedBoard, key: str, title: str, axis: str, cost_of: Cost) -> Front:
    found = [cost_of(row) or 0.0 for row in ranked.rows]
    # What costs nothing measurable has no place on a logarithmic axis and beats nobody by cost.
    # An upper bound is out of competition: nan is never "at most" another cost.
    costs = [
        math.nan if row.role.key == "bound" else cost or math.inf
        for row, cost in zip(ranked.rows, found, strict=True)
    ]
    kept = on_front(costs, ranked.compared)
    rows = [
        (row, cost, yes) for row, cost, yes in zip(ranked.rows, found, kept, strict=True) if cost
    ]
    left_out = [
        row.entry.result.method.name
        for row, cost in zip(ranked.rows, found, strict=True)
        if not cost
    ]
    figure = None
    if rows:
        few = len(rows) <= LABELLED
        traces = [_trace(row, cost, few, few or yes) for row, cost, yes in rows]
        figure = cost_figure(traces, ranked.levels, f"OOC accuracy against {title}", axis)
    return Front(key, title, tuple(sorted(rows, key=lambda r: r[1])), figure, tuple(left_out))


def _trace(row: Row, cost: float, named: bool, keyed: bool) -> Trace:
    result = row.entry.result
    score = result.scores.ooc_test
    name = f"{row.short_name}, {result.method.inference}" if named else ""
    return Trace(
        row.letter if keyed else "", name, ((cost, score.estimate),), score.ci95, row.role.shape
    )
