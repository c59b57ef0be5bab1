"""One method on training sets of several sizes: the data-scaling curve on an entry's page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from recombine.benchmark.statistics.curves import DataCurve, data_curves
from recombine.leaderboard.board.board import drawn_levels
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.charts import Mark, size_figure
from recombine.leaderboard.drawing.formatting import DASH
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from recombine.benchmark.statistics.curves import Reach
    from recombine.leaderboard.board.board import RankedBoard
    from recombine.leaderboard.board.entries import Entry

LEVELS = (0.5, 0.8)
"""Shares of right answers for which the page says how many training images they took."""


@dataclass(frozen=True)
class Family:
    """Entries of one method, with equal settings and readout, on training sets of several sizes."""

    entries: tuple[Entry, ...] = ()  # by ascending number of training images; one or more

    @property
    def figure(self) -> Markup | None:
        """Draw accuracy against training images; None with fewer than two sizes."""
        if len(self.entries) < 2:
            return None
        results = [entry.result for entry in self.entries]
        inside = [Mark(r.scores.id_test.estimate, r.scores.id_test.ci95) for r in results]
        outside = [Mark(r.scores.ooc_test.estimate, r.scores.ooc_test.ci95) for r in results]
        sizes = [result.data.n_train for result in results]
        levels = drawn_levels([result.scores.ooc_test for result in results])
        return size_figure(sizes, inside, outside, levels, "Accuracy against training images")

    @cached_property
    def curve(self) -> DataCurve | None:
        """Return the curve over the seeds that all sizes share; None where there are none."""
        try:
            found = data_curves(entry.result for entry in self.entries)
        except InvalidInputError:
            return None
        return found[0] if found else None

    @property
    def area(self) -> str:
        """Print the area under the OOC curve over log size, with its interval."""
        if self.curve is None:
            return "not computed: the sizes share no training seed"
        found = self.curve.area
        if found.ci95 is None:
            return f"{numbers.percent(found.value)} % (no interval)"
        low, high = (numbers.percent(end) for end in found.ci95)
        return f"{numbers.percent(found.value)} % ({low}{DASH}{high})"

    @property
    def reached(self) -> list[tuple[str, str]]:
        """Print from how many images on the OOC curve has each of ``LEVELS``."""
        if self.curve is None:
            return []
        ends = self.curve.sizes[0], self.curve.sizes[-1]
        return [(numbers.chance(at), reach_words(self.curve.reach(at), *ends)) for at in LEVELS]


def families(boards: Sequence[RankedBoard]) -> dict[str, Family]:
    """Group the current entries of every board by method, settings and readout."""
    found: dict[str, Family] = {}
    for ranked in boards:
        groups: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in ranked.board.entries:
            groups[entry.result.method.entry].append(entry)
        for group in groups.values():
            found |= {one.result.result_id: _family(one, group) for one in group}
    return found


def reach_words(found: Reach, smallest: float, largest: float) -> str:
    """Say from which size on a curve has a level."""
    if found.size is None:
        text = f"more than {numbers.count(largest)} images"
    elif found.size <= smallest:
        text = f"at most {numbers.count(smallest)} images"
    else:
        text = f"about {numbers.short(found.size)} images"
    if not found.tested:
        return f"{text} (no interval)"
    if found.low is None:
        return text
    low = "fewer" if found.low <= smallest else numbers.short(found.low)
    high = "more than measured" if found.high is None else numbers.short(found.high)
    return f"{text} (95 % interval {low} to {high})"


def _family(one: Entry, group: Sequence[Entry]) -> Family:
    """Return the entries of a group that differ from one in their number of images only."""
    own = one.result
    same = [
        other
        for other in group
        if other.result.method.settings == own.method.settings
        and other.result.method.code == own.method.code
        and other.result.readout.kind == own.readout.kind
    ]
    return Family(tuple(sorted(same, key=lambda entry: entry.result.data.n_train)))
