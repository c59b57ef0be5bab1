"""Metrics against independent references, and what they must be for known readouts."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recombine.benchmark.metrics import base as metrics
from recombine.benchmark.statistics.intervals import linearise
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.factors import Factor

SHAPE = Factor("shape", "categorical", values=("a", "b", "c", "d"))
WIDTH = Factor("x", "continuous", low=-1.0, high=3.0, unit="m")
ANGLE = Factor("yaw", "periodic")
codes = hnp.arrays(np.int64, 30, elements=st.integers(0, 3))
values = hnp.arrays(np.float64, 30, elements=st.floats(-1, 3))
angles = hnp.arrays(np.float64, 30, elements=st.floats(0, 6.28))


@given(codes, codes)
def test_balanced_accuracy_matches_scikit_learn(predicted, true):
    assume(len(np.unique(true)) == 4)
    expected = sklearn.metrics.balanced_accuracy_score(y_true=true, y_pred=predicted, adjusted=True)
    assert metrics.balanced_accuracy(predicted, true, 4) == pytest.approx(expected)


def test_chance_does_not_depend_on_the_classes_a_split_shows():
    true = np.array([0, 0, 1, 1])
    guess = np.array([0, 1, 0, 1])
    assert metrics.balanced_accuracy(guess, true, 4) == pytest.approx((0.5 - 0.25) / 0.75)


@given(values, values)
def test_continuous_score_is_r2_times_the_right_variance(predicted, true):
    assume(true.std() > 1e-3)
    r2 = sklearn.metrics.r2_score(y_true=true, y_pred=predicted)
    expected = 1 - (1 - r2) * true.var() / metrics.reference_variance(-1, 3)
    assert metrics.fixed_variance_score(predicted, true, -1, 3) == pytest.approx(expected, abs=1e-6)


def test_reference_variance_is_that_of_the_uniform_law():
    drawn = np.random.default_rng(0).uniform(-1, 3, 200_000)
    assert metrics.reference_variance(-1, 3) == pytest.approx(drawn.var(), rel=0.01)
    assert metrics.fixed_variance_score(np.ones(200_000), drawn, -1, 3) == pytest.approx(
        0, abs=0.01
    )


def test_a_narrow_split_does_not_manufacture_a_gap():
    rng = np.random.default_rng(1)
    error = rng.normal(0, 0.1, 5000)
    wide, narrow = rng.uniform(-1, 3, 5000), rng.uniform(0.9, 1.1, 5000)
    fixed = [metrics.fixed_variance_score(t + error, t, -1, 3) for t in (wide, narrow)]
    own = [sklearn.metrics.r2_score(y_true=t, y_pred=t + error) for t in (wide, narrow)]
    assert fixed[0] == pytest.approx(fixed[1], abs=1e-9)
    assert own[0] - own[1] > 1


@given(angles, angles, st.integers(-3, 3))
def test_whole_turns_do_not_matter(predicted, true, turns):
    score = metrics.mean_cosine(predicted, true)
    assert metrics.mean_cosine(predicted + turns * 2 * np.pi, true) == pytest.approx(score)
    assert -1 <= score <= 1 + 1e-12


def test_a_blind_guess_of_an_angle_scores_zero():
    rng = np.random.default_rng(2)
    score = metrics.mean_cosine(np.zeros(100_000), rng.uniform(0, 2 * np.pi, 100_000))
    assert score == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("factor", "true", "opposite", "worst"),
    [
        (SHAPE, np.array([0, 1, 2, 3]), np.array([1, 2, 3, 0]), -1 / 3),
        (ANGLE, np.array([0.0, 1.0]), np.array([np.pi, 1 + np.pi]), -1.0),
        (WIDTH, np.array([-1.0, 3.0]), np.array([3.0, -1.0]), 1 - 16 / (16 / 12)),
    ],
)
def test_perfect_and_opposite(factor, true, opposite, worst):
    assert score(factor, true, true) == pytest.approx(1.0)
    assert score(factor, opposite, true) == pytest.approx(worst)


def score(factor, predicted, true):
    """Return the score that the sums of `contributions` stand for."""
    sums, weights = metrics.contributions(factor, predicted, true)
    return linearise(sums[None], weights[None]).mean()


@given(codes, codes, values, values, angles, angles)
def test_sums_give_the_plain_metric(c1, c2, v1, v2, a1, a2):
    assert score(SHAPE, c1, c2) == pytest.approx(metrics.balanced_accuracy(c1, c2, 4), abs=1e-9)
    assert score(ANGLE, a1, a2) == pytest.approx(metrics.mean_cosine(a1, a2), abs=1e-9)
    assert score(WIDTH, v1, v2) == pytest.approx(
        metrics.fixed_variance_score(v1, v2, -1, 3), abs=1e-9
    )


def test_joint_needs_every_factor():
    true = np.array([[0, 1], [2, 3], [1, 1]])
    predicted = np.array([[0, 1], [2, 0], [3, 1]])
    assert metrics.joint_correct(predicted, true).tolist() == [True, False, False]


def test_joint_chance_is_that_of_uniform_guessing():
    rng = np.random.default_rng(3)
    guess, true = rng.integers(0, 4, (2, 50_000, 2))
    chance = metrics.joint_chance((SHAPE, SHAPE))
    assert chance == 1 / 16
    assert metrics.joint_correct(guess, true).mean() == pytest.approx(chance, abs=0.005)


@given(st.permutations(range(30)), codes, codes)
def test_order_of_images_does_not_matter(order, predicted, true):
    order = list(order)
    assert metrics.balanced_accuracy(predicted[order], true[order], 4) == pytest.approx(
        metrics.balanced_accuracy(predicted, true, 4)
    )


@pytest.mark.parametrize(
    ("predicted", "true"),
    [(np.zeros(1), np.zeros(5)), (np.zeros((5, 1)), np.zeros(5)), (np.zeros(0), np.zeros(0))],
)
def test_nothing_is_broadcast(predicted, true):
    with pytest.raises(InvalidInputError, match="one shape"):
        metrics.mean_cosine(predicted, true)
    with pytest.raises(InvalidInputError, match="one shape"):
        metrics.contributions(ANGLE, predicted, true)


@pytest.mark.parametrize("metric", [metrics.JOINT, *metrics.FACTOR_METRICS.values()])
def test_every_metric_is_documented(metric):
    assert metric.direction == "higher"
    assert metric.low <= metric.chance < metric.high
    assert metric.version
    assert metric.source
