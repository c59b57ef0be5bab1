"""Areas under curves and crossings have the coverage they claim; curves come from results."""

import math

import numpy as np
import pytest
from factories import make_result
from hypothesis import given
from hypothesis import strategies as st
from simulate import draw

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.curves import (
    area,
    area_weights,
    budget_area,
    budget_weights,
    data_curves,
    reach,
)
from recombine.benchmark.statistics.design import Crossed
from recombine.renderer.core.errors import InvalidInputError


def at(n_train, share, entry="autoencoder", seeds=4, seed=0, **over):
    counts = np.full((seeds, 8), 24)
    hits = np.random.default_rng(seed).binomial(counts, share)
    return make_result(
        entry=entry,
        id_hits=hits,
        id_counts=counts,
        ooc_hits=hits,
        ooc_counts=counts,
        data={"n_train": n_train, **over},
    )


def test_entries_with_several_sizes_become_curves():
    results = [at(1000, 0.9), at(100, 0.3), at(100, 0.2, entry="pixels"), at(10, 0.1)]
    (curve,) = data_curves(results)
    assert curve.sizes == (10, 100, 1000)
    assert [one.cells.shape for one in (*curve.ooc, *curve.id)] == [(4, 8)] * 6
    means = np.array([one.cells.mean() for one in curve.ooc])
    assert means == pytest.approx([results[i].scores.ooc_test.estimate for i in (3, 1, 0)])
    assert curve.area.value == pytest.approx(means @ [0.25, 0.5, 0.25])
    assert curve.area.ci95[0] < curve.area.value < curve.area.ci95[1]
    assert 100 < curve.reach(0.6).size < 1000
    assert curve.reach(0.99).size is None


def test_areas_of_two_entries_are_compared_as_paired():
    first = data_curves([at(10, 0.3), at(100, 0.6)])[0]
    again = data_curves([at(10, 0.3), at(100, 0.6)])[0]
    assert stats.paired_difference(first.ooc[0], again.ooc[0]).value == 0


def test_only_common_seeds_count():
    (curve,) = data_curves([at(10, 0.3, seeds=5), at(100, 0.6, seeds=3)])
    assert curve.seeds == (0, 1, 2)
    assert [(one.cells.shape, one.blocks.shape) for one in curve.ooc] == [((3, 8), (3, 24))] * 2


def test_other_data_are_another_curve():
    assert data_curves([at(10, 0.3), at(100, 0.6, identity="ff" * 32)]) == []


def test_one_size_twice_is_refused():
    with pytest.raises(InvalidInputError, match="one result per number of training images"):
        data_curves([at(10, 0.3), at(10, 0.4, seed=1)])


def test_budget_area():
    result = make_result(
        compute_curve={
            "steps": [0, 1],
            "gflop_per_image": [1.0, 10.0],
            "id": [0.5, 0.9],
            "ooc": [0.4, 0.8],
            "id_ci95": [None, None],
            "ooc_ci95": [None, None],
        }
    )
    assert budget_area(result, 1, 100) == pytest.approx(0.6)
    assert budget_area(result, 10, 100) == pytest.approx(0.8)
    assert budget_area(result, 0.1, 10) == pytest.approx((0.0625 + 0.4) / 2)
    unknown = make_result(compute_curve={"gflop_per_image": [None]})
    assert budget_area(unknown, 1, 100) is None


SIZES = (100, 300, 1000, 3000)


def flat(heights, seeds=3, cells=4, noise=0.0, rng=None):
    curve = np.repeat(np.asarray(heights, float), seeds * cells).reshape(-1, seeds, cells)
    return tables(curve if rng is None else curve + rng.normal(0, noise, curve.shape))


def tables(curve):
    return [Crossed(scores) for scores in curve]


def test_area_of_a_constant_and_of_a_straight_line():
    assert area(flat([0.4] * 4), SIZES).cells == pytest.approx(np.full((3, 4), 0.4))
    line = [0.2 + 0.1 * math.log(size) for size in SIZES]
    middle = 0.2 + 0.1 * (math.log(SIZES[0]) + math.log(SIZES[-1])) / 2
    assert area(flat(line), SIZES).cells.mean() == pytest.approx(middle)


