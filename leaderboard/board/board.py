"""A board as its page shows it: rows with ranks and figures, and the summary above them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from markupsafe import Markup

from recombine.benchmark.metrics.base import JOINT
from recombine.benchmark.results.levels import shared_levels, standing
from recombine.benchmark.results.table import copies_text, oracle_ooc
from recombine.leaderboard.board.entries import duplicate_groups
from recombine.leaderboard.board.ranks import (
    MIN_SEEDS_TEST,
    MIN_SEEDS_UNMARKED,
    REFERENCE,
    Family,
    Rank,
    rank_entries,
)
from recombine.leaderboard.board.roles import ROLES, Role, role_of, short_name
from recombine.leaderboard.board.summary import Summary, summarise
from recombine.leaderboard.board.titles import dataset_size, dataset_title
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.charts import (
    Mark,
    Trace,
    cost_figure,
    strip,
    strip_axis,
)
from recombine.leaderboard.drawing.formatting import DASH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recombine.benchmark.results.parts import Estimate, Score
    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.entries import Board, Entry
    from recombine.leaderboard.drawing.charts import Lines, Point
    from recombine.leaderboard.ledger.records import Tier

TRUST: dict[Tier, tuple[int, str]] = {
    "self-reported": (0, "what the file says; nobody who keeps this board has checked it"),
    "rescored": (1, "numbers recomputed from the predictions"),
    "rerun": (2, "weights run by the harness"),
    "retrained": (3, "trained, run and scored by the harness, every seed"),
}
INFERENCE = {
    "direct": "one pass of an encoder",
    "replay": "one pass of an encoder that was also trained on its own decoded recombinations",
    "search": "an encoder's guess, improved by search through the decoder",
    "replay+search": "a replay-trained encoder's guess, improved by search through the decoder",
}

DATA = {
    "scratch": "trained on the served images only",
    "pretrained": "began with weights from other data",
    "open": "may render further images",
}
SUPERVISION = {
    "unsupervised": "no labels in training",
    "weak": "weak labels in training",
    "supervised": "all labels in training",
}
TEST_COMPUTE = {
    "T1": "at most 3 times the reference encoder",
    "T10": "at most 30 times the reference encoder",
    "T100": "at most 300 times the reference encoder",
    "unbounded": "more than 300 times the reference encoder",
    "unknown": "operations not counted",
}

CHARTED, CHARTED_OF_A_KIND = 24, 6
"""Rows of the figures: all of a short board, else the highest of every role."""
NAMED = 10
"""Marks of the cost figure up to which each carries its name next to its letter."""


@dataclass(frozen=True)
class Row:
    """One entry on a board."""

    entry: Entry  # the result
    rank: Rank  # whether it may be the best, and where it stands to the reference
    letter: str  # its key in the figures, in the order of the estimates; not a rank
    # others with the same answers, which the table lists with it; empty for those themselves
    alike: tuple[Entry, ...] = ()
    listed: bool = True  # it has a line of its own in the table

    def number(self, path: str, form: str) -> Markup:
        """Print a number of the result file."""
        return numbers.field(self.entry.result, path, form)

    def interval(self, path: str, form: str) -> Markup:
        """Print an interval of the result file."""
        return numbers.interval(self.entry.result, path, form)

    @cached_property
    def role(self) -> Role:
        """Return the part that the entry plays."""
        return role_of(self.entry.result)

    @property
    def short_name(self) -> str:
        """Return the method's name for figures, where its inference stands beside it."""
        return short_name(self.entry.result)

    @property
    def seed_mark(self) -> str:
        """Return the mark of an entry with few seeds; empty when there are enough."""
        return "" if self.entry.n_seeds >= MIN_SEEDS_UNMARKED else "sketch"

    @property
    def seed_words(self) -> str:
        """Say what the mark means."""
        text = f"An unmarked entry has at least {MIN_SEEDS_UNMARKED} training seeds."
        if self.entry.n_seeds < MIN_SEEDS_TEST:
            text += f" With fewer than {MIN_SEEDS_TEST} it is not tested against others."
        return text

    @property
    def failed_checks(self) -> list[str]:
        """Name the harness checks that did not pass."""
        checks = self.entry.result.checks
        named = {
            "finite": checks.finite,
            "every image once": checks.coverage_once,
            "batch invariance": checks.batch_invariance is None or checks.batch_invariance.passed,
            "repeatability": checks.repeatability is None or checks.repeatability.passed,
            "no memory between calls": checks.memory is None or checks.memory.passed,
        }
        return [name for name, passed in named.items() if not passed]

    @property
    def missing(self) -> tuple[str, ...]:
        """Name what the result does not hold, derived from its content."""
        result = self.entry.result
        parts = {
            "no matched blocks, so no paired gap": result.paired_gap is None,
            "operations could not be counted": result.compute.gflop_per_image is None,
            "some operators were not counted": bool(result.compute.uncounted_ops),
            "costs do not match what the harness saw": result.compute.agrees is False,
            copies_text(result): bool(copies_text(result)),
            "too few seeds or cells, or no spread, so no interval": result.scores.ooc_test.ci95
            is None,
            "batch invariance was not checked": result.checks.batch_invariance is None,
            "repeatability was not checked": result.checks.repeatability is None,
            other_order(result): result.scores.ooc_test.metric_version != JOINT.version,
            "independence declared, not verified: answers may depend on earlier questions": (
                result.checks.independence != "twin"
            ),
        }
        return tuple(text for text, absent in parts.items() if absent)

    @property
    def trust_level(self) -> int:
        """Return the trust tier as 0, 1, 2 or 3."""
        return TRUST[self.entry.tier][0]

    @property
    def trust_words(self) -> str:
        """Say what the trust tier means."""
        return TRUST[self.entry.tier][1]

    @property
    def inference_words(self) -> str:
        """Say what the inference mode means."""
        return INFERENCE[self.entry.result.method.inference]

    @property
    def oracle_ooc(self) -> Estimate | None:
        """Return the OOC score of the oracle readout; None when not measured."""
        return oracle_ooc(self.entry.result)

    @property
    def standing(self) -> str:
        """Say where the OOC score stands to what ignorance scores; empty when not measured."""
        return standing(self.entry.result.scores.ooc_test)

    @property
    def track(self) -> tuple[str, str, str]:
        """Return training data, supervision and test compute: what the row may be compared in."""
        return track_of(self.entry)

    @property
    def above_ignorance(self) -> bool:
        """Tell whether the whole interval lies above the best that ignorance scores."""
        score = self.entry.result.scores.ooc_test
        if score.ci95 is None:
            return score.estimate > (score.floor or score.chance)
        return score.ci95[0] > (score.floor or score.chance)

    def trace(
        self, cost: float, words: str, key: str, label: str, before: Sequence[Point] = ()
    ) -> Trace:
        """Return the row's mark at a cost, in these words, with the steps before it."""
        score = self.entry.result.scores.ooc_test
        method, span = self.entry.result.method, ""
        if score.ci95 is not None:
            span = f" ({DASH.join(numbers.percent(end) for end in score.ci95)})"
        return Trace(
            key,
            label,
            (*before, (cost, score.estimate)),
            score.ci95,
            self.role.shape,
            href=f"entries/{self.entry.slug}.html",
            tip=(
                f"{self.letter} {method.name}, {method.inference}",
                f"OOC {numbers.percent(score.estimate)} %{span}, {words}",
            ),
        )

    @property
    def ooc_bar(self) -> Markup:
        """Draw the OOC score and its interval on a line from 0 to 100, small."""
        score = self.entry.result.scores.ooc_test
        low, high = (100 * end for end in score.ci95 or (score.estimate, score.estimate))
        # One string: a table has as many as rows, and every part of it is a number.
        return Markup(  # noqa: S704
            '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
            '<path class="grid" d="M0 4H100"/>'
            f'<path class="f-ooc" d="M0 3H{100 * score.estimate:.1f}V5H0Z"/>'
            f'<path class="whisker-ooc" d="M{low:.1f} 0V8M{high:.1f} 0V8"/></svg>'
        )

    @property
    def strip(self) -> Markup:
        """Draw ID and OOC with their intervals, and every training run as a point."""
        scores, name = self.entry.result.scores, self.entry.result.method.name
        inside, outside = scores.id_test, scores.ooc_test
        title = (
            f"{name}: ID {numbers.percent(inside.estimate)} %, "
            f"OOC {numbers.percent(outside.estimate)} %"
        )
        first, second = (Mark(one.estimate, one.ci95, one.per_seed) for one in (inside, outside))
        return strip(first, second, drawn_levels([outside]), title)


