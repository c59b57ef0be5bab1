"""What was added when: the changelog page and the Atom feed, both derived from the result files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.leaderboard.board.board import every_row
from recombine.leaderboard.drawing import formatting as numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.leaderboard.board.board import RankedBoard, Row
    from recombine.leaderboard.board.entries import Entry

ATOM = "http://www.w3.org/2005/Atom"
NEWEST = 50
"""Entries in the feed; readers poll it, the changelog page holds all."""
CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow (section 2.2)."""


@dataclass(frozen=True)
class News:
    """One result file that came onto a board."""

    ranked: RankedBoard  # the board
    row: Row  # the entry
    before: Entry | None  # the entry whose row it took
    after: Entry | None  # the entry that took its row later

    @property
    def when(self) -> str:
        """Return when it was scored, UTC."""
        return self.row.entry.result.created

    @property
    def change(self) -> float | None:
        """Return the OOC score minus that of the entry before; None for a new row."""
        if self.before is None:
            return None
        scores = self.row.entry.result.scores, self.before.result.scores
        return scores[0].ooc_test.estimate - scores[1].ooc_test.estimate


def news(boards: Sequence[RankedBoard]) -> list[News]:
    """List every result file, the newest first."""
    found = []
    for ranked, row, after in every_row(boards):
        same = [
            old.entry for old in ranked.board.superseded if _row_of(old.entry) == _row_of(row.entry)
        ]
        older = [one for one in same if one.result.created < row.entry.result.created]
        before = max(older, key=lambda one: one.result.created, default=None)
        found.append(News(ranked, row, before, after))
    return sorted(found, key=lambda one: (one.when, one.row.entry.slug), reverse=True)


def feed(found: Sequence[News]) -> bytes:
    """Write the newest entries as an Atom feed."""
    root = ET.Element("feed", {"xmlns": ATOM})
    _text(root, "id", "urn:recombine:leaderboard")
    _text(root, "title", "recombine leaderboard")
    _text(root, "updated", found[0].when if found else "1970-01-01T00:00:00Z")
    _text(ET.SubElement(root, "author"), "name", "recombine")
    ET.SubElement(root, "link", {"href": "index.html"})
    for one in found[:NEWEST]:
        item = ET.SubElement(root, "entry")
        result = one.row.entry.result
        score = result.scores.ooc_test
        _text(item, "id", f"urn:sha256:{result.result_id}")
        _text(item, "title", f"{result.method.name} ({result.method.inference})")
        _text(item, "updated", one.when)
        ET.SubElement(item, "link", {"href": f"entries/{one.row.entry.slug}.html"})
        key = one.ranked.board.key
        board = f"{key.dataset} {key.version}, {key.resolution} px"
        state = "superseding an older file" if one.before else "a new row"
        _text(item, "summary", f"{board}: OOC {numbers.percent(score.estimate)} %, {state}")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def plain_xml(text: str) -> str:
    r"""Return a text without the characters that XML cannot hold."""
    return CONTROL.sub("\ufffd", text)


def _row_of(entry: Entry) -> tuple[str, int]:
    return entry.result.method.entry, entry.result.data.n_train


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = plain_xml(text)
