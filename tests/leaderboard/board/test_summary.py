"""The sentences above a board follow from its entries."""

from statistics import median

import numpy as np
import pytest
from factories import make_result
from sample_board import declared, on_record, sample, write_results

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import scores_of
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.board.summary import of_100
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
    one_pass = sample(1).scores.ooc_test.estimate
    text = plain(told.headline)
    assert f"reads {100 * best.estimate:.0f} of 100 images" in text
    assert f"95 % interval {100 * best.ci95[0]:.0f}{DASH}{100 * best.ci95[1]:.0f})" in text
    assert (
        f"the same network without recombination reads {of_100(one_pass)}. A guess reads 6." in text
    )
    assert told.best.result.method.entry == "autoencoder-replay-search"
    assert told.plain.result.method.entry == "autoencoder"
    assert told.same_network
    assert "Of the 6 entries that are judged together" in told.verdict


def test_without_the_same_network_the_best_single_pass_is_named(tmp_path):
    told = summary_of(tmp_path, indices=[4, 5])
    reads = of_100(sample(5).scores.ooc_test.estimate)
    assert f"; the best single pass without recombination reads {reads}." in told.headline
    assert told.plain.result.method.entry == "pixels"
    direct = summary_of(tmp_path / "direct", indices=[0, 1])
    assert direct.plain is None
    assert "without recombination" not in direct.headline


def test_what_was_not_rerun_is_no_headline(tmp_path):
    files = write_results(tmp_path, tier="rescored")
    told = rank_board(load_boards(files)[0]).summary
    assert told.best is None
    assert told.headline.startswith("No entry has been rerun")
    on_record(files[:1])
    told = rank_board(load_boards(files)[0]).summary
    assert told.best.path == files[0]


def test_a_control_is_no_headline(tmp_path):
    method = sample(4).model_dump(mode="json")["method"] | declared("control")
    files = [sample(4, method=method).save(tmp_path), sample(0).save(tmp_path)]
    told = rank_board(load_boards(on_record(files))[0]).summary
    assert told.best.path == files[1]
    told = rank_board(load_boards(files[:1])[0]).summary
    assert told.headline.startswith("No method has been rerun")


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "none"), (0.004, "fewer than 1"), (0.0078, "1"), (0.642, "64")]
)
def test_a_share_of_100_is_never_rounded_to_nothing(share, words):
    assert of_100(share) == words


def test_it_says_what_ignorance_scores_and_who_stands_above_it(tmp_path):
    told = summary_of(tmp_path)
    (text,) = [plain(t) for t in told.shows if "Without recombining" in t]
    assert "25 % (knows the " in text
    assert "50 % (knows the " in text
    high = [sample(i).scores.ooc_test.ci95[0] > 0.5 for i in range(6)]
    assert f"best of these for {sum(high)} of 6 entries" in text
    assert "told apart from" in text
    assert "at the level of knowing" in text


def test_older_results_know_chance_alone(tmp_path):
    path = make_result().save(tmp_path)
    ranked = rank_board(load_boards([path])[0])
    assert not any("Without recombining" in t for t in ranked.summary.shows)
    assert "Fewer than two" in ranked.summary.verdict
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
    (board,) = load_boards([on_record([path])[0] for path in files])
    told = rank_board(board).summary
    assert told.best.result.method.name == "Supervised slot encoder"
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
    assert text == ranked.summary.verdict


def test_a_single_best_is_named(tmp_path):
    (board,) = load_boards(write_results(tmp_path, indices=[1, 4]))
    told = rank_board(board).summary
    assert "judged together, Autoencoder (replay+search) is the best." in told.verdict


def test_one_entry_has_nothing_to_be_compared_with(tmp_path):
    told = summary_of(tmp_path, indices=[0])
    assert "Fewer than two of its entries" in told.verdict
    assert not any("Not told apart" in text for text in told.limits)


def test_few_seeds_are_said(tmp_path):
    told = summary_of(tmp_path, seeds=2)
    assert "Fewer than two of its entries are methods that a maintainer ran" in told.verdict
    assert any(
        text.startswith("All 6 entries have fewer than 5 training seeds") for text in told.limits
    )
    assert any("fewer than 3 and take part in no test" in text for text in told.limits)


def test_three_seeds_are_a_sketch_that_is_tested(tmp_path):
    told = summary_of(tmp_path, seeds=3)
    assert "Of the 6 entries that are judged together" in told.verdict
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
    assert "any of them may be the best" in told.verdict
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
    expected = f"about {100 * median(found):.1f} points apart to be told apart"
    assert any(expected in text for text in told.limits)


def test_the_gap_is_that_of_the_best_and_of_the_middle(tmp_path):
    told = summary_of(tmp_path)
    gaps = [sample(i).gap.estimate for i in range(6)]
    (text,) = [text for text in told.shows if "from seen to unseen" in text]
    assert text.startswith(f"The best method loses {100 * gaps[4]:.1f} points")
    assert text.endswith(f"half of the 6 methods lose {100 * median(gaps):.1f} or more.")
    assert any("between 0.031 and 24.1 GFLOP per image" in text for text in told.shows)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_the_wording_is_neutral(tmp_path, seeds):
    told = summary_of(tmp_path, seeds=seeds)
    text = " ".join((told.headline, told.verdict, *told.shows, *told.limits)).lower()
    assert not [word for word in CAMPAIGN if word in text]


def test_one_method_has_no_middle(tmp_path):
    hits = np.array([[40, 30, 45, 20], [30, 40, 35, 25], [45, 20, 40, 38]])
    counts = np.full_like(hits, 48)
    same = {"id_hits": hits, "ooc_hits": hits[::-1], "id_counts": counts, "ooc_counts": counts}
    paths = [make_result(**same, entry="equal").save(tmp_path)]
    paths += write_results(tmp_path / "other", indices=[0])
    with pytest.raises(InvalidInputError, match="other cells"):
        load_boards(paths)
    told = rank_board(load_boards(on_record(paths[:1]))[0]).summary
    low, high = (points(end).lstrip("+") for end in told.best.result.gap.ci95)
    assert any(f"(95\u00a0% interval {low} to {high})." in text for text in told.shows)


def test_one_sketch_is_spoken_of_as_one(tmp_path):
    told = summary_of(tmp_path, seeds=2, indices=[0])
    (text,) = [text for text in told.limits if "sketch" in text]
    assert text.startswith("The entry has fewer than 5 training seeds and is marked as a sketch.")
    assert "It has fewer than 3 and takes part in no test." in text
