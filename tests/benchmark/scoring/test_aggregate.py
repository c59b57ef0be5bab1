"""Sums per cell and block, and the scores made of them, against plain loops."""

import numpy as np
import pytest
import scipy.stats
from fakes import FakeDataset

from recombine.benchmark.metrics import base as metrics
from recombine.benchmark.scoring import aggregate
from recombine.benchmark.serving.toy_data import ID_CELLS as ID
from recombine.benchmark.serving.toy_data import SCHEMA
from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import Crossed, factor_scores_of, scores_of


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=2, val=1, test=5)


@pytest.fixture(scope="module")
def inside(dataset):
    return aggregate.group_by_cell(dataset, "id_test")


@pytest.fixture(scope="module")
def outside(dataset):
    return aggregate.group_by_cell(dataset, "ooc_test")


def guesses(dataset, split, seeds=3, wrong=0.3):
    """Return per-seed predictions with some answers wrong."""
    out = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        one = {}
        for key in SCHEMA.keys:
            truth = dataset.latents[key][split.indices].copy()
            change = rng.random(len(truth)) < wrong
            if SCHEMA.factor(key).kind == "categorical":
                truth[change] = (truth[change] + 1) % 4
            else:
                truth[change] += rng.normal(0, 0.1, change.sum())
            one[key] = truth
        out.append(one)
    return out


def perfect(dataset, split, seeds=2):
    return guesses(dataset, split, seeds, wrong=0.0)


def test_cells_and_names(inside, outside):
    assert sorted(map(tuple, inside.cells)) == sorted(ID)
    assert not {tuple(c) for c in outside.cells} & set(ID)
    assert inside.names[0] == ("teapot", "meadow")
    assert len(inside.names) == len(outside.names) == 8


def test_sums_match_a_loop(inside):
    values = np.random.default_rng(0).normal(size=(2, len(inside.indices), 3))
    sums = inside.sum_by_cell(values)
    for cell in range(8):
        assert np.allclose(sums[:, cell], values[:, inside.cell_of == cell].sum(axis=1))


def test_headline_matches_a_loop(dataset, inside):
    predicted = guesses(dataset, inside)
    score = aggregate.score_split(dataset, inside, predicted)
    for seed, one in enumerate(predicted):
        right = np.ones(len(inside.indices), bool)
        for number, key in enumerate(SCHEMA.recombined):
            right &= one[key] == dataset.cells[inside.indices, number]
        assert sum(score.hits[seed]) == right.sum()
        assert score.per_seed[seed] == pytest.approx(right.mean())
    assert score.n_images == 40
    assert score.chance == 1 / 16
    assert score.ci95[0] < score.estimate < score.ci95[1]


def test_factor_scores_match_the_plain_metrics(dataset, inside):
    predicted = guesses(dataset, inside)
    score = aggregate.score_split(dataset, inside, predicted)
    assert set(score.per_factor) == set(SCHEMA.keys)
    truth = {key: dataset.latents[key][inside.indices] for key in SCHEMA.keys}
    plain = {
        "object.shape": lambda p, t: metrics.balanced_accuracy(p, t, 4),
        "object.x": lambda p, t: metrics.fixed_variance_score(p, t, -0.5, 0.5),
        "object.hue": metrics.mean_cosine,
    }
    for key, metric in plain.items():
        expected = [metric(one[key], truth[key]) for one in predicted]
        assert score.per_factor[key].per_seed == pytest.approx(expected)
        assert score.per_factor[key].estimate == pytest.approx(np.mean(expected))
    assert score.per_factor["object.shape"].recombined
    assert not score.per_factor["object.x"].recombined


def test_perfect_answers(dataset, inside):
    score = aggregate.score_split(dataset, inside, perfect(dataset, inside))
    assert score.estimate == 1
    assert score.ci95 is None
    assert score.hits == score.counts
    assert all(part.estimate == pytest.approx(1) for part in score.per_factor.values())
    assert all(part.estimate <= 1 for part in score.per_factor.values())


def test_gap_and_its_sign(dataset, inside, outside):
    good = aggregate.score_split(dataset, inside, guesses(dataset, inside, wrong=0.1))
    bad = aggregate.score_split(dataset, outside, guesses(dataset, outside, wrong=0.6))
    gap = aggregate.gap_part(good, bad)
    assert gap.estimate == good.estimate - bad.estimate > 0.2
    assert gap.ci95[0] < gap.estimate < gap.ci95[1]


def paired(dataset, inside, outside, first, second):
    return aggregate.paired_gap_part(
        aggregate.score_split(dataset, inside, first),
        aggregate.score_split(dataset, outside, second),
    )