@dataclass(frozen=True)
class RankedTrack:
    """The entries of a board that share a track."""

    name: tuple[str, str, str]  # training data, supervision and test compute
    rows: tuple[Row, ...]  # the highest OOC estimate first

    @property
    def listed(self) -> tuple[Row, ...]:
        """Return the lines of the table: equal answers under several names are one."""
        return tuple(row for row in self.rows if row.listed)

    @property
    def title(self) -> str:
        """Return the track's name."""
        return ", ".join(self.name)

    @property
    def words(self) -> str:
        """Say what its entries may use."""
        data, supervision, compute = self.name
        return f"{DATA[data]}; {SUPERVISION[supervision]}; {TEST_COMPUTE[compute]}"


def other_order(result: Result) -> str:
    """Say in how many seeds an older measure gave slots other places than the scene's order."""
    matches = result.readout.slot_match
    swapped = sum(tuple(match) != tuple(sorted(match)) for match in matches)
    text = "slots assigned by the older rule"
    order = f", not in the scene's order in {swapped} of {len(matches)} seeds" if swapped else ""
    return text + order


@dataclass(frozen=True)
class RankedBoard:
    """A board with the verdicts of its tests."""

    board: Board  # the entries, the highest OOC estimate first
    tracks: tuple[RankedTrack, ...]  # what they may use
    family: Family  # who was judged together

    @property
    def slug(self) -> str:
        """Return an anchor for the board: safe characters only, unique by content."""
        key = self.board.key
        text = f"{key.dataset}-{key.version}-{key.resolution}px-{key.metric_version}"
        return f"{re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')}-{key.identity[:6].lower()}"

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Return one row per entry, in the order of ``board.entries``."""
        found = {row.entry.result.result_id: row for track in self.tracks for row in track.rows}
        return tuple(found[entry.result.result_id] for entry in self.board.entries)

    @property
    def title(self) -> str:
        """Return the dataset's name for people."""
        return dataset_title(self.board.entries[0].result)

    @property
    def size(self) -> str:
        """Say how many values and pixels the dataset has."""
        return dataset_size(self.board.entries[0].result)

    @cached_property
    def confirmed(self) -> tuple[Row, ...]:
        """Return the rows that verdicts count, the highest estimate first."""
        return tuple(row for row in self.rows if row.entry.confirmed)

    @property
    def own(self) -> bool:
        """Return whether this is somebody's own board: no ledger is kept beside its results."""
        return any(row.entry.own for row in self.rows)

    @property
    def listed(self) -> tuple[Row, ...]:
        """Return the lines of the table: the confirmed rows, or all where none is."""
        return tuple(row for row in self.confirmed or self.rows if row.listed)

    @property
    def unconfirmed(self) -> tuple[Row, ...]:
        """Return the lines below the table: not rerun, while others are."""
        if not self.confirmed:
            return ()
        return tuple(row for row in self.rows if row.listed and not row.entry.confirmed)

    @cached_property
    def apart(self) -> dict[str, str]:
        """Return what tells a row from others of its name and inference, by result id; or ""."""
        alike: dict[tuple[str, str], list[Result]] = {}
        for row in self.rows:
            method = row.entry.result.method
            alike.setdefault((method.name, method.inference), []).append(row.entry.result)
        found = {}
        for results in alike.values():
            told = [
                (one.method.entry, f"{numbers.count(one.data.n_train)} images") for one in results
            ]
            differ = [len(set(words)) > 1 for words in zip(*told, strict=True)]
            for one, words in zip(results, told, strict=True):
                telling = (word for word, tells in zip(words, differ, strict=True) if tells)
                found[one.result_id] = ", ".join(telling)
        return found

    @cached_property
    def full_names(self) -> dict[str, str]:
        """Return names of which no two are equal, by result id: for lists without columns."""
        found = {}
        for row in self.rows:
            result = row.entry.result
            words = (result.method.name, result.method.inference, self.apart[result.result_id])
            found[result.result_id] = ", ".join(filter(None, words))
        return found

    @property
    def older(self) -> str:
        """Say what an older measure means for this board; empty for the present one."""
        version = self.board.key.metric_version
        if version == JOINT.version:
            return ""
        return (
            f"Measure {version}: intervals and tests are those of the present measure, computed "
            "from the stored counts. Which slot of a method stands for which part of the scene was "
            "decided on validation images that show training's combinations, at times by a single "
            "image; with other slots an entry near 0 out of combination may score higher. It "
            f"cannot be compared with boards of measure {JOINT.version}."
        )

    @cached_property
    def roles(self) -> dict[Role, tuple[Row, ...]]:
        """Return the confirmed rows of every role that is present, the highest estimate first."""
        found = {
            role: tuple(row for row in self.confirmed if row.role is role)
            for role in ROLES.values()
        }
        return {role: rows for role, rows in found.items() if rows}

    @cached_property
    def charted(self) -> dict[Role, tuple[Row, ...]]:
        """Return the rows of the figures, role by role: all, or the highest of a long board."""
        if len(self.confirmed) <= CHARTED:
            return self.roles
        return {role: rows[:CHARTED_OF_A_KIND] for role, rows in self.roles.items()}

    @cached_property
    def summary(self) -> Summary:
        """Say what the board shows and what it cannot show."""
        first = {role.key: rows[0].entry for role, rows in self.roles.items()}
        return summarise(self.board, first, self.family)

    @cached_property
    def levels(self) -> Lines:
        """Return what ignorance scores out of combination, for figures."""
        return drawn_levels([entry.result.scores.ooc_test for entry in self.board.entries])

    @property
    def axis(self) -> Markup:
        """Draw the axis below the strips."""
        return strip_axis(self.levels)

    @property
    def cost(self) -> Markup | None:
        """Draw accuracy against compute; None when no entry's operations were counted."""
        rows = [row for rows in self.charted.values() for row in rows]
        names = [row.short_name for row in rows]
        if len(rows) > NAMED:  # letters alone: they stand beside the names in the other figure
            names = [""] * len(rows)
        labels = [
            name
            if not name or names.count(name) == 1
            else f"{name}, {row.entry.result.method.inference}"
            for name, row in zip(names, rows, strict=True)
        ]
        found = [_trace(row, label) for row, label in zip(rows, labels, strict=True)]
        traces = [trace for trace in found if trace is not None]
        if not traces:
            return None
        title = "OOC accuracy against GFLOP per image, one lettered marker per entry"
        return cost_figure(traces, self.levels, title)

    @property
    def uncounted(self) -> list[str]:
        """Name the entries that the cost figure leaves out."""
        return [
            row.entry.result.method.name
            for rows in self.charted.values()
            for row in rows
            if not row.entry.result.compute.gflop_per_image
        ]


