"""Intervals cover, tests keep their level, degenerate designs give no interval."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special
from simulate import SETTINGS, TRUTH, draw, draw_counts

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import Crossed, terms
from recombine.renderer.core.errors import InvalidInputError

matrices = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 8)),
    elements=st.floats(0, 1, allow_subnormal=False),
)


def coverage(interval, seeds, spread, repetitions=600, cells=40):
    rng = np.random.default_rng([seeds, int(1000 * spread[0])])
    inside = 0
    for _ in range(repetitions):
        low, high = interval(draw(rng, seeds, cells, spread))
        inside += low <= TRUTH <= high
    return inside / repetitions


def ours(scores):
    return stats.crossed_mean(scores).ci95


def t_over_seeds(scores):
    means = scores.mean(axis=1)
    half = scipy.stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means))
    return means.mean() - half, means.mean() + half


def t_over_cells(scores):
    return t_over_seeds(scores.T)


def holds(value):
    return 0.925 <= value <= 0.985


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("setting", list(SETTINGS))
def test_interval_covers_the_truth(seeds, setting):
    assert holds(coverage(ours, seeds, SETTINGS[setting]))


def shared_values(rng, rows=6, columns=6, seeds=5, blocks=12):
    """Return a table of half a grid whose values, cells, runs and blocks all differ."""
    codes = np.argwhere((np.add.outer(np.arange(rows), np.arange(columns)) % 2) == 0)
    value = [rng.normal(0, 0.06, n) for n in (rows, columns)]
    cell = value[0][codes[:, 0]] + value[1][codes[:, 1]] + rng.normal(0, 0.05, len(codes))
    run, block = rng.normal(0, 0.01, (seeds, 1, 1)), rng.normal(0, 0.1, blocks)
    image = rng.normal(0, 0.1, (seeds, len(codes), blocks))
    scores = TRUTH + run + cell[None, :, None] + block + image
    return Crossed(scores.mean(axis=2), codes, scores.mean(axis=1))


def test_interval_covers_where_cells_share_values_and_blocks():
    rng = np.random.default_rng(21)
    inside = dict.fromkeys(("all", "no values", "no blocks"), 0)
    for _ in range(400):
        table = shared_values(rng)
        forgetful = {
            "all": table,
            "no values": Crossed(table.cells, None, table.blocks),
            "no blocks": Crossed(table.cells, table.codes),
        }
        for name, one in forgetful.items():
            low, high = ours(one)
            inside[name] += low <= TRUTH <= high
    assert 0.93 <= inside["all"] / 400 <= 0.99
    assert inside["no values"] / 400 < 0.91
    assert inside["no blocks"] / 400 < inside["all"] / 400


def test_gap_covers_zero_where_blocks_and_runs_are_shared():
    rng = np.random.default_rng(22)
    inside, narrower = 0, 0
    for _ in range(300):
        cells, blocks = rng.normal(0, 0.05, (1, 30)), rng.normal(0, 0.1, (1, 10))
        run = rng.normal(0, 0.05, (4, 1))
        tables = []
        for half in (slice(15), slice(15, 30)):
            share = TRUTH + run + cells[:, half] + blocks.mean()
            by_block = TRUTH + run + cells[:, half].mean() + blocks
            noise = rng.normal(0, 0.05, (4, 15, 10))
            tables.append(Crossed(share + noise.mean(2), None, by_block + noise.mean(1)))
        found = stats.gap(*tables)
        inside += found.ci95[0] <= 0 <= found.ci95[1]
        narrower += found.standard_error < stats.crossed_mean(tables[0], None).standard_error
    assert 0.92 <= inside / 300 <= 0.99
    assert narrower == 300


def test_gap_counts_runs_and_blocks_once_and_cells_of_both():
    rng = np.random.default_rng(23)
    inside, outside = (Crossed(rng.random((3, n)), None, rng.random((3, 5))) for n in (6, 4))
    run = (inside.cells.mean(1) - outside.cells.mean(1)).var(ddof=1) / 3
    block = (inside.blocks.mean(0) - outside.blocks.mean(0)).var(ddof=1) / 5
    cells = [one.cells.mean(0).var(ddof=1) / one.cells.shape[1] for one in (inside, outside)]
    found = stats.gap(inside, outside)
    parts, df = [run, block, *cells], [2, 4, 5, 3]
    assert found.standard_error**2 == pytest.approx(sum(parts))
    squares = sum(v**2 / n for v, n in zip(parts, df, strict=True))
    assert found.df == pytest.approx(sum(parts) ** 2 / squares)


def near_the_end(method, repetitions=500):
    """Return the coverage at 97 % accuracy, 3 seeds and 8 cells that differ."""
    rng, spread, mean = np.random.default_rng(11), (0.1, 0.8), 3.0
    truth = special.ndtr(mean / math.sqrt(2 + spread[0] ** 2 + spread[1] ** 2))
    inside = []
    for _ in range(repetitions):
        interval = method(draw_counts(rng, 3, 8, mean, spread) / 25)
        if interval is not None:
            inside.append(interval[0] <= truth <= interval[1])
    return np.mean(inside)


def test_interval_covers_near_the_end_of_the_scale():
    assert 0.925 <= near_the_end(ours) <= 0.99
    assert near_the_end(lambda x: stats.crossed_mean(x, None).ci95) < 0.92


@given(st.integers(2, 24), st.floats(0.01, 0.99), st.floats(1e-4, 0.2))
def test_the_ends_of_the_interval_are_just_not_rejected(df, value, error):
    """The definition of Wilson's interval: at its ends the t statistic is the quantile."""
    found = stats.Estimate(value, error, float(df), (0.0, 1.0))
    n = value * (1 - value) / error**2
    if n * min(value, 1 - value) < 8:  # effective errors, or right answers
        df = min(df, 4)
    for end in stats._wilson(found, (0.0, 1.0)):
        statistic = abs(value - end) / math.sqrt(max(end * (1 - end), 1e-300) / n)
        assert statistic == pytest.approx(scipy.stats.t.ppf(0.975, df), rel=1e-4)


