"""The front: an entry leaves it on evidence only."""

import re

import numpy as np
import pytest
from sample_board import declared, sample, write_results

from recombine.benchmark.statistics.design import Crossed
from recombine.leaderboard.board import pareto as front
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.board.pareto import fronts, on_front
from recombine.leaderboard.board.ranks import compare_all


def compared(*levels, seeds=5):
    rng = np.random.default_rng(0)
    return compare_all([Crossed(level + rng.normal(0, 0.004, (seeds, 8))) for level in levels])


def test_a_dearer_and_worse_entry_is_off():
    assert on_front([1, 2], compared(0.9, 0.5)) == [True, False]


def test_a_dearer_and_better_entry_is_on():
    assert on_front([1, 2], compared(0.5, 0.9)) == [True, True]


def test_at_equal_cost_the_better_one_stays():
    assert on_front([1, 1], compared(0.5, 0.9)) == [False, True]


def test_what_cannot_be_told_apart_stays():
    same = Crossed(np.random.default_rng(1).uniform(0.4, 0.6, (5, 8)))
    assert on_front([1, 2], compare_all([same, same])) == [True, True]


def test_a_board_gives_both_fronts_sorted_by_cost(tmp_path):
    (board,) = load_boards(write_results(tmp_path))
    gflop, images = fronts(rank_board(board))
    assert [cost for _, cost, _ in gflop.rows] == sorted(cost for _, cost, _ in gflop.rows)
    assert gflop.left_out == ("Pixels, no training",)
    assert len(images.rows) == 6
    assert "GFLOP" in gflop.figure
    assert "generated included" in images.figure
    on = {row.entry.result.method.entry: yes for row, _, yes in gflop.rows}
    assert on["autoencoder-replay-search"]
    assert not on["autoencoder"]


def test_without_a_known_cost_there_is_no_figure(tmp_path):
    (board,) = load_boards([sample(5).save(tmp_path / "a.json")])
    gflop, _ = fronts(rank_board(board))
    assert (gflop.rows, gflop.figure) == ((), None)


@pytest.mark.parametrize("costs", [[], [3.0]])
def test_few_entries_are_all_on_the_front(costs):
    scores = [Crossed(np.full((5, 8), 0.5))] * len(costs)
    found = on_front(costs, compare_all(scores)) if costs else []
    assert found == [True] * len(costs)


def test_an_upper_bound_is_out_of_competition(tmp_path):
    top = sample(4).model_dump(mode="json")["method"] | declared("bound")
    cheap = {"gflop_per_image": 0.001, "steps": sample(4).compute.steps}
    files = [
        sample(4, method=top, compute=cheap).save(tmp_path / "a.json"),
        sample(1).save(tmp_path / "b.json"),
    ]
    (board,) = load_boards(files)
    gflop, _ = fronts(rank_board(board))
    on = {row.role.key: yes for row, _, yes in gflop.rows}
    assert on["generative"], "nothing cheaper that competes is better"


def test_of_many_entries_only_those_on_the_front_carry_a_letter(tmp_path, monkeypatch):
    (board,) = load_boards(write_results(tmp_path))
    monkeypatch.setattr(front, "LABELLED", 4)
    gflop, _ = fronts(rank_board(board))
    on = {row.letter for row, _, yes in gflop.rows if yes}
    drawn = set(re.findall(r'class="strong">([A-Z]+) <', str(gflop.figure)))
    assert drawn == on
    assert len(on) < len(gflop.rows)
