"""What the compare page embeds gives the differences of the statistics."""

import json
from itertools import combinations

import numpy as np
import pytest
from sample_board import declared, sample, write_results

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.compare import compare_results
from recombine.benchmark.statistics.design import Crossed
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


def parts_of_cells(each, design):
    """Return what values and cells add to the variance of a mean, from what the page embeds."""
    off = each - each.mean()
    squares = [
        sum(off[np.array(group) == v].sum() ** 2 for v in range(levels))
        for group, levels in zip(design["groups"], design["levels"], strict=False)
    ]
    parts = np.array(design["weights"]) @ [*squares, np.sum(off**2)]
    return [
        stats.Term("", max(0.0, part), levels - 1)
        for part, levels in zip(parts, design["levels"], strict=True)
    ]


def test_the_summary_is_enough_for_a_paired_difference(tmp_path):
    board = ranked(tmp_path)
    data = json.loads(json.dumps(page_data(board)))
    assert len(data["design"]["ooc"]["levels"]) == 3  # shapes, environments, cells
    for first, second in combinations(range(len(board.rows)), 2):
        a, b = (data["entries"][i]["ooc"] for i in (first, second))
        blocks = np.array(a["blocks"]) - np.array(b["blocks"])
        terms = [
            *parts_of_cells(np.array(a["cells"]) - np.array(b["cells"]), data["design"]["ooc"]),
            stats.Term("", blocks.var(ddof=1) / len(blocks), len(blocks) - 1),
            stats.Term("", a["spread"], a["seeds"] - 1),
            stats.Term("", b["spread"], b["seeds"] - 1),
        ]
        found = stats.estimate(a["mean"] - b["mean"], terms, (-1, 1))
        rows = board.rows[first], board.rows[second]
        expected = stats.paired_difference(*(row.entry.ooc for row in rows))
        assert found.value == expected.value
        assert found.ci95 == pytest.approx(expected.ci95)


def test_the_summary_says_what_has_no_test():
    cells = np.random.default_rng(3).uniform(size=(1, 8))
    blocks = np.full((1, 5), 0.5)
    assert not summary_of(Crossed(cells))["known"]
    frozen = summary_of(Crossed(cells, None, blocks, one_network=True))
    assert frozen["known"]
    assert (frozen["seeds"], frozen["spread"]) == (1, 0.0)
    assert frozen["blocks"] == [0.5] * 5
    assert summary_of(Crossed(cells, None, blocks[:, :1]))["blocks"] is None
    assert summary_of(Crossed(cells))["blocks"] is None


def test_one_seed_has_no_spread(tmp_path):
    items = page_data(ranked(tmp_path, seeds=1))["entries"]
    for item in items:
        assert not item["ooc"]["known"]
        assert item["ooc"]["seeds"] == item["gap"]["seeds"] == 1
        assert item["ooc"]["spread"] == item["gap"]["spread"] == 0


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
        first, second = (row.entry.result for row in (pair.first, pair.second))
        real = compare_results(first, second).headline[0].real
        assert pair.verdict == ("told apart" if real else "not told apart")
    assert {pair.verdict for pair in static_pairs(ranked(tmp_path / "few", seeds=1))} == {
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