@pytest.mark.parametrize(("low_cells", "df"), [(8, 59), (7, 4)], ids=["8.2 errors", "7.0"])
@pytest.mark.parametrize("turned", [False, True], ids=["errors", "right answers"])
def test_few_errors_leave_few_degrees_of_freedom(low_cells, df, turned):
    """Sixty cells of one network, right on average in 90 of 100 images."""
    cells = np.where(np.arange(60) < low_cells, 1 - 6 / low_cells, 1.0)[None]
    cells = 1 - cells if turned else cells
    share, variance = cells.mean(), cells.var(ddof=1) / 60
    for end in stats.crossed_mean(Crossed(cells, one_network=True)).ci95:
        error = math.sqrt(end * (1 - end) * variance / (share * (1 - share)))
        assert abs(end - share) / error == pytest.approx(scipy.stats.t.ppf(0.975, df), rel=1e-6)


def runs_of(*means, cells=24):
    """Return runs with these means that differ a little from cell to cell, each like the other."""
    off = np.where(np.arange(cells) % 2, 0.005, -0.005)
    return np.array(means)[:, None] + off


STEADY, ONE_FELL, LOW = (0.985, 0.99, 0.99), (0.99, 0.98, 0.80), (0.02, 0.01, 0.12)


@pytest.mark.parametrize(
    ("first", "second", "declined"),
    [
        (STEADY, ONE_FELL, True),
        (ONE_FELL, STEADY, True),
        (ONE_FELL, ONE_FELL, True),
        (LOW, (0.01, 0.011, 0.01), True),
        (STEADY, STEADY, False),  # near the end, with runs that agree
        (LOW, (0.5, 0.52, 0.51), False),  # one end, and the middle
        (ONE_FELL, (0.5, 0.52, 0.51), False),
        (ONE_FELL, LOW, False),  # both ends
        ((0.5, 0.9, 0.2), (0.4, 0.7, 0.5), False),  # runs that differ, in the middle
    ],
)
def test_near_an_end_runs_that_differ_decide_nothing(first, second, declined):
    found = stats.paired_difference(runs_of(*first), runs_of(*second))
    assert found.declined == declined
    assert (found.p_value is None) == (found.ci95 is None) == declined
    assert found.value == pytest.approx(np.mean(first) - np.mean(second))
    assert not stats.paired_difference(runs_of(*first), runs_of(*second), None).declined
    assert stats.detectable(found) is None or not declined


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.0, 100.0)])
def test_declining_does_not_know_the_unit_of_the_score(bounds):
    low, high = bounds
    for first, second in ((STEADY, ONE_FELL), (LOW, (0.5, 0.52, 0.51)), (STEADY, STEADY)):
        plain = stats.paired_difference(runs_of(*first), runs_of(*second))
        scaled = [low + (high - low) * runs_of(*one) for one in (first, second)]
        found = stats.paired_difference(*scaled, bounds)
        assert found.declined == plain.declined
        if plain.p_value is not None:
            assert found.p_value == pytest.approx(plain.p_value)