def test_paired_gap_by_block(dataset, inside, outside):
    first, second = guesses(dataset, inside), guesses(dataset, outside, wrong=0.5)
    gap = paired(dataset, inside, outside, first, second)
    assert gap.n_blocks == 5
    by_block = []
    for split, predicted in ((inside, first), (outside, second)):
        right = aggregate.correct_images(dataset, split, predicted)
        blocks = dataset.blocks[split.indices]
        by_block.append([right[:, blocks == b].mean(axis=1) for b in np.unique(blocks)])
    difference = np.subtract(*by_block)  # (blocks, seeds)
    run = difference.mean(axis=0).var(ddof=1) / 3
    block = difference.mean(axis=1).var(ddof=1) / 5
    df = (run + block) ** 2 / (run**2 / 2 + block**2 / 4)
    half = scipy.stats.t.ppf(0.975, df) * np.sqrt(run + block)
    assert gap.ci95 == pytest.approx((difference.mean() - half, difference.mean() + half))
    assert gap.ci_method == stats.BLOCK_METHOD
    plain = aggregate.gap_part(
        aggregate.score_split(dataset, inside, first),
        aggregate.score_split(dataset, outside, second),
    )
    assert gap.estimate == pytest.approx(plain.estimate)


def test_a_hard_block_cancels_in_the_paired_gap(dataset, inside, outside):
    """Blocks differ a lot in difficulty, alike in both splits: the paired interval stays small."""
    hard = np.unique(dataset.blocks[inside.indices])[:2]
    predictions = []
    for split, shift in ((inside, 0), (outside, 17)):
        both = perfect(dataset, split, seeds=3)
        for seed, one in enumerate(both):
            lost = np.isin(dataset.blocks[split.indices], hard)
            lost[shift + seed * 7] ^= True
            one["object.shape"][lost] = (one["object.shape"][lost] + 1) % 4
        predictions.append(both)
    gap = paired(dataset, inside, outside, *predictions)
    assert abs(gap.estimate) < 0.1
    assert gap.ci95[1] - gap.ci95[0] < 0.2


def test_without_common_blocks_there_is_no_paired_gap():
    apart = FakeDataset(train=2, val=1, test=5)
    apart.blocks = np.arange(len(apart))
    splits = [aggregate.group_by_cell(apart, name) for name in ("id_test", "ooc_test")]
    assert paired(apart, *splits, *(perfect(apart, split) for split in splits)) is None
    with_blocks = aggregate.score_split(apart, splits[0], perfect(apart, splits[0]))
    without = with_blocks.model_copy(update={"blocks": None})
    assert aggregate.paired_gap_part(with_blocks, without) is None


def test_the_paired_gap_is_over_the_blocks_of_both_splits(dataset, inside):
    other = FakeDataset(train=2, val=1, test=5)
    other.blocks = other.blocks.copy()
    other.blocks[other.blocks == other.blocks[inside.indices].min()] = 999
    ooc = aggregate.group_by_cell(other, "ooc_test")
    gap = paired(dataset, inside, ooc, guesses(dataset, inside), perfect(other, ooc, 3))
    assert gap.n_blocks == 4
    left = inside.block_of > 0
    right = aggregate.correct_images(dataset, inside, guesses(dataset, inside))
    assert gap.estimate == pytest.approx(right[:, left].mean() - 1)


def digits(rows):
    return np.array([[int(digit, 36) for digit in row] for row in rows])


@pytest.mark.parametrize("most", [3, 35, 36])
def test_counts_by_block_match_a_loop(inside, most):
    """Blocks of unequal size, some of which some cells do not show."""
    rng = np.random.default_rng(most)
    cells, blocks = 3, 4
    shown = rng.integers(0, 4, (cells, blocks))
    shown[0, 0], shown[:, 3] = most, 1
    cell_of, block_of = np.argwhere(shown).repeat(shown[shown > 0], axis=0).T
    order = rng.permutation(len(cell_of))
    split = aggregate.Split(
        "ooc_test", np.arange(len(order)), np.arange(2 * cells).reshape(cells, 2), cell_of[order],
        (("a", "b"),) * cells, np.array([2, 3, 5, 9]), block_of[order],
    )  # fmt: skip
    correct = rng.random((2, len(order))) < 0.7
    found = aggregate.count_by_block(split, correct)
    expected = np.zeros((2, cells, blocks), int)
    for seed in range(2):
        for image in range(len(order)):
            expected[seed, split.cell_of[image], split.block_of[image]] += correct[seed, image]
    assert found.numbers == (2, 3, 5, 9)
    assert found.counts == tuple(shown.sum(axis=0))
    assert np.array_equal(found.hits, expected.sum(axis=1))
    if most < 36:
        assert np.array_equal(digits(found.images), shown)
        assert np.array_equal([digits(table) for table in found.right], expected)
    else:
        assert found.images == found.right == ()


