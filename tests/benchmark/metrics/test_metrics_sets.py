"""Set R2: the free part of it, and what is left after that."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.benchmark.metrics import metrics_sets as sets
from recombine.renderer.core.errors import InvalidInputError

# R2 of a prediction without any information after the best pairing, by objects and factors.
FLOORS = {
    2: {1: 0.34, 2: 0.16, 5: 0.06, 10: 0.03},
    3: {1: 0.51, 2: 0.32, 5: 0.13, 10: 0.06},
    4: {1: 0.60, 2: 0.43, 5: 0.18, 10: 0.09},
    6: {1: 0.72, 2: 0.56, 5: 0.27, 10: 0.13},
    10: {1: 0.82, 2: 0.69, 5: 0.39, 10: 0.20},
}


def uniform(images, objects, factors, seed=0):
    """Return factors with exactly uniform marginals (a Latin hypercube): less noise."""
    rng = np.random.default_rng(seed)
    values = (np.arange(images * objects) + 0.5) / (images * objects)
    true = np.stack([rng.permutation(values) for _ in range(factors)], axis=1)
    return true.reshape(images, objects, factors), np.full(factors, 1 / 12)


@pytest.mark.parametrize("objects", FLOORS)
def test_floors_of_constant_sets(objects):
    for factors, expected in FLOORS[objects].items():
        true, variance = uniform(6000 // objects, objects, factors)
        floor = sets.constant_set_floor(true, variance)
        assert floor == pytest.approx(expected, abs=0.02), factors


@pytest.mark.parametrize("objects", [2, 3, 6])
def test_floor_of_one_uniform_factor_is_known_exactly(objects):
    # The best constants are the mean order statistics, i / (K + 1).
    true, variance = uniform(3000, objects, 1)
    exact = (objects - 1) / (objects + 1)
    assert sets.constant_set_floor(true, variance) == pytest.approx(exact, abs=0.015)
    constants = np.sort(sets.constant_set(true, variance), axis=0)[:, 0]
    assert constants == pytest.approx(np.arange(1, objects + 1) / (objects + 1), abs=0.02)


def test_nothing_is_free_without_pairing():
    true, variance = uniform(2000, 4, 1)
    shuffled = np.roll(true, 1, axis=0)
    unmatched = 1 - np.mean((shuffled - true) ** 2) / variance[0]
    assert unmatched == pytest.approx(-1, abs=0.05)
    assert 1 - np.mean((0.5 - true) ** 2) / variance[0] == pytest.approx(0, abs=0.02)


def test_perfect_constant_and_shuffled():
    true, variance = uniform(1500, 3, 2)
    order = np.argsort(np.random.default_rng(1).random((1500, 3)), axis=1)
    mixed = np.take_along_axis(true, order[:, :, None], axis=1)
    perfect = sets.set_r2(mixed, true, variance)
    assert (perfect.r2, perfect.corrected) == (1, 1)
    constant = np.broadcast_to(sets.constant_set(true, variance), true.shape)
    assert sets.set_r2(constant, true, variance).corrected == pytest.approx(0, abs=1e-9)
    blind = sets.set_r2(np.roll(true, 1, axis=0), true, variance)
    assert blind.r2 > -0.3  # -1 without pairing
    assert blind.corrected < -0.5


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(0, 1))
def test_pairing_is_the_best_of_all(seed, objects, extra):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(3, objects, 2))
    predicted = rng.normal(size=(3, objects + extra, 2))
    variance = np.array([0.5, 2.0])
    sums, weights = sets.set_contributions(predicted, true, variance)
    for image in range(3):
        error = min(
            np.mean((predicted[image, list(choice)] - true[image]) ** 2 / variance) * objects
            for choice in itertools.permutations(range(objects + extra), objects)
        )
        assert weights[image, 0] == objects
        assert sums[image, 0] == pytest.approx(objects - error)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5), st.integers(1, 19))
def test_units_order_and_batches_do_not_matter(seed, scale, shift, cut):
    rng = np.random.default_rng(seed)
    true, predicted = rng.normal(size=(2, 20, 3, 2))
    variance = np.array([1.0, 2.0])
    sums, _ = sets.set_contributions(predicted, true, variance)
    moved = sets.set_contributions(
        predicted[:, ::-1] * scale + shift, true * scale + shift, variance * scale**2
    )
    assert moved[0] == pytest.approx(sums, abs=1e-6)
    halves = [
        sets.set_contributions(predicted[part], true[part], variance)[0].sum()
        for part in (slice(None, cut), slice(cut, None))
    ]
    assert sum(halves) == pytest.approx(sums.sum())


def test_absent_objects_cost_nothing():
    true = np.array([[[0.0], [9.0]], [[1.0], [2.0]]])
    present = np.array([[True, False], [True, True]])
    predicted = np.array([[[5.0], [0.0]], [[2.0], [1.0]]])
    sums, weights = sets.set_contributions(predicted, true, np.ones(1), present)
    assert sums.tolist() == weights.tolist() == [[1], [2]]
    score = sets.set_r2(predicted, true, np.ones(1), present)
    assert score.r2 == 1


def test_the_floor_depends_on_the_split_and_so_does_the_raw_gap():
    # Same predictor quality, another law of the factors: only the corrected score keeps still.
    rng = np.random.default_rng(5)
    wide = rng.uniform(0, 1, (2000, 2, 1))
    sides = rng.uniform(0, 0.2, (2000, 2, 1)) + np.array([[0.0], [0.8]])
    floors = [sets.constant_set_floor(t, np.full(1, 1 / 12)) for t in (wide, sides)]
    assert floors[0] == pytest.approx(1 / 3, abs=0.02)
    assert floors[1] > 0.9


def test_by_hand():
    assert sets.chance_corrected(0.75, 0.5) == 0.5
    assert sets.chance_corrected(0.2, 0.2) == 0
    with pytest.raises(InvalidInputError, match="below 1"):
        sets.chance_corrected(0.5, 1.0)
    with pytest.raises(InvalidInputError, match="cannot stand for"):
        sets.set_contributions(np.zeros((1, 1, 1)), np.zeros((1, 2, 1)), np.ones(1))


def test_the_metric_is_documented():
    assert sets.SET_R2.chance == 0
    assert "constant set" in sets.SET_R2.source
