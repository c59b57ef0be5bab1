"""What a board says about the order of its entries, and how sure it is.

Two questions are answered for a *family* of entries, each with at most 5 % chance of any wrong
answer on the board: which may be the best, and which are better or worse than the reference entry
(`benchmark.statistics.multiple`). The family and the reference are chosen by rules that look at no
score: methods that a maintainer ran, with seeds enough, a few of every submitter. What stands
outside costs the others nothing, however much of it is submitted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.multiple import Field
from recombine.leaderboard.board.roles import role_of
from recombine.leaderboard.ledger.records import MAINTAINERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recombine.leaderboard.board.entries import Entry

MIN_SEEDS_TEST = 3
MIN_SEEDS_UNMARKED = 5
REFERENCE = "supervised"
"""Row that the others are compared with: an encoder trained on labels, which recombines nothing."""
PER_SUBMITTER = 5
"""Rows of one submitter in the family, the newest ones."""

Side = Literal["above", "below", "not told from", "not tested against", "is", ""]
OUTSIDE = {
    "bound": "an upper bound, out of competition",
    "control": "a control",
    "floor": "a floor",
}


@dataclass(frozen=True)
class Rank:
    """What is known about the place of one entry."""

    best: bool | None = None  # whether it may be the best of the family; None outside
    sole: bool = False  # nothing else may be
    side: Side = ""  # where it stands to the reference; empty when there is none
    outside: str = ""  # why it is no member of the family; empty for members

    @property
    def words(self) -> str:
        """Say whether it may be the best."""
        if self.best is None:
            return "outside"
        if self.sole and self.best:
            return "the best"
        return "may be the best" if self.best else "not the best"

    @property
    def against(self) -> str:
        """Say where it stands to the reference; outside the family by a test of its own."""
        if not self.side:
            return ""
        text = "the reference" if self.side == "is" else f"{self.side} the reference"
        return text if self.best is not None or self.side == "is" else f"{text}, tested alone"

    @property
    def reason(self) -> str:
        """Say why it is outside."""
        return f"Outside the family: {self.outside}." if self.outside else ""

    @property
    def order(self) -> int:
        """Return a number to sort by: those that may be the best, those above the reference."""
        sides: list[Side] = ["above", "is", "not told from", "not tested against", "below", ""]
        return (0 if self.best else 10 if self.best is None else 5) + sides.index(self.side)


@dataclass(frozen=True)
class Family:
    """The entries of a board that are judged together."""

    members: tuple[Entry, ...]
    field: Field  # their scores, in the same order
    reference: Entry | None  # a member
    outside: Counter[str]  # reasons, and how many entries each keeps out
    best: tuple[Entry, ...]  # which may be the best
    sides: Counter[Side]  # of members

    @property
    def words(self) -> str:
        """Name the family and what is said about it, for the page that shows it."""
        n = len(self.members)
        text = (
            f"Judged together: {n} {'entry' if n == 1 else 'entries'}, which are the "
            f"{runs_of(self.members)} with at least {MIN_SEEDS_TEST} training seeds. Equal answers "
            "count once"
        )
        own = any(one.own for one in self.members)
        text += "." if own else f", and of one submitter the newest {PER_SUBMITTER}."
        if self.outside:
            kept = ", ".join(f"{reason} ({count})" for reason, count in self.outside.most_common())
            text += f" Outside: {kept}."
        text += (
            " “May be the best”: no other of them is shown to be better. In 95 of 100 boards the "
            "best one is among those."
        )
        if self.reference is not None:
            text += (
                f" Above or below the reference ({self.reference.result.method.name}, a baseline "
                "fixed beforehand): all verdicts of a board are right in 95 of 100. Entries "
                "outside are compared with it one by one, without that promise."
            )
        return text


def rank_entries(
    entries: Sequence[Entry], alike: Sequence[Sequence[int]], reference: str = REFERENCE
) -> tuple[list[Rank], Family]:
    """Say of every entry of a board whether it may be the best, and where it stands.

    Parameters
    ----------
    entries : sequence of Entry
        Of one board, in any order.
    alike : sequence of sequence of int
        Places of entries that gave the same answers; the first of each stands for the others.
    reference : str
        Row of the entry that the others are compared with.

    Returns
    -------
    list of Rank
        In the order of ``entries``; equal answers have equal ranks.
    Family
        Who was judged together.
    """
    own = [_reason(entry) for entry in entries]
    # A copy that nobody ran takes no part in the verdict of the original, nor keeps it out.
    stand_for = {i: group[0] if own[i] == own[group[0]] else i for group in alike for i in group}
    first = sorted(set(stand_for.values()))
    why = _outside([entries[i] for i in first], [own[i] for i in first])
    reasons = dict(zip(first, why, strict=True))
    members = [i for i in first if not reasons[i]]
    base = _reference(entries, members, reference)
    field = Field([entries[i].ooc for i in members])
    best = dict(zip(members, field.best().tolist(), strict=True))
    sides = _sides(field, members, base)
    sides |= _alone(entries, [i for i in first if reasons[i]], base)
    sole = sum(best.values()) == 1
    found = {i: Rank(best.get(i), sole, sides.get(i, ""), reasons[i]) for i in first}
    family = Family(
        tuple(entries[i] for i in members),
        field,
        None if base is None else entries[base],
        Counter(reason for reason in why if reason),
        tuple(entries[i] for i in members if best[i]),
        Counter(sides[i] for i in members if i in sides),
    )
    return [found[stand_for[i]] for i in range(len(entries))], family


def runs_of(entries: Iterable[Entry]) -> str:
    """Say which methods a board judges."""
    return "methods" if any(one.own for one in entries) else "methods that a maintainer ran"


def _outside(entries: Sequence[Entry], own: Sequence[str]) -> list[str]:
    """Return why entries stand outside the family, by themselves or as surplus; or empty texts."""
    why = list(own)
    # The ledger says whose an entry is: a file could call itself a baseline. Maintainers: no cap.
    sent = (i for i, e in enumerate(entries) if not (why[i] or e.own or e.owner == MAINTAINERS))
    seen: Counter[str] = Counter()
    for i in sorted(sent, key=lambda i: entries[i].result.created, reverse=True):
        seen[entries[i].owner] += 1
        if seen[entries[i].owner] > PER_SUBMITTER:
            why[i] = f"more than {PER_SUBMITTER} of one submitter"
    return why


def _reason(entry: Entry) -> str:
    role = role_of(entry.result).key
    if role in OUTSIDE:
        return OUTSIDE[role]
    if not entry.confirmed:
        return "not run by a maintainer"
    if len(entry.ooc.cells) < MIN_SEEDS_TEST:
        return f"fewer than {MIN_SEEDS_TEST} training seeds"
    return ""


def _reference(entries: Sequence[Entry], members: Iterable[int], name: str) -> int | None:
    """Return the place of the reference: of its rows the one with most training images."""
    found = [i for i in members if entries[i].result.method.entry == name]
    return max(found, key=lambda i: entries[i].result.data.n_train, default=None)


def _sides(field: Field, members: Sequence[int], base: int | None) -> dict[int, Side]:
    """Return where members stand to the reference, all verdicts together."""
    if base is None:
        return {}
    one = members.index(base)
    differences, apart = field.against(one).difference.tolist(), field.apart(one).tolist()
    sides: dict[int, Side] = {
        i: _side(real, difference)
        for i, real, difference in zip(members, apart, differences, strict=True)
    }
    sides[base] = "is"
    return sides


def _alone(entries: Sequence[Entry], places: Sequence[int], base: int | None) -> dict[int, Side]:
    """Return where entries stand to the reference, each by its own test."""
    if base is None or not places:
        return {}
    found = Field([entries[base].ooc, *(entries[i].ooc for i in places)]).against(0)
    sides: dict[int, Side] = {}
    for i, p_value, difference in zip(places, found.p_value[1:], found.difference[1:], strict=True):
        enough = len(entries[i].ooc.cells) >= MIN_SEEDS_TEST
        alone = _side(bool(p_value <= stats.LEVEL), float(difference))  # false for NaN
        sides[i] = alone if enough else "not tested against"
    return sides


def _side(real: bool, difference: float) -> Side:
    if not real:
        return "not told from"
    return "above" if difference > 0 else "below"
