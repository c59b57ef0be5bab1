"""Power is what simulation finds; the bound for all-right answers holds in the worst case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.intervals import Estimate
from recombine.benchmark.statistics.power import power_at, unanimous_bound


@given(st.floats(0.001, 0.2), st.floats(2, 50))
def test_power_at_the_detectable_difference_is_as_promised(error, df):
    found = Estimate(0.0, error, df)
    assert power_at(found, 0.0) == pytest.approx(0.05, abs=1e-3)
    promised = power_at(found, stats.detectable(found))
    assert 0.7 <= promised <= 0.85  # the sum of two quantiles is an approximation for few df
    assert power_at(found, 1e3 * error) == pytest.approx(1)


def test_power_is_that_of_the_t_test():
    found = Estimate(0.0, 0.1, 12.0)
    draws = reference.nct.rvs(12, 2.5, size=20_000, random_state=0)
    share = np.mean(np.abs(draws) > reference.t.ppf(0.975, 12))
    assert power_at(found, 0.25) == pytest.approx(share, abs=0.015)


def test_without_a_standard_error_there_is_no_power():
    assert power_at(Estimate(0.3), 0.1) is None
    assert stats.detectable(Estimate(0.3)) is None


@pytest.mark.parametrize(("seeds", "cells"), [(3, 8), (5, 40), (10, 4), (1, 6)])
def test_bound_holds_when_whole_runs_or_whole_cells_fail(seeds, cells):
    """Runs (or cells) fail completely: at the bound, all-right tables appear 5 % of the time."""
    mean = unanimous_bound(seeds, cells)
    rng = np.random.default_rng(seeds)
    few = min(seeds, cells)
    all_right = (rng.uniform(size=(40_000, few)) < mean).all(axis=1).mean()
    assert all_right == pytest.approx(0.05, abs=0.005)


def test_more_of_the_scarcer_kind_is_needed():
    assert unanimous_bound(5, 40) == unanimous_bound(5, 4000) < unanimous_bound(6, 40)
