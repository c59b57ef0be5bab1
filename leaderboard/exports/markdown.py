"""A board as a Markdown table, for documents that live beside the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recombine.leaderboard.board.roles import role_of
from recombine.leaderboard.drawing import formatting as numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recombine.leaderboard.board.board import RankedBoard, Row

HEAD = (
    "| entry | kind | seeds | ID % | OOC % | paired gap | GFLOP/image | generated images |",
    "|---|---|---|---|---|---|---|---|",
)


def table(boards: Sequence[RankedBoard]) -> str:
    """Write boards as Markdown tables, the highest OOC accuracy of each track first."""
    return "\n".join("\n".join(_lines(ranked)) + "\n" for ranked in boards)


def _lines(ranked: RankedBoard) -> Iterator[str]:
    key, first = ranked.board.key, ranked.board.entries[0].result
    chance = numbers.chance(first.scores.ooc_test.chance)
    sizes = sorted({entry.result.data.n_train for entry in ranked.board.entries})
    yield (
        f"**{key.dataset} {key.version}**, {key.resolution} px, root `{key.root[:16]}`, "
        f"{', '.join(map(numbers.count, sizes))} training images, chance {chance} %"
    )
    yield ""
    yield from HEAD
    rows = [row for track in ranked.tracks for row in track.listed]
    for row in sorted(rows, key=lambda row: -row.entry.result.scores.ooc_test.estimate):
        yield _row(row)


def _row(row: Row) -> str:
    result = row.entry.result
    names = [result.method.id, *(one.result.method.id for one in row.alike)]
    gflop, gap = result.compute.gflop_per_image, result.paired_gap or result.gap
    cells = (
        f"{', '.join(map(_plain, names))}, {result.method.inference}",
        role_of(result).label.lower(),
        str(row.entry.n_seeds),
        _estimate(result.scores.id_test, numbers.percent),
        _estimate(result.scores.ooc_test, numbers.percent),
        _estimate(gap, numbers.points),
        "not counted" if gflop is None else numbers.short(gflop),
        numbers.count(result.training.generated_images_seen),
    )
    return f"| {' | '.join(cells)} |"


def _estimate(part: Any, form: Any) -> str:
    text = form(part.estimate)
    if part.ci95 is None:
        return f"{text} (no interval)"
    low, high = map(form, part.ci95)
    return f"{text} [{low}, {high}]"


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else " " for c in text)