def test_a_test_with_one_method_near_an_end_is_guarded():
    """The steadier-looking method's runs count as if it were at the common mean."""
    first, second = runs_of(*LOW), runs_of(0.5, 0.52, 0.51, 0.5)
    means = first.mean(), second.mean()
    common = sum(means) / 2
    parts = [
        table.mean(axis=1).var(ddof=1) / len(table)
        * max(1, common * (1 - common) / (mean * (1 - mean)))
        for table, mean in zip((first, second), means, strict=True)
    ]  # fmt: skip
    found = stats.paired_difference(first, second)
    assert found.standard_error**2 == pytest.approx(sum(parts))
    assert found.df == pytest.approx(sum(parts) ** 2 / sum(v**2 / 2 for v in parts))
    plain = stats.paired_difference(first, second, None)
    assert found.standard_error > plain.standard_error


def test_without_runs_that_differ_the_test_is_the_plain_one():
    rng = np.random.default_rng(24)
    first, second = rng.uniform(0.3, 0.7, (3, 9)), rng.uniform(0.2, 0.8, (5, 9))
    parts = [
        *(table.mean(axis=1).var(ddof=1) / len(table) for table in (first, second)),
        (first.mean(axis=0) - second.mean(axis=0)).var(ddof=1) / 9,
    ]
    found = stats.paired_difference(first, second)
    assert found.standard_error**2 == pytest.approx(sum(parts))
    squares = sum(v**2 / n for v, n in zip(parts, (2, 4, 8), strict=True))
    assert found.df == pytest.approx(sum(parts) ** 2 / squares)


def test_blocks_are_paired_where_both_have_them():
    rng = np.random.default_rng(25)
    cells = [rng.uniform(0.3, 0.7, (3, 9)) for _ in range(2)]
    luck = rng.normal(0, 0.2, 6)
    blocks = [0.5 + luck + rng.normal(0, 0.01, (3, 6)) for _ in range(2)]
    first, second = (Crossed(c, None, b) for c, b in zip(cells, blocks, strict=True))
    bare = stats.paired_difference(*cells).standard_error ** 2
    extra = (blocks[0].mean(0) - blocks[1].mean(0)).var(ddof=1) / 6
    found = stats.paired_difference(first, second)
    assert found.standard_error**2 == pytest.approx(bare + extra)
    for one, other in ((first, cells[1]), (cells[0], second)):
        assert stats.paired_difference(one, other).standard_error ** 2 == pytest.approx(bare)
    # Other blocks: their luck does not cancel.
    other = Crossed(cells[1], None, blocks[1][:, :5])
    own = blocks[0].mean(0).var(ddof=1) / 6 + blocks[1][:, :5].mean(0).var(ddof=1) / 5
    assert stats.paired_difference(first, other).standard_error ** 2 == pytest.approx(bare + own)


def test_one_network_has_no_run_part():
    rng = np.random.default_rng(26)
    cells = rng.uniform(0.3, 0.7, (1, 9))
    frozen = Crossed(cells, one_network=True)
    assert stats.crossed_mean(cells).ci95 is None
    assert stats.crossed_mean(frozen).standard_error == pytest.approx(scipy.stats.sem(cells[0]))
    trained = rng.uniform(0.3, 0.7, (3, 9))
    expected = [
        trained.mean(axis=1).var(ddof=1) / 3,
        (cells[0] - trained.mean(axis=0)).var(ddof=1) / 9,
    ]
    found = stats.paired_difference(frozen, trained)
    assert found.standard_error**2 == pytest.approx(sum(expected))
    assert stats.gap(frozen, frozen).ci95 is not None


def test_in_the_middle_of_the_scale_the_interval_is_the_plain_one():
    scores = draw(np.random.default_rng(12), 10, 200, (0.01, 0.02)) - 0.2
    ours_, plain = stats.crossed_mean(scores).ci95, stats.crossed_mean(scores, None).ci95
    assert ours_ == pytest.approx(plain, abs=2e-4)


@pytest.mark.parametrize(("wrong", "setting"), [(t_over_seeds, "cell"), (t_over_cells, "seed")])
def test_the_coverage_test_would_catch_an_interval_that_forgets_a_factor(wrong, setting):
    assert not holds(coverage(wrong, 5, SETTINGS[setting]))


def test_paired_test_keeps_its_level_and_finds_differences():
    rng = np.random.default_rng(5)
    false, found = 0, 0
    for _ in range(500):
        cell_effect = rng.normal(0, 0.1, 40)
        a, b = (draw(rng, 5, 40, (0.02, 0.0), cell_effect=cell_effect) for _ in range(2))
        false += stats.paired_difference(a, b).p_value < 0.05
        found += stats.paired_difference(a + 0.08, b).p_value < 0.05
    assert false / 500 <= 0.06
    assert found / 500 >= 0.95


