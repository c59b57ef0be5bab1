"""Data curves are found in any heap of results; budgets buy what they can pay."""

import numpy as np
import pytest
from factories import make_result

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.curves import budget_area, data_curves
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
    assert curve.ooc.shape == curve.id.shape == (3, 4, 8)
    means = curve.ooc.mean(axis=(1, 2))
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
    assert curve.ooc.shape == (2, 3, 8)


def test_other_data_are_another_curve():
    assert data_curves([at(10, 0.3), at(100, 0.6, root="ff" * 32)]) == []


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