def rank_board(board: Board, reference: str = REFERENCE) -> RankedBoard:
    """Judge the entries of a board and sort them into tracks.

    Parameters
    ----------
    board : Board
        At least one entry.
    reference : str
        Row of the entry that the others are compared with.

    Returns
    -------
    RankedBoard
        With what is known about every entry's place, from paired tests on the stored counts.
    """
    tracks: dict[tuple[str, str, str], list[int]] = {}
    for i, entry in enumerate(board.entries):
        tracks.setdefault(track_of(entry), []).append(i)
    # A line of the table is a confirmed entry where one of those with its answers is.
    alike = [
        tuple(sorted((places[i] for i in group), key=lambda i: not board.entries[i].confirmed))
        for places in tracks.values()
        for group in duplicate_groups([board.entries[i] for i in places])
    ]
    ranks, family = rank_entries(board.entries, alike, reference)
    rows: dict[int, Row] = {}
    for first, *others in alike:
        for i in (first, *others):
            same = tuple(board.entries[j] for j in others) if i == first else ()
            rows[i] = Row(board.entries[i], ranks[i], letter(i), same, listed=i == first)
    order = {name: i for part in (DATA, SUPERVISION, TEST_COMPUTE) for i, name in enumerate(part)}
    names = sorted(tracks, key=lambda track: [order[part] for part in track])
    return RankedBoard(
        board,
        tuple(RankedTrack(name, tuple(rows[i] for i in tracks[name])) for name in names),
        family,
    )


