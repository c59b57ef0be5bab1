"""Accuracy against cost: which entries know something, and no cheaper entry is known to beat."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.charts import LABELLED, cost_figure

if TYPE_CHECKING:
    from markupsafe import Markup

    from recombine.leaderboard.board.board import RankedBoard, Row
    from recombine.leaderboard.board.ranks import Family
    from recombine.leaderboard.drawing.charts import Trace

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


FRONT = "on the front"


class Placed(NamedTuple):
    """One entry against one cost."""

    row: Row
    cost: float
    words: str  # `FRONT`, or why it is not there


@dataclass(frozen=True)
class Front:
    """The entries of a board against one cost."""

    key: str  # ``"gflop"`` or ``"images"``
    title: str  # the cost in words
    rows: tuple[Placed, ...]  # the cheapest first
    figure: Markup | None  # drawing; None when no entry has a known cost
    left_out: tuple[str, ...]  # names of entries without a known cost


def fronts(ranked: RankedBoard) -> list[Front]:
    """Return a board's entries against compute and against training images."""
    return [_front(ranked, *cost) for cost in COSTS]


def beaten_at_no_more_cost(family: Family, one: int, costs: list[float]) -> bool:
    """Return whether a member is shown to be worse than another that costs no more."""
    return family.field.beaten(one, by=np.array([cost <= costs[one] for cost in costs]))


def _front(ranked: RankedBoard, key: str, title: str, axis: str, cost_of: Cost) -> Front:
    found = {row.entry.slug: cost_of(row) or 0.0 for row in ranked.rows}
    # What costs nothing measurable has no place on a logarithmic axis and beats nobody by cost.
    costs = [found[entry.slug] or math.inf for entry in ranked.family.members]
    member = {entry.slug: i for i, entry in enumerate(ranked.family.members)}

    def place(row: Row) -> str:
        if row.rank.outside:
            return f"outside: {row.rank.outside}"
        if not row.listed:
            return "the same answers as another entry"
        if not row.above_ignorance:
            return "not above what ignorance scores"
        if beaten_at_no_more_cost(ranked.family, member[row.entry.slug], costs):
            return "beaten at no more cost"
        return FRONT

    rows = sorted(
        (Placed(row, found[row.entry.slug], place(row)) for row in ranked.rows
         if found[row.entry.slug]),
        key=lambda one: one.cost,
    )  # fmt: skip
    left_out = [row.entry.result.method.name for row in ranked.rows if not found[row.entry.slug]]
    figure = None
    if rows:
        few = len(rows) <= LABELLED
        traces = [_trace(one, key, few) for one in rows]
        figure = cost_figure(traces, ranked.levels, f"OOC accuracy against {title}", axis)
    return Front(key, title, tuple(rows), figure, tuple(left_out))


def _trace(one: Placed, key: str, few: bool) -> Trace:
    row, method = one.row, one.row.entry.result.method
    words = f"{numbers.count(int(one.cost))} training images"
    if key == "gflop":
        words = f"{numbers.short(one.cost)} GFLOP per image"
    letter = row.letter if few or one.words == FRONT else ""
    return row.trace(
        one.cost, words, letter, f"{row.short_name}, {method.inference}" if few else ""
    )