def test_intervals_come_from_cells_their_values_and_blocks(dataset, inside):
    predicted = guesses(dataset, inside)
    score = aggregate.score_split(dataset, inside, predicted)
    right = aggregate.correct_images(dataset, inside, predicted)
    cells, blocks = (
        np.stack([right[:, group == k].mean(axis=1) for k in range(group.max() + 1)], axis=1)
        for group in (inside.cell_of, inside.block_of)
    )
    table = Crossed(cells, inside.cells, blocks)
    assert score.ci95 == pytest.approx(stats.crossed_mean(table).ci95)
    assert score.ci95 == pytest.approx(stats.crossed_mean(scores_of(score)).ci95)
    assert score.ci_method == stats.CI_METHOD
    assert stats.crossed_mean(Crossed(cells)).ci95 != pytest.approx(score.ci95)


def intervals(score):
    return [score.ci95, *(factor.ci95 for _, factor in sorted(score.per_factor.items()))]


def test_copies_of_a_run_do_not_count_in_intervals(dataset, inside, outside):
    both = [guesses(dataset, inside), guesses(dataset, outside, wrong=0.5)]
    copied = [[one[0], one[1], one[0], one[2]] for one in both]
    fewer, more = (
        [aggregate.score_split(dataset, split, one, rows)
         for split, one in zip((inside, outside), given, strict=True)]
        for given, rows in ((both, ()), (copied, (0, 1, 3)))
    )  # fmt: skip
    for one, other in zip(fewer, more, strict=True):
        assert other.distinct == (0, 1, 3)
        assert other.ci_method == stats.CI_METHOD
        for a, b in zip(intervals(one), intervals(other), strict=True):
            assert a == pytest.approx(b, abs=1e-6)
        assert one.variance == other.variance
        assert other.estimate == pytest.approx(np.mean(other.per_seed))
    gaps = [aggregate.gap_part(*pair) for pair in (fewer, more)]
    assert gaps[0].ci95 == pytest.approx(gaps[1].ci95)
    gaps = [aggregate.paired_gap_part(*pair) for pair in (fewer, more)]
    assert np.ptp(gaps[0].ci95) == pytest.approx(np.ptp(gaps[1].ci95))


def test_runs_that_are_all_one_network_say_so(dataset, inside, outside):
    one = [guesses(dataset, inside, 1) * 3, guesses(dataset, outside, 1, wrong=0.5) * 3]
    scores = [
        aggregate.score_split(dataset, split, given, (0,))
        for split, given in zip((inside, outside), one, strict=True)
    ]
    assert {score.ci_method for score in scores} == {stats.ONE_NETWORK_METHOD}
    assert all(score.ci95 is not None and score.n_seeds == 3 for score in scores)
    assert scores[0].variance.seed is None
    assert aggregate.gap_part(*scores).ci_method == stats.ONE_NETWORK_GAP_METHOD
    assert aggregate.gap_part(*scores).ci95 is not None
    paired_gap = aggregate.paired_gap_part(*scores)
    assert paired_gap.ci_method == stats.ONE_NETWORK_BLOCK_METHOD
    assert paired_gap.ci95 is not None
    # A single run that may be any of many has no interval.
    alone = aggregate.score_split(dataset, inside, one[0][:1])
    assert (alone.ci95, alone.distinct, alone.ci_method) == (None, (), stats.CI_METHOD)
    assert aggregate.score_split(dataset, inside, one[0], (0, 1, 2)).distinct == ()


def test_worst_cells(dataset, outside):
    predicted = perfect(dataset, outside)
    lost = outside.cell_of == 5
    for one in predicted:
        one["background.environment"][lost] = (one["background.environment"][lost] + 1) % 4
    score = aggregate.score_split(dataset, outside, predicted)
    worst = aggregate.worst_cells_part(score)
    assert worst.cells == (outside.names[5],)
    assert worst.estimate < 0.8
    assert score.estimate == pytest.approx(7 / 8)
    assert aggregate.worst_cells_part(score, 1.0).cells[0] == outside.names[5]


def test_factor_scores_carry_what_their_interval_needs(dataset, inside):
    score = aggregate.score_split(dataset, inside, guesses(dataset, inside))
    for factor in score.per_factor.values():
        for table, size in ((factor.per_cell, 8), (factor.per_block, 5)):
            assert np.shape(table) == (3, size)
            assert np.mean(table, axis=1) == pytest.approx(factor.per_seed, abs=1e-5)
        again = stats.crossed_mean(factor_scores_of(factor, score), None)
        assert again.value == pytest.approx(factor.estimate, abs=1e-5)
        assert again.ci95[0] == pytest.approx(factor.ci95[0], abs=1e-4)