def track_of(entry: Entry) -> tuple[str, str, str]:
    """Return the track of an entry: training data, supervision, test compute."""
    track = entry.result.track
    return track.data, track.supervision, track.test_compute


def drawn_levels(scores: Sequence[Score]) -> Lines:
    """Return the levels of some scores as figures draw them."""
    return [(level.value, level.words) for level in shared_levels(scores)]


def every_row(boards: Sequence[RankedBoard]) -> Iterator[tuple[RankedBoard, Row, Entry | None]]:
    """Yield every entry that has a page: the current ones, then the superseded."""
    for ranked in boards:
        for row in ranked.rows:
            yield ranked, row, None
        for old in ranked.board.superseded:
            yield ranked, Row(old.entry, Rank(outside="superseded"), DASH), old.by


def letter(index: int) -> str:
    """Return the key of an entry in the figures."""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _trace(row: Row, label: str) -> Trace | None:
    result = row.entry.result
    curve, last = result.compute_curve, result.compute.gflop_per_image
    if not last:  # not counted, or none at all: neither has a place on a logarithmic axis
        return None
    # The curve of one run is stored with every entry read from it; draw it up to this entry.
    before = [
        (cost, value)
        for steps, cost, value in zip(curve.steps, curve.gflop_per_image, curve.ooc, strict=True)
        if cost and steps < result.compute.steps
    ]
    return row.trace(last, f"{numbers.short(last)} GFLOP per image", row.letter, label, before)
