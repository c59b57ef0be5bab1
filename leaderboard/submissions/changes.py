"""What a new set of result files changes on the boards, for a reviewer's eye."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from recombine.leaderboard.board.board import every_row, rank_board
from recombine.leaderboard.board.entries import read_boards, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from recombine.leaderboard.board.board import RankedBoard

    Place = tuple[str, str, int]

Kind = Literal["added", "superseded", "removed", "verdict"]


@dataclass(frozen=True)
class EntryChange:
    """One difference between two states of the boards."""

    kind: Kind  # "superseded": a newer file took the row. "removed" must not happen: files stay
    board: str  # where
    entry: str  # where
    n_train: int  # training images of the row
    before: str  # OOC score or verdict; empty when there was or is none
    after: str  # OOC score or verdict; empty when there was or is none

    @property
    def plain(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class _Row(NamedTuple):
    result_id: str
    score: str
    rank: str


def diff(old: Iterable[Path], new: Iterable[Path]) -> list[EntryChange]:
    """Compare two sets of result files; those that do not hold are on no board.

    Raises
    ------
    InvalidInputError, IntegrityError
        When a file that is in the second set only does not hold.
    """
    old, new = list(old), list(new)
    found, refused = read_boards(new)
    if fresh := [one for one in refused if one.path not in old]:
        raise refusal(fresh)
    boards = [rank_board(board) for board in found]
    before = _rows([rank_board(board) for board in read_boards(old)[0]])
    after, kept = _rows(boards), {row.entry.result.result_id for _, row, _ in every_row(boards)}
    files, ranks = [], []
    for place in sorted(before.keys() | after.keys()):
        was, now = before.get(place), after.get(place)
        kind: Kind | None = None
        if now is None or (was is not None and was.result_id not in kept):
            kind = "removed"
        elif was is None:
            kind = "added"
        elif was.result_id != now.result_id:
            kind = "superseded"
        elif was.rank != now.rank:
            ranks.append(EntryChange("verdict", *place, was.rank, now.rank))
        if kind is not None:
            scores = was.score if was else "", now.score if now else ""
            files.append(EntryChange(kind, *place, *scores))
    return files + ranks


def _rows(boards: Sequence[RankedBoard]) -> dict[Place, _Row]:
    found = {}
    for ranked in boards:
        for row in ranked.rows:
            result = row.entry.result
            score = f"{result.scores.ooc_test.estimate:.4f}"
            words = ", ".join(filter(None, (row.rank.words, row.rank.against)))
            place = ranked.slug, result.method.entry, result.data.n_train
            found[place] = _Row(result.result_id, score, words)
    return found
