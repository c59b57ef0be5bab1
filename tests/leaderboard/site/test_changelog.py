"""The changelog and the feed follow from the result files."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_board import sample

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.site.changelog import ATOM, feed, news, plain_xml

NAMES = {"a": ATOM}


@pytest.fixture
def found(tmp_path):
    files = [
        sample(0).save(tmp_path / "old.json"),
        sample(0, created="2026-02-01T00:00:00Z", seeds=6).save(tmp_path / "new.json"),
        sample(1, created="2026-03-01T00:00:00Z").save(tmp_path / "other.json"),
    ]
    return news([rank_board(board) for board in load_boards(files)])


def test_every_file_is_listed_newest_first(found):
    assert [one.when[:10] for one in found] == ["2026-03-01", "2026-02-01", "2026-01-01"]
    newest, new, old = found
    assert (newest.before, newest.after, newest.change) == (None, None, None)
    assert new.before is old.row.entry
    assert old.after is new.row.entry
    scores = [one.row.entry.result.scores.ooc_test.estimate for one in (new, old)]
    assert new.change == scores[0] - scores[1]


def test_the_feed_is_atom_with_content_hashes(found):
    root = ET.fromstring(feed(found))
    items = root.findall("a:entry", NAMES)
    assert len(items) == 3
    assert root.findtext("a:updated", namespaces=NAMES) == "2026-03-01T00:00:00Z"
    for item, one in zip(items, found, strict=True):
        expected = f"urn:sha256:{one.row.entry.result.result_id}"
        assert item.findtext("a:id", namespaces=NAMES) == expected
        link = item.find("a:link", NAMES).get("href")
        assert link == f"entries/{one.row.entry.slug}.html"
    assert "superseding" in items[1].findtext("a:summary", namespaces=NAMES)


def test_an_empty_feed_is_valid():
    assert ET.fromstring(feed([])).findall("a:entry", NAMES) == []


@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=30))
def test_any_text_fits_into_xml(text):
    root = ET.Element("x")
    root.text = plain_xml(text)
    again = ET.fromstring(ET.tostring(root, encoding="utf-8")).text or ""
    # XML reads every line ending as a line feed (section 2.11).
    assert again == plain_xml(text).replace("\r\n", "\n").replace("\r", "\n")
