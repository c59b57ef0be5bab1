"""The front: an entry leaves it on evidence only."""

import re
from types import SimpleNamespace

import numpy as np
from sample_board import declared, on_record, sample, write_results

from recombine.benchmark.statistics.design import Crossed
from recombine.benchmark.statistics.multiple import Field
from recombine.leaderboard.board import pareto as front
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.board.pareto import FRONT, beaten_at_no_more_cost, fronts


def kept(costs, *levels, seeds=5):
    """Return which methods of these costs and accuracies no cheaper one is known to beat."""
    rng = np.random.default_rng(0)
    tables = [Crossed(level + rng.normal(0, 0.004, (seeds, 8))) for level in levels]
    family = SimpleNamespace(field=Field(tables))
    return [not beaten_at_no_more_cost(family, i, costs) for i in range(len(costs))]


def test_a_dearer_and_worse_entry_is_off():
    assert kept([1, 2], 0.9, 0.5) == [True, False]


def test_a_dearer_and_better_entry_is_on():
    assert kept([1, 2], 0.5, 0.9) == [True, True]


def test_at_equal_cost_the_better_one_stays():
    assert kept([1, 1], 0.5, 0.9) == [False, True]


def test_what_cannot_be_told_apart_stays():
    assert kept([1, 2], 0.5, 0.5) == [True, True]


def test_a_board_gives_both_fronts_sorted_by_cost(tmp_path):
    (board,) = load_boards(write_results(tmp_path))
    gflop, images = fronts(rank_board(board))
    assert [cost for _, cost, _ in gflop.rows] == sorted(cost for _, cost, _ in gflop.rows)
    assert gflop.left_out == ("Pixels, no training",)
    assert len(images.rows) == 6
    assert "GFLOP" in gflop.figure
    assert "generated included" in images.figure
    on = {row.entry.result.method.entry: words for row, _, words in gflop.rows}
    assert on["autoencoder-replay-search"] == FRONT
    assert on["autoencoder-search"] == "beaten at no more cost"
    assert on["autoencoder"] == "not above what ignorance scores"


def test_what_knows_nothing_is_not_on_the_front_however_cheap(tmp_path):
    cheap = {"gflop_per_image": 0.001, "steps": 0}
    files = on_record([sample(5, compute=cheap).save(tmp_path), sample(3).save(tmp_path)])
    (board,) = load_boards(files)
    gflop, _ = fronts(rank_board(board))
    said = {row.entry.result.method.entry: words for row, _, words in gflop.rows}
    assert said == {"pixels": "not above what ignorance scores", "autoencoder-replay": FRONT}


def test_what_stands_outside_the_family_says_why(tmp_path):
    files = [*on_record([sample(4).save(tmp_path)]), sample(3).save(tmp_path)]
    (board,) = load_boards(files)
    gflop, _ = fronts(rank_board(board))
    said = {row.entry.result.method.entry: words for row, _, words in gflop.rows}
    assert said["autoencoder-replay"] == "outside: not run by a maintainer"
    assert said["autoencoder-replay-search"] == FRONT


def test_without_a_known_cost_there_is_no_figure(tmp_path):
    (board,) = load_boards([sample(5).save(tmp_path / "a.json")])
    gflop, _ = fronts(rank_board(board))
    assert (gflop.rows, gflop.figure) == ((), None)


def test_a_lonely_entry_is_on_the_front():
    assert kept([3.0], 0.5) == [True]


def test_an_upper_bound_is_out_of_competition(tmp_path):
    top = sample(4).model_dump(mode="json")["method"] | declared("bound")
    cheap = {"gflop_per_image": 0.001, "steps": sample(4).compute.steps}
    files = [
        sample(4, method=top, compute=cheap).save(tmp_path / "a.json"),
        sample(3).save(tmp_path / "b.json"),
    ]
    (board,) = load_boards(on_record(files))
    gflop, _ = fronts(rank_board(board))
    on = {row.role.key: words for row, _, words in gflop.rows}
    assert on["generative"] == FRONT, "nothing cheaper that competes is better"
    assert on["bound"] == "outside: an upper bound, out of competition"


def test_of_many_entries_only_those_on_the_front_carry_a_letter(tmp_path, monkeypatch):
    (board,) = load_boards(write_results(tmp_path))
    monkeypatch.setattr(front, "LABELLED", 4)
    gflop, _ = fronts(rank_board(board))
    on = {row.letter for row, _, words in gflop.rows if words == FRONT}
    drawn = set(re.findall(r'class="strong">([A-Z]+) <', str(gflop.figure)))
    assert drawn == on
    assert len(on) < len(gflop.rows)
