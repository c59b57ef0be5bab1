"""The sentences above a board follow from its entries."""

import numpy as np
import pytest
from factories import make_result
from sample_board import declared, on_record, sample, write_results

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import scores_of
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.drawing.formatting import DASH, points
from recombine.renderer.core.errors import InvalidInputError

CAMPAIGN = ("superior", "better", "beats", "outperform", "fails", "solves", "proves", "wins")


def summary_of(tmp_path, seeds=5, indices=None):
    (board,) = load_boards(write_results(tmp_path, seeds, indices))
    return rank_board(board).summary


def plain(text):
    return text.replace("\u00a0", " ").replace("\u2060", "")


def test_the_headline_gives_estimate_interval_chance_and_verdict(tmp_path):
    told = summary_of(tmp_path)
    best = sample(4).scores.ooc_test
    text = plain(told.headline)
    assert f"is {100 * best.estimate:.1f} %" in text
    assert f"interval {100 * best.ci95[0]:.1f}{DASH}{100 * best.ci95[1]:.1f} %" in text
    assert "by Autoencoder with replay (replay+search); chance is 6.25 %" in text
    assert "Of the 6 entries that are judged together" in text


def test_it_says_what_ignorance_scores_and_who_stands_above_it(tmp_path):
    told = summary_of(tmp_path)
    (text,) = [plain(t) for t in told.shows if "Without recombining" in t]
    assert "25 % (knows the " in text
    assert "50 % (knows the " in text
    high = [sample(i).scores.ooc_test.ci95[0] > 0.5 for i in range(6)]
    assert f"best of these for {sum(high)} of 6 entries" in text
    assert "told apart from" in text
    assert "at the level of knowing" in text
    assert "the best of ignorance 50 %" in plain(told.headline)


def test_older_results_know_chance_alone(tmp_path):
    path = make_result().save(tmp_path)
    ranked = rank_board(load_boards([path])[0])
    assert not any("Without recombining" in t for t in ranked.summary.shows)
    assert "; chance is 6.25 %. Fewer than two" in plain(ranked.summary.headline)
    assert ranked.levels == [(0.0625, "chance")]
    assert ranked.rows[0].standing == ""


def test_the_kinds_are_set_against_each_other_with_an_interval(tmp_path):
    told = summary_of(tmp_path)
    (text,) = [plain(t) for t in told.shows if "highest generative" in t]
    found = stats.paired_difference(*(scores_of(sample(i).scores.ooc_test) for i in (4, 0)))
    low, high = (points(end) for end in found.ci95)
    assert "Autoencoder (replay+search)" in text
    assert "Supervised slot encoder (direct)" in text
    assert f"{points(found.value)} points OOC (95 % interval {low} to {high})" in text
    few = summary_of(tmp_path / "few", seeds=2)
    assert any("that difference is not tested" in t for t in few.shows)


def test_an_upper_bound_is_never_the_headline(tmp_path):
    method = sample(4).model_dump(mode="json")["method"] | declared("bound")
    files = [
        sample(4, method=method).save(tmp_path / "b.json"),
        sample(0).save(tmp_path / "a.json"),
    ]
    (board,) = load_boards(files)
    told = rank_board(board).summary
    assert "by Supervised slot encoder (direct)" in plain(told.headline)
    assert not any("highest generative" in t for t in told.shows)


def test_the_verdicts_are_counted(tmp_path):
    (board,) = load_boards(write_results(tmp_path))
    ranked = rank_board(board)
    best, sides = len(ranked.family.best), ranked.family.sides
    text = (
        f"Of the 6 entries that are judged together, {best} may be the best; "
        f"{sides['above']} are above the reference (Supervised slot encoder) and "
        f"{sides['below']} below it."
    )
    assert 1 < best < 6
    assert text in ranked.summary.headline


def test_a_single_best_is_named(tmp_path):
    (board,) = load_boards(write_results(tmp_path, indices=[1, 4]))
    told = rank_board(board).summary
    assert "judged together, Autoencoder (replay+search) is the best." in told.headline