def test_gap_covers_zero_when_there_is_none():
    rng = np.random.default_rng(6)
    inside = 0
    for _ in range(500):
        both = draw(rng, 3, 40, (0.05, 0.05))  # the same runs on 20 ID and 20 OOC cells
        low, high = stats.gap(both[:, :20], both[:, 20:]).ci95
        inside += low <= 0 <= high
    assert 0.925 <= inside / 500 <= 0.99


def test_a_good_seed_does_not_widen_the_gap():
    luck = np.array([[0.0], [0.1], [0.2]])
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 10))
    inside, outside = 0.6 + luck + noise, 0.5 + luck + noise[:, ::-1]
    alone = stats.crossed_mean(inside).standard_error
    assert stats.gap(inside, outside).standard_error < alone / 3


def test_runs_and_cells_are_those_of_the_bootstrap():
    rng = np.random.default_rng(1)
    scores = draw(rng, 5, 12, (0.05, 0.05))
    seeds, cells = scores.shape
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), 40_000) / seeds
    columns = rng.multinomial(cells, np.full(cells, 1 / cells), 40_000) / cells
    one_each = (rows @ scores).mean(axis=1).var(), (columns @ scores.T).mean(axis=1).var()
    run, cell = (term.variance for term in terms(Crossed(scores)))
    assert one_each[0] == pytest.approx(run * (seeds - 1) / seeds, rel=0.03)
    assert one_each[1] == pytest.approx(cell * (cells - 1) / cells, rel=0.03)
    # Both at once count the interaction once more; the sum of the two is on the wide side already.
    both = np.einsum("bs,sc,bc->b", rows, scores, columns).var()
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    interaction = np.sum(rest**2) / (seeds * cells) ** 2
    assert both == pytest.approx(sum(one_each) + interaction, rel=0.03)


def test_components_are_recovered():
    rng = np.random.default_rng(2)
    counts = np.full((30, 60), 400)
    share = 0.6 + rng.normal(0, 0.05, (30, 1)) + rng.normal(0, 0.1, (1, 60))
    parts = stats.variance_components(rng.binomial(counts, share.clip(0, 1)), counts)
    assert parts.seed == pytest.approx(0.05**2, rel=0.6)
    assert parts.cell == pytest.approx(0.1**2, rel=0.5)
    assert parts.image == pytest.approx(0.6 * 0.4, rel=0.15)
    assert parts.residual == pytest.approx(parts.image / 400, rel=0.3)


@pytest.mark.parametrize(
    "scores",
    [np.ones((5, 8)), np.zeros((5, 8)), np.full((5, 8), 0.5), np.eye(4)[:1], np.eye(4)[:, :1]],
    ids=["all right", "all wrong", "no spread", "one seed", "one cell"],
)
def test_degenerate_designs_have_no_interval(scores):
    result = stats.crossed_mean(scores)
    assert result.value == pytest.approx(scores.mean())
    assert (result.ci95, result.p_value, result.standard_error) == (None, None, None)
    assert stats.smallest_detectable_difference(scores) is None
    assert stats.gap(scores, scores).ci95 is None
    found = stats.paired_difference(scores, scores)
    assert (found.ci95, found.standard_error) == (None, None)
    assert found.p_value == (1.0 if min(scores.shape) > 1 else None)


@pytest.mark.parametrize(("cells", "p_value"), [(2, 0.5), (6, 1 / 32), (16, 2.0**-15)])
def test_the_same_difference_everywhere_is_tested_by_signs(cells, p_value):
    high, low = np.full((3, cells), 0.75), np.full((5, cells), 0.25)
    for bounds in ((0.0, 1.0), None):
        found = stats.paired_difference(high, low, bounds)
        assert (found.value, found.p_value, found.ci95) == (0.5, p_value, None)


def test_one_seed_has_no_components_but_an_image_variance():
    parts = stats.variance_components(np.array([[5, 10]]), np.array([[10, 10]]))
    assert (parts.seed, parts.cell, parts.residual) == (None, None, None)
    assert parts.image == pytest.approx((0.25 * 10 / 9 + 0) / 2)


@given(matrices)
def test_mean_is_plain_and_interval_is_ordered_and_clipped(scores):
    result = stats.crossed_mean(scores)
    assert result.value == pytest.approx(scores.mean(), abs=1e-12)
    if result.ci95 is not None:
        low, high = result.ci95
        assert 0 <= low <= result.value + 1e-12
        assert result.value - 1e-12 <= high <= 1


