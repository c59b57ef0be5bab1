"""A badge is a small picture of its own."""

import xml.etree.ElementTree as ET

from sample_board import sample

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.exports.badges import badge

SVG = {"s": "http://www.w3.org/2000/svg"}


def drawn(tmp_path, **over):
    (board,) = load_boards([sample(4, **over).save(tmp_path / "a.json")])
    row = rank_board(board).rows[0]
    return row.entry.result.scores.ooc_test, ET.fromstring(badge(row))


def test_it_shows_score_and_interval(tmp_path):
    score, root = drawn(tmp_path)
    low, high = score.ci95
    value = f"{100 * score.estimate:.1f} % ({100 * low:.1f}\u2013{100 * high:.1f})"
    assert root.findtext("s:title", namespaces=SVG) == f"recombine OOC: {value}"
    assert [t.text for t in root.findall("s:text", SVG)] == ["recombine OOC", value]
    assert float(root.get("width")) > 150


def test_without_an_interval_none_is_made_up(tmp_path):
    _, root = drawn(tmp_path, seeds=1)
    assert "(" not in root.findtext("s:title", namespaces=SVG)


def test_it_loads_nothing_and_runs_nothing(tmp_path):
    _, root = drawn(tmp_path)
    for element in root.iter():
        assert element.tag.rpartition("}")[2] in ("svg", "title", "rect", "text")
        assert not [name for name in element.attrib if "href" in name or name.startswith("on")]
