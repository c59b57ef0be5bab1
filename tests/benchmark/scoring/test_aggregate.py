"""Sums per cell and block, and the scores made of them, against plain loops."""

import numpy as np
import pytest
from fakes import FakeDataset

from recombine.benchmark.metrics import base as metrics
from recombine.benchmark.scoring import aggregate
from recombine.benchmark.serving.toy_data import ID_CELLS as ID
from recombine.benchmark.serving.toy_data import SCHEMA
from recombine.benchmark.statistics import intervals as stats


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
        dataset,
        inside,
        outside,
        aggregate.correct_images(dataset, inside, first),
        aggregate.correct_images(dataset, outside, second),
    )


def test_paired_gap_by_block(dataset, inside, outside):
    first, second = guesses(dataset, inside), guesses(dataset, outside, wrong=0.5)
    gap = paired(dataset, inside, outside, first, second)
    assert gap.n_blocks == 5
    assert gap.id_counts == gap.ooc_counts == (8,) * 5
    plain = aggregate.gap_part(
        aggregate.score_split(dataset, inside, first),
        aggregate.score_split(dataset, outside, second),
    )
    assert gap.estimate == pytest.approx(plain.estimate)
    assert np.sum(gap.id_hits) == np.sum(aggregate.score_split(dataset, inside, first).hits)


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


def test_without_common_blocks_there_is_no_paired_gap(inside, outside):
    apart = FakeDataset(train=2, val=1, test=5)
    apart.blocks = np.arange(len(apart))
    result = paired(apart, inside, outside, perfect(apart, inside), perfect(apart, outside))
    assert result is None


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
        table = np.array(factor.per_cell)
        assert table.shape == (3, 8)
        assert table.mean(axis=1) == pytest.approx(factor.per_seed, abs=1e-5)
        again = stats.crossed_mean(table, None)
        assert again.value == pytest.approx(factor.estimate, abs=1e-5)
        assert again.ci95[0] == pytest.approx(factor.ci95[0], abs=1e-4)