def test_one_entry_has_nothing_to_be_compared_with(tmp_path):
    told = summary_of(tmp_path, indices=[0])
    assert "Fewer than two of its entries" in told.headline
    assert not any("Not told apart" in text for text in told.limits)


def test_few_seeds_are_said(tmp_path):
    told = summary_of(tmp_path, seeds=2)
    assert "Fewer than two of its entries are methods that a maintainer ran" in told.headline
    assert any(
        text.startswith("All 6 entries have fewer than 5 training seeds") for text in told.limits
    )
    assert any("fewer than 3 and take part in no test" in text for text in told.limits)


def test_three_seeds_are_a_sketch_that_is_tested(tmp_path):
    told = summary_of(tmp_path, seeds=3)
    assert "Of the 6 entries that are judged together" in told.headline
    assert any("marked as a sketch." in text for text in told.limits)
    assert not any("no test" in text for text in told.limits)


def test_one_seed_gives_no_interval(tmp_path):
    told = summary_of(tmp_path, seeds=1)
    assert "interval" not in told.headline
    assert any("no interval could be computed" in text for text in told.limits)


def test_equal_entries_cannot_be_told_apart(tmp_path):
    for i, entry in enumerate(("one", "two")):
        base = sample(0).model_dump(mode="json")
        method = {**base["method"], "entry": entry, "id": entry}
        sample(0, method=method).save(tmp_path / f"{i}.json")
    (board,) = load_boards(on_record(sorted(tmp_path.glob("*.json"))))
    told = rank_board(board).summary
    assert "any of them may be the best" in told.headline
    assert any("Not told apart does not mean equal" in text for text in told.limits)


def test_differences_between_entries_are_listed(tmp_path):
    told = summary_of(tmp_path)
    (text,) = [t for t in told.limits if t.startswith("Entries differ in")]
    assert "supervision, generated images seen and compute per image" in text


def test_the_design_and_the_smallest_difference_are_said(tmp_path):
    told = summary_of(tmp_path)
    assert any(
        text.startswith("16 combinations of object shape and background") for text in told.shows
    )
    found = [sample(i).smallest_detectable_difference for i in range(6)]
    expected = f"below {100 * min(found):.1f} to {100 * max(found):.1f} points"
    assert any(expected in text for text in told.limits)


def test_gaps_and_costs_are_ranges_over_the_entries(tmp_path):
    told = summary_of(tmp_path)
    gaps = [sample(i).gap.estimate for i in range(6)]
    span = f"+{100 * min(gaps):.1f} to +{100 * max(gaps):.1f} points"
    (text,) = [text for text in told.shows if span in text]
    above = sum(sample(i).gap.ci95[0] > 0 for i in range(6))
    assert above == 6
    assert text.endswith("above zero for all 6 entries.")
    assert any("between 0.031 and 24.1 GFLOP per image" in text for text in told.shows)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_the_wording_is_neutral(tmp_path, seeds):
    told = summary_of(tmp_path, seeds=seeds)
    text = " ".join((told.headline, *told.shows, *told.limits)).lower()
    assert not [word for word in CAMPAIGN if word in text]


def test_gaps_that_may_be_zero_are_counted(tmp_path):
    hits = np.array([[40, 30, 45, 20], [30, 40, 35, 25], [45, 20, 40, 38]])
    counts = np.full_like(hits, 48)
    same = {"id_hits": hits, "ooc_hits": hits[::-1], "id_counts": counts, "ooc_counts": counts}
    paths = [make_result(**same, entry="equal").save(tmp_path)]
    paths += write_results(tmp_path / "other", indices=[0])
    with pytest.raises(InvalidInputError, match="other cells"):
        load_boards(paths)
    told = rank_board(load_boards(paths[:1])[0]).summary
    assert any("above zero for 0 of 1 entry" in text for text in told.shows)


def test_one_sketch_is_spoken_of_as_one(tmp_path):
    told = summary_of(tmp_path, seeds=2, indices=[0])
    (text,) = [text for text in told.limits if "sketch" in text]
    assert text.startswith("The entry has fewer than 5 training seeds and is marked as a sketch.")
    assert "It has fewer than 3 and takes part in no test." in text
