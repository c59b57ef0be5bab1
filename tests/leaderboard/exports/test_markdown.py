"""Markdown tables hold the site's numbers, and the committed page those of committed results."""

from pathlib import Path

import pytest
from sample_board import write_results

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.exports import markdown

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/results.md"


def tables(folder):
    return markdown.table(
        [rank_board(board) for board in load_boards(sorted(folder.glob("*.json")))]
    )


def rows(text):
    return [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]


def test_every_entry_is_a_row_with_the_numbers_of_the_site(tmp_path):
    paths = write_results(tmp_path)
    found = rows(tables(tmp_path))
    assert len(found) == len(paths)
    assert {len(row) for row in found} == {8}
    results = [entry.result for board in load_boards(paths) for entry in board.entries]
    for result in results:
        (row,) = (r for r in found if r[0] == f"| {result.method.id}, {result.method.inference}")
        assert row[3].startswith(numbers.percent(result.scores.id_test.estimate))
        assert row[4].startswith(numbers.percent(result.scores.ooc_test.estimate))
    shown = [float(row[4].split()[0]) for row in found]
    assert shown == sorted(shown, reverse=True)


def test_a_strangers_name_makes_no_cell_or_markup():
    assert markdown._plain("a|b*c`d<e") == "a b c d e"


def test_the_committed_page_shows_the_committed_results():
    if not PAGE.is_file():
        pytest.skip("needs a checkout")
    assert tables(ROOT / "leaderboard/results") in PAGE.read_text()