@given(matrices, st.randoms(use_true_random=False))
def test_order_of_seeds_and_cells_does_not_matter(scores, random):
    rows, columns = list(range(scores.shape[0])), list(range(scores.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    first = stats.crossed_mean(scores, None)
    second = stats.crossed_mean(scores[rows][:, columns], None)
    assert first.value == pytest.approx(second.value, abs=1e-12)
    if first.standard_error is not None and first.standard_error > 1e-9:
        assert first.standard_error == pytest.approx(second.standard_error, rel=1e-6)


@given(matrices)
def test_difference_is_antisymmetric(scores):
    other = 1 - scores
    one, two = stats.paired_difference(scores, other), stats.paired_difference(other, scores)
    assert one.value == pytest.approx(-two.value, abs=1e-12)
    assert (one.p_value is None) == (two.p_value is None)


def test_difference_allows_different_numbers_of_seeds_but_not_of_cells():
    rng = np.random.default_rng(3)
    a, b = rng.uniform(size=(3, 8)), rng.uniform(size=(5, 8))
    assert stats.paired_difference(a, b).ci95 is not None
    with pytest.raises(InvalidInputError, match="same cells"):
        stats.paired_difference(a, b[:, :4])
    with pytest.raises(InvalidInputError, match="same seeds"):
        stats.gap(a, b)


def test_pairing_removes_what_cells_share():
    rng = np.random.default_rng(4)
    hard = rng.normal(0, 0.2, 40)
    a, b = (draw(rng, 5, 40, (0.01, 0.0), cell_effect=hard) for _ in range(2))
    apart = stats.crossed_mean(a, None).standard_error * math.sqrt(2)
    assert stats.paired_difference(a, b).standard_error < apart / 2


@pytest.mark.parametrize("scores", [np.zeros((0, 3)), np.zeros(3), np.array([[0.1, np.nan]])])
def test_matrices_that_are_not_scores_are_refused(scores):
    with pytest.raises(InvalidInputError, match="finite seeds x cells"):
        stats.crossed_mean(scores)


def test_power_line_matches_simulation():
    """At the printed difference, about 80 % of comparisons of unrelated entries succeed."""
    rng = np.random.default_rng(8)
    found, printed = 0, []
    for _ in range(400):
        a, b = (draw(rng, 8, 40, (0.0, 0.08)) for _ in range(2))
        printed.append(stats.smallest_detectable_difference(a))
        found += stats.paired_difference(a + np.mean(printed), b).p_value < 0.05
    assert 0.7 <= found / 400 <= 0.9


@given(
    hnp.arrays(np.float64, (3, 5, 2), elements=st.floats(0, 1)),
    hnp.arrays(np.int64, (3, 5, 2), elements=st.integers(0, 3)),
)
def test_linearised_mean_is_the_mean_of_ratios(values, weights):
    sums = values * weights
    score = stats.linearise(sums, weights.astype(float))
    for seed in range(3):
        total = weights[seed].sum(axis=0)
        present = total > 0
        expected = (
            np.mean(sums[seed].sum(axis=0)[present] / total[present]) if present.any() else 0.0
        )
        assert score[seed].mean() == pytest.approx(expected, abs=1e-9)


def test_linearised_variance_matches_resampling():
    rng = np.random.default_rng(9)
    weights = rng.integers(5, 30, (1, 200, 1)).astype(float)
    sums = weights * rng.uniform(0.3, 0.9, (1, 200, 1))
    analytic = stats.linearise(sums, weights)[0].std(ddof=1) / math.sqrt(200)
    drawn = rng.integers(0, 200, (4000, 200))
    ratios = sums[0, drawn, 0].sum(axis=1) / weights[0, drawn, 0].sum(axis=1)
    assert analytic == pytest.approx(ratios.std(), rel=0.06)


def test_holm_matches_the_textbook():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert stats.holm([0.012, 0.012, 0.04, 0.04]) == [True, True, False, False]
    assert stats.holm([0.01, 0.016, 0.024, 0.05]) == [True, True, True, True]
    assert stats.holm([]) == []


@given(st.lists(st.none() | st.floats(0, 1), max_size=8))
def test_holm_never_rejects_what_bonferroni_keeps_alone(p_values):
    rejected = stats.holm(p_values)
    for p, no in zip(p_values, rejected, strict=True):
        assert not no or (p is not None and p <= 0.05)
        if p is not None and p <= 0.05 / max(len(p_values), 1):
            assert no
