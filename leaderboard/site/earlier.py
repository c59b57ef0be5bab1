"""Results on data of earlier versions: kept and listed, and on no board.

A folder of the archive holds result files, the ledger as it was when they left the board, and
``README.md`` with what a reader must know before reading them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from recombine.benchmark.results.result import Result
from recombine.leaderboard.board.entries import find_results
from recombine.leaderboard.ledger.records import read_ledger
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.text import tidy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recombine.leaderboard.ledger.records import Mark, Tier


@dataclass(frozen=True)
class Kept:
    """One archived result."""

    file: str
    result: Result
    tier: Tier
    mark: Mark | None  # disputed or withdrawn
    content: bytes


@dataclass(frozen=True)
class Archived:
    """The results of one folder of the archive."""

    name: str  # of the folder, such as ``1.x``
    caveats: tuple[str, ...]  # paragraphs
    kept: tuple[Kept, ...]  # dataset by dataset, the highest OOC estimate first

    @property
    def tables(self) -> Iterator[tuple[str, list[Kept]]]:
        """Yield what the results of one dataset are called, and those results."""
        for name, same in groupby(self.kept, key=lambda one: _dataset(one.result)):
            yield name, list(same)


def load_archive(folder: Path) -> Archived:
    """Read a folder of the archive; every file is checked against its hash, and the ledger.

    Raises
    ------
    InvalidInputError
        When the folder, a result or the README is missing or invalid.
    IntegrityError
        When a file or the ledger was edited.
    """
    words = folder / "README.md"
    if not words.is_file():
        raise InvalidInputError(
            f"archive: expected {words}, which says what a reader must know of these results, "
            "found none; write it"
        )
    ledger = read_ledger(folder)
    kept = []
    for path in find_results(folder):
        content = path.read_bytes()
        result = Result.from_bytes(content, path)
        mark = ledger.marks.get(result.result_id)
        kept.append(Kept(path.name, result, ledger.tier(result.result_id), mark, content))
    kept.sort(key=lambda one: (_dataset(one.result), -one.result.ooc.estimate, one.file))
    parts = words.read_text(encoding="utf-8").split("\n\n")
    caveats = tuple(tidy(part) for part in parts if part.strip() and not part.startswith("#"))
    return Archived(folder.name, caveats, tuple(kept))


def _dataset(result: Result) -> str:
    data = result.data
    return f"{data.dataset} {data.version}, {data.resolution} px"
