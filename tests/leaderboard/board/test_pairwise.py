"""What the compare page embeds gives the differences of the statistics."""

import json

import numpy as np
import pytest
from sample_board import declared, sample, write_results

from recombine.benchmark.statistics import intervals as stats
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.board.pairwise import page_data, static_pairs, summary_of


def ranked(tmp_path, **over):
    (board,) = load_boards(write_results(tmp_path, **over))
    return rank_board(board)


def test_every_entry_and_cell_is_there(tmp_path):
    board = ranked(tmp_path)
    data = page_data(board)
    assert [item["slug"] for item in data["entries"]] == [row.entry.slug for row in board.rows]
    assert len(data["cells"]["id"]) == len(data["cells"]["ooc"]) == 8
    assert data["cells"]["ooc"] == sorted(data["cells"]["ooc"])
    json.dumps(data, allow_nan=False)


@pytest.mark.parametrize("shape", [(5, 8), (2, 3), (7, 2)])
def test_the_summary_is_enough_for_a_paired_difference(shape):
    rng = np.random.default_rng(3)
    first, second = rng.uniform(size=shape), rng.uniform(size=(4, shape[1]))
    a, b = summary_of(first), summary_of(second)
    each = np.array(a["cells"]) - np.array(b["cells"])
    terms = [
        stats.Term(each.var(ddof=1) / len(each), len(each) - 1),
        stats.Term(a["spread"], a["seeds"] - 1),
        stats.Term(b["spread"], b["seeds"] - 1),
    ]
    found = stats.estimate(a["mean"] - b["mean"], terms, (-1, 1))
    expected = stats.paired_difference(first, second)
    assert found.value == expected.value
    assert found.ci95 == pytest.approx(expected.ci95)


def test_one_seed_has_no_spread(tmp_path):
    items = page_data(ranked(tmp_path, seeds=1))["entries"]
    assert all(item["ooc"]["spread"] is None and item["gap"]["spread"] is None for item in items)


def test_factors_without_cells_have_no_interval_data(tmp_path):
    plain = sample(0).model_dump(mode="json")["scores"]
    for name in plain["ooc_test"]["per_factor"]:
        plain["ooc_test"]["per_factor"][name]["per_cell"] = []
    (board,) = load_boards([sample(0, scores=plain).save(tmp_path / "a.json")])
    (item,) = page_data(rank_board(board))["entries"]
    assert all("cells" not in factor for factor in item["factors"].values())


def test_the_static_pairs_are_those_of_the_statistics(tmp_path):
    board = ranked(tmp_path)
    pairs = static_pairs(board)
    # three of the four generative entries and both others, every pair once, the higher one first
    assert len(pairs) == 10
    assert all(pair.first.letter < pair.second.letter for pair in pairs)
    for pair in pairs:
        found = stats.paired_difference(pair.first.entry.ooc, pair.second.entry.ooc)
        assert pair.difference == found
        assert pair.verdict in ("told apart", "not told apart")
    assert {pair.verdict for pair in static_pairs(ranked(tmp_path / "few", seeds=2))} == {
        "not tested"
    }
    assert static_pairs(ranked(tmp_path / "one", indices=[0])) == []


def test_an_upper_bound_is_in_no_static_pair(tmp_path):
    method = sample(0).model_dump(mode="json")["method"] | declared("bound")
    files = [
        sample(0, method=method).save(tmp_path / "a.json"),
        sample(1).save(tmp_path / "b.json"),
    ]
    (board,) = load_boards(files)
    assert static_pairs(rank_board(board)) == []
