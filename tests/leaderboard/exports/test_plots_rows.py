"""The board as a figure holds the board's numbers."""

import numpy as np
import pytest
from sample_board import sample, write_results

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.exports.figures import row_name, rows

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    (board,) = load_boards(write_results(tmp_path_factory.mktemp("results")))
    return rank_board(board)


def points(axes, label):
    found = [line for line in axes.lines if line.get_label() == label]
    return [float(line.get_xdata()[0]) for line in found]


def test_every_row_has_its_two_scores_intervals_and_rank_set(ranked):
    (axes,) = rows(ranked).axes
    listed = [row for track in ranked.tracks for row in track.rows]
    scores = [row.entry.result.scores for row in listed]
    assert points(axes, "ID") == [one.id_test.estimate for one in scores]
    assert points(axes, "OOC") == [one.ooc_test.estimate for one in scores]
    ends = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    for one in scores:
        assert one.ooc_test.ci95 in ends
    texts = [text.get_text() for text in axes.texts]
    assert [words for words in texts if words in {row.rank.words for row in listed}] == [
        row.rank.words for row in listed
    ]
    assert {track.title for track in ranked.tracks} <= set(texts)
    assert [t.get_text() for t in axes.get_yticklabels()] == [row_name(row) for row in listed]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["ID", "OOC"]


def test_open_is_id_and_filled_is_ooc(ranked):
    (axes,) = rows(ranked).axes
    faces = {line.get_label(): line.get_markerfacecolor() for line in axes.lines}
    assert faces["ID"] == "white"
    assert faces["OOC"] != "white"
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert np.unique(dotted[0].get_xdata()) == pytest.approx([0.0625])


def test_few_seeds_are_named_and_no_interval_is_no_line(tmp_path):
    (board,) = load_boards([sample(0, seeds=1).save(tmp_path)])
    ranked = rank_board(board)
    assert row_name(ranked.rows[0]).endswith("direct, 1 seed")
    (axes,) = rows(ranked).axes
    lines = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert lines == []
    assert len(axes.texts) == 2
