"""Rank sets: equal methods share all ranks, a clear winner stands alone, the truth is inside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import Crossed
from recombine.leaderboard.board.ranks import Comparisons, RankSet, compare_all, rank_sets
from recombine.leaderboard.drawing.formatting import DASH
from recombine.renderer.core.errors import InvalidInputError


def ranks(scores):
    return rank_sets(compare_all(tables(scores)), [len(s) for s in scores])


def tables(scores):
    return [Crossed(one) for one in scores]


def simulate(rng, mean, seeds, cells, *, spread=0.03):
    """Draw scores with shared cell effects added by the caller through ``mean``."""
    seed = rng.normal(0, 0.02, (seeds, 1))
    return mean + seed + rng.normal(0, spread, (1, cells)) + rng.normal(0, 0.02, (seeds, cells))


@given(st.integers(2, 6), st.integers(3, 6), st.integers(2, 10), st.integers(0, 2**32 - 1))
def test_identical_methods_share_all_ranks(entries, seeds, cells, seed):
    scores = np.random.default_rng(seed).uniform(size=(seeds, cells))
    for rank in ranks([scores] * entries):
        assert (rank.low, rank.high) == (1, entries)
        assert rank.words == "not separable"
        assert "no difference" in rank.reason


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_clearly_better_method_is_alone_at_rank_one(seed):
    rng = np.random.default_rng(seed)
    best = simulate(rng, 0.9, 5, 8, spread=0.01)
    rest = [simulate(rng, 0.2, 5, 8, spread=0.01) for _ in range(3)]
    found = ranks([rest[0], best, rest[1], rest[2]])
    assert (found[1].low, found[1].high) == (1, 1)
    assert found[1].separable
    assert all(rank.low >= 2 for i, rank in enumerate(found) if i != 1)


@given(st.integers(2, 6), st.integers(1, 6), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_sets_are_valid_and_consistent(entries, seeds, cells, seed):
    rng = np.random.default_rng(seed)
    scores = [rng.uniform(i / entries, 1, (seeds, cells)) for i in range(entries)]
    found = ranks(scores)
    assert all(1 <= rank.low <= rank.high <= rank.of == entries for rank in found)
    assert min(rank.low for rank in found) == 1
    assert max(rank.high for rank in found) == entries
    compared = compare_all(tables(scores))
    for i, j in np.argwhere(compared.separated & (compared.difference > 0)):
        assert found[i].high < entries
        assert found[j].low > 1


def some_tables(rng, cells, count=5):
    """Return tables of one board: any runs, near an end or not, some without blocks."""
    codes = np.stack([rng.integers(0, 3, cells), rng.integers(0, 2, cells)], axis=1)
    width, shared = int(rng.integers(1, 5)), rng.random() < 0.7
    found = []
    for _ in range(count):
        runs = int(rng.integers(1, 6))
        level = rng.choice([0.0, 0.02, 0.5, 0.97, 1.0])
        spread = rng.choice([0.0, 0.01, 0.2])
        run = level + rng.normal(0, spread, (runs, 1))
        share = [
            (run + rng.normal(0, spread, (runs, n))).clip(0, 1).round(3) for n in (cells, width)
        ]
        blocks = share[1] if shared or rng.random() < 0.5 else None
        if blocks is not None and rng.random() < 0.2:  # of other blocks
            blocks = np.hstack([blocks, blocks[:, :1]])
        found.append(Crossed(share[0], codes, blocks, one_network=runs == 1 and rng.random() < 0.7))
    return found


def assert_as_the_statistics(scores):
    """Return how many pairs were declined, and how many had a p-value."""
    compared = compare_all(scores)
    declined, tested = 0, 0
    for i, first in enumerate(scores):
        for j, second in enumerate(scores):
            expected = stats.paired_difference(first, second)
            declined, tested = declined + expected.declined, tested + (expected.p_value is not None)
            assert compared.difference[i, j] == pytest.approx(expected.value, abs=1e-12)
            if expected.p_value is None:
                assert np.isnan(compared.p_value[i, j])
            else:
                assert compared.p_value[i, j] == pytest.approx(expected.p_value, rel=1e-6, abs=1e-9)
    return declined, tested


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_every_comparison_is_that_of_the_statistics(cells, seed):
    assert_as_the_statistics(some_tables(np.random.default_rng(seed), cells))


def test_the_tables_compared_hold_every_kind_of_pair():
    rng = np.random.default_rng(0)
    found = np.array([assert_as_the_statistics(some_tables(rng, 8)) for _ in range(30)]).sum(axis=0)
    assert found.min() > 20


def test_a_declined_pair_stays_in_the_family_and_is_not_told_apart():
    rng = np.random.default_rng(3)
    off = rng.normal(0, 0.001, (3, 8))
    steady, fell = 0.99 + off, np.array([[0.99], [0.98], [0.8]]) + off
    compared = compare_all(tables([steady, fell, 0.2 + off]))
    assert np.isnan(compared.p_value[0, 1])
    assert compared.n_tested == 3
    assert not compared.separated[0, 1]
    assert compared.separated[0, 2]


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_entries_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    scores = [simulate(rng, mean, 5, 8) for mean in (0.3, 0.5, 0.55, 0.9)]
    order = rng.permutation(4)
    found, moved = ranks(scores), ranks([scores[i] for i in order])
    assert [found[i] for i in order] == moved


def coverage(means, repetitions, seeds=3, cells=8):
    """Return how often all rank sets held the true ranks; equal means share their ranks."""
    rng = np.random.default_rng(20)
    means = np.asarray(means)
    truth = [(1 + np.sum(means > m), len(means) - np.sum(means < m)) for m in means]
    good = 0
    for _ in range(repetitions):
        shared = rng.normal(0, 0.08, (1, cells))
        found = ranks([shared + simulate(rng, m, seeds, cells) for m in means])
        good += all(r.low <= t[0] and t[1] <= r.high for r, t in zip(found, truth, strict=True))
    return good / repetitions


@pytest.mark.parametrize(
    "means",
    [(0.5, 0.5, 0.5, 0.5), (0.5, 0.52, 0.54, 0.56), (0.3, 0.5, 0.5, 0.8)],
    ids=["all equal", "close", "mixed"],
)
def test_rank_sets_hold_the_true_ranks(means):
    assert coverage(means, 400) >= 0.95


def test_rank_sets_are_not_trivial():
    rng = np.random.default_rng(0)
    widths = []
    for _ in range(40):
        found = ranks([simulate(rng, mean, 5, 8) for mean in (0.2, 0.5, 0.8)])
        widths += [rank.high - rank.low + 1 for rank in found]
    assert np.mean(widths) < 1.2


def test_with_two_seeds_nothing_is_tested():
    rng = np.random.default_rng(0)
    scores = [simulate(rng, mean, 2, 8) for mean in (0.1, 0.9)]
    compared = compare_all(tables(scores))
    assert (compared.n_pairs, compared.n_tested, compared.n_separated) == (1, 0, 0)
    found = rank_sets(compared, [2, 2])
    assert [rank.words for rank in found] == ["not separable"] * 2
    assert "fewer than 3 seeds" in found[0].reason


def test_an_entry_without_tests_does_not_cost_the_others_power():
    rng = np.random.default_rng(1)
    low, high = simulate(rng, 0.45, 5, 8), simulate(rng, 0.62, 5, 8)
    p_value = stats.paired_difference(low, high).p_value
    assert p_value < 0.05 / 3, "the sample must be one that Holm decides either way"
    sketches = [simulate(rng, 0.5, 1, 8) for _ in range(20)]
    with_sketches = compare_all(tables([low, high, *sketches]))
    assert with_sketches.separated[0, 1]
    assert with_sketches.n_tested == 1
    assert with_sketches.n_pairs == 22 * 21 // 2


def test_a_sketch_widens_the_sets_of_the_others():
    rng = np.random.default_rng(1)
    scores = [simulate(rng, 0.2, 5, 8), simulate(rng, 0.9, 5, 8), simulate(rng, 0.9, 2, 8)]
    found = ranks(scores)
    assert [(r.low, r.high) for r in found] == [(2, 3), (1, 2), (1, 3)]
    assert not found[2].separable


def test_a_lonely_entry_says_so():
    (only,) = ranks([np.full((5, 8), 0.5)])
    assert (only.low, only.high, only.of) == (1, 1, 1)
    assert only.reason == "the only entry in its track"


def test_no_entries_no_pairs():
    compared = compare_all([])
    assert (compared.n_pairs, compared.n_tested) == (0, 0)
    assert rank_sets(compared, []) == []


def test_different_cells_are_refused():
    with pytest.raises(InvalidInputError, match=r"same cells, got \[8, 9\]"):
        compare_all(tables([np.zeros((3, 8)), np.zeros((3, 9))]))


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_comparisons_are_symmetric(entries, seed):
    rng = np.random.default_rng(seed)
    compared = compare_all(tables(simulate(rng, m, 4, 5) for m in np.linspace(0.3, 0.6, entries)))
    assert np.allclose(compared.difference, -compared.difference.T)
    assert np.array_equal(compared.separated, compared.separated.T)
    assert np.array_equal(compared.tested, ~np.eye(entries, dtype=bool))
    assert not (compared.separated & ~compared.tested).any()


def test_methods_that_differ_by_a_constant_without_spread_have_no_test():
    flat = np.full((3, 4), 0.5)
    compared = compare_all(tables([flat, flat + 0.25]))
    assert np.isnan(compared.p_value[0, 1])
    assert compared.n_tested == 1
    assert compared.n_separated == 0


def test_words():
    assert RankSet(2, 2, 5).words == "2"
    assert RankSet(2, 4, 5).words == f"2{DASH}4"
    off = ~np.eye(2, dtype=bool)
    difference = np.array([[0.0, 0.3], [-0.3, 0.0]])
    compared = Comparisons(difference, np.full((2, 2), 0.001), off, off)
    assert [r.words for r in rank_sets(compared, [5, 5])] == ["1", "2"]
