"""A board as its page lays it out: columns, facets, the best entry, the picture of the task."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from recombine.leaderboard.board.board import DATA, INFERENCE, SUPERVISION, TEST_COMPUTE
from recombine.leaderboard.board.roles import ROLES
from recombine.leaderboard.board.summary import METHODS
from recombine.leaderboard.site.entry import data_folder, render_command
from recombine.leaderboard.site.glossary import GLOSSARY, Term
from recombine.leaderboard.site.task import Example, examples, grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from markupsafe import Markup

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.board import RankedBoard, Row
    from recombine.leaderboard.board.entries import Entry
    from recombine.leaderboard.site.data_pages import Card


@dataclass(frozen=True)
class Column:
    """One column of the table; cells stand in this order in the template."""

    key: str  # in addresses of views
    label: str  # its heading
    long: str  # its name in lists
    first: str = "descending"  # how a first click sorts
    css: str = "num"
    shown: bool = True  # before anybody chooses

    @property
    def term(self) -> Term | None:
        """Return what the heading means, where it needs that."""
        return GLOSSARY.get(self.key)


COLUMNS = (
    Column("entry", "Method", "Method", "ascending", ""),
    Column("ooc", "OOC,\u00a0%", "OOC, unseen combinations, %"),
    Column("id", "ID,\u00a0%", "ID, seen combinations, %"),
    Column("gap", "Gap", "Gap, points", "ascending"),
    Column("rank", "Verdict", "Verdict", "ascending", ""),
    Column("gflop", "GFLOP per\u00a0image", "GFLOP per image", "ascending"),
    Column("track", "Track", "Track", "ascending", ""),
    Column("seeds", "Seeds", "Seeds"),
    Column("trust", "Trust", "Trust", css=""),
    Column("lift", "Lift", "Lift over ignorance", shown=False),
    Column("oracle", "Oracle readout,\u00a0%", "Oracle readout, %", shown=False),
    Column("steps", "Search steps", "Search steps", "ascending", shown=False),
    Column("images", "Training images seen", "Training images seen", "ascending", shown=False),
    Column("tried", "Configs tried", "Configurations tried", "ascending", shown=False),
    Column("credit", "Authors and\u00a0links", "Authors and links", "ascending", "", shown=False),
)


@dataclass(frozen=True)
class Option:
    """One value of a facet."""

    value: str
    name: str
    count: int  # entries that have it
    checked: bool = False  # from the start


@dataclass(frozen=True)
class Facet:
    """A property by which rows are chosen: those with a checked value, or all where none is."""

    key: str  # the attribute of a row that holds the value
    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class BoardPage:
    """A board with what its page needs beside its rows."""

    ranked: RankedBoard
    card: Card | None  # of its dataset, or of another version of it

    columns = COLUMNS
    terms = tuple(column.term for column in COLUMNS if column.term is not None)

    @property
    def best(self) -> Row | None:
        """Return the row that the headline is about."""
        return self._row(self.ranked.summary.best)

    @property
    def plain(self) -> Row | None:
        """Return the row that the headline sets against it."""
        return self._row(self.ranked.summary.plain)

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """Return pictures of the task; empty without a contact sheet of the dataset."""
        return examples(self.card, self._result)

    @property
    def grid(self) -> Markup | None:
        """Draw the split, for a board without pictures."""
        return grid(self._result)

    @property
    def design(self) -> str:
        """Say what training shows."""
        scores = self._result.scores
        shown, held = scores.id_test.n_cells, scores.ooc_test.n_cells
        factors = [
            name.replace(".", " ").replace("_", " ") for name in self._result.data.recombined
        ]
        return (
            f"Asked are {held} combinations of {' and '.join(factors)} that training never shows, "
            f"although it shows each of their values, and {shown} that it does show."
        )

    @property
    def render_command(self) -> str:
        """Return the command that renders the data; empty when that is not on record."""
        return render_command(self._result)

    @property
    def data_folder(self) -> str:
        """Return where that command puts the data."""
        return data_folder(self._result)

    @cached_property
    def kinds(self) -> Facet:
        """Return the facet that folds controls, floors and bounds in."""
        names = {role.key: role.label for role in ROLES.values()}
        found = self._facet("kind", "Show", names, lambda row: row.role.key)
        competing = [one for one in found.options if one.value in METHODS]
        if not competing:
            return found
        options = (
            Option(one.value, one.name, one.count, one in competing) for one in found.options
        )
        return Facet(found.key, found.name, tuple(options))

    @cached_property
    def facets(self) -> tuple[Facet, ...]:
        """Return what rows are chosen by: the parts of a track, and how an answer comes about."""
        found = (
            self._facet("data", "Training data", _same(DATA), lambda row: row.track[0]),
            self._facet("supervision", "Supervision", _same(SUPERVISION), lambda row: row.track[1]),
            self._facet("compute", "Test compute", _same(TEST_COMPUTE), lambda row: row.track[2]),
            self._facet("inference", "Inference", _same(INFERENCE), _inference),
        )
        return tuple(facet for facet in found if len(facet.options) > 1)

    @property
    def _result(self) -> Result:
        return self.ranked.board.entries[0].result

    def _row(self, entry: Entry | None) -> Row | None:
        if entry is None:
            return None
        return next(row for row in self.ranked.rows if row.entry is entry)

    def _facet(
        self, key: str, title: str, names: Mapping[str, str], value_of: Callable[[Row], str]
    ) -> Facet:
        counts: Counter[str] = Counter()
        for row in self.ranked.listed:
            counts[value_of(row)] += 1 + len(row.alike)
        options = (Option(value, name, counts[value]) for value, name in names.items())
        return Facet(key, title, tuple(option for option in options if option.count))


def _same(values: Iterable[str]) -> dict[str, str]:
    return {value: value for value in values}


def _inference(row: Row) -> str:
    return row.entry.result.method.inference


def main_board(boards: Sequence[RankedBoard]) -> RankedBoard | None:
    """Return the board of the front page: the one with most rerun methods."""
    return max(
        boards,
        key=lambda one: (sum(row.role.key in METHODS for row in one.confirmed), len(one.rows)),
        default=None,
    )


def methods_of(ranked: RankedBoard) -> list[list[Row]]:
    """Group the rows of a board by method: methods, then controls, floors and bounds.

    Within each the method with the highest row stands first.
    """
    found: dict[str, list[Row]] = {}
    for row in ranked.rows:
        found.setdefault(row.entry.result.method.id, []).append(row)
    order = {key: max(0, i - 1) for i, key in enumerate(ROLES)}  # both kinds of methods mix
    return sorted(found.values(), key=lambda rows: order[rows[0].role.key])