def test_area_weighs_blocks_as_it_weighs_cells():
    rng = np.random.default_rng(0)
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    curve = [Crossed(rng.random((3, 4)), codes, rng.random((3, 6))) for _ in SIZES]
    found = area(curve, SIZES)
    for name in ("cells", "blocks"):
        expected = np.tensordot(area_weights(SIZES), [getattr(one, name) for one in curve], 1)
        assert getattr(found, name) == pytest.approx(expected)
    assert np.array_equal(found.codes, codes)


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=6, unique=True), st.floats(0.1, 100))
def test_area_does_not_know_the_unit_of_size(sizes, unit):
    weights = area_weights(sorted(sizes))
    assert weights.sum() == pytest.approx(1)
    assert np.all(weights > 0)
    assert area_weights([unit * s for s in sorted(sizes)]) == pytest.approx(weights, rel=1e-6)


@pytest.mark.parametrize("sizes", [[10], [10, 10], [20, 10], [0, 10]])
def test_sizes_that_make_no_curve_are_refused(sizes):
    with pytest.raises(InvalidInputError, match="ascending positive"):
        area_weights(sizes)


def test_scores_must_fit_sizes():
    with pytest.raises(InvalidInputError, match="one seeds x cells table per size"):
        area(flat([0.1, 0.2, 0.3]), SIZES)
    with pytest.raises(InvalidInputError, match="one seeds x cells table per size"):
        reach([*flat([0.1, 0.2, 0.3]), *flat([0.4], seeds=2)], SIZES, 0.5)


def test_area_interval_covers_and_is_narrower_than_a_single_size():
    rng = np.random.default_rng(1)
    inside, narrower = 0, 0
    for _ in range(300):
        cell = rng.normal(0, 0.1, 40)
        curve = tables(draw(rng, 5, 40, (0.02, 0.0), cell_effect=cell) for _ in SIZES)
        found = stats.crossed_mean(area(curve, SIZES))
        inside += found.ci95[0] <= 0.7 <= found.ci95[1]
        narrower += found.standard_error < stats.crossed_mean(curve[0]).standard_error
    assert 0.92 <= inside / 300 <= 0.99
    assert narrower > 150


def test_crossing_is_found_on_log_size():
    curve = flat([0.2, 0.4, 0.6, 0.8])
    found = reach(curve, SIZES, 0.5)
    assert found.size == pytest.approx(math.sqrt(300 * 1000), rel=0.02)
    assert (found.low, found.high, found.tested) == (None, None, False)  # no spread, no interval
    assert reach(curve, SIZES, 0.1).size == 100
    assert reach(curve, SIZES, 0.9).size is None


def test_ends_of_the_interval_may_lie_outside():
    rng = np.random.default_rng(2)
    curve = flat([0.2, 0.4, 0.6, 0.8], noise=0.05, rng=rng)
    assert reach(curve, SIZES, 0.22).low == 100
    near_top = reach(curve, SIZES, float(curve[-1].cells.mean()) - 1e-3)
    assert near_top.size is not None
    assert near_top.high is None
    never = reach(curve, SIZES, 0.99)
    assert (never.size, never.low, never.high, never.tested) == (None, None, None, True)


def test_interval_of_the_crossing_covers():
    """A curve through 0.7 at 600 images; seeds and cells shift it as a whole."""
    rng = np.random.default_rng(3)
    heights = 0.7 + 0.15 * (np.log(SIZES) - math.log(600))
    inside = 0
    for _ in range(120):
        shift = draw(rng, 5, 40, (0.02, 0.05)) - 0.7
        noise = rng.normal(0, 0.03, (4, 5, 40))
        found = reach(tables(heights[:, None, None] + shift + noise), SIZES, 0.7)
        assert found.low <= found.size <= found.high
        inside += found.low <= 600 <= found.high
    assert 0.91 <= inside / 120 <= 0.995


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5, unique=True),
    st.floats(1e-4, 1e2),
    st.floats(1.1, 1e4),
)
def test_budgets_are_all_spent(costs, low, ratio):
    weights = budget_weights(sorted(costs), low, low * ratio)
    assert weights.sum() == pytest.approx(1)
    assert np.all(weights >= 0)
    assert (weights[0] == 0) == (min(costs) <= low)


def test_a_dearer_method_pays_for_the_budgets_that_cannot_buy_it():
    cheap, dear = budget_weights([1], 1, 100), budget_weights([10], 1, 100)
    chance, score = 0.1, 0.9
    assert cheap @ [chance, score] == pytest.approx(0.9)
    assert dear @ [chance, score] == pytest.approx(0.5)


@pytest.mark.parametrize(("costs", "low", "high"), [([0], 1, 2), ([2, 1], 1, 9), ([1], 3, 2)])
def test_impossible_budgets_are_refused(costs, low, high):
    with pytest.raises(InvalidInputError, match="budget_weights"):
        budget_weights(costs, low, high)
