"""Matching against brute force; what it refuses; what it gives away."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from simulate import another_image

from recombine.benchmark.metrics import matching as m
from recombine.benchmark.metrics.base import contributions
from recombine.benchmark.predictions.alignment import constants
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.factors import Factor

COLOUR = Factor("colour", "categorical", values=("a", "b", "c"))
SIZE = Factor("scale", "continuous", low=0.0, high=1.0)
YAW = Factor("yaw", "periodic")
XY = ("object.x", "object.y")
costs = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)),
    elements=st.floats(-3, 3, width=16),
)


def matching_floor(matching, factor, true):
    """Return what constants per matched slot score on the images they are fitted to."""
    slot, values = matching.index[matching.present], true[matching.present]
    sums, weights = contributions(factor, constants(factor, slot, values, slot), values)
    total = weights.sum(axis=0)
    return np.mean(sums.sum(axis=0)[total > 0] / total[total > 0])


def cheapest(table):
    """Return the least total cost over all pairings, one by one."""
    if len(table) > len(table[0]):
        table = table.T
    rows = range(len(table))
    return min(
        sum(table[r, c] for r, c in zip(rows, choice, strict=True))
        for choice in itertools.permutations(range(table.shape[1]), len(table))
    )


@given(costs)
def test_assignment_is_the_cheapest_of_all(cost):
    index = m.assign(cost)
    for table, chosen in zip(cost, index, strict=True):
        used = chosen[chosen >= 0]
        assert len(used) == min(table.shape)
        assert len(set(used.tolist())) == len(used)
        total = sum(table[k, s] for k, s in enumerate(chosen) if s >= 0)
        assert total == pytest.approx(cheapest(table))


@given(costs, st.randoms())
def test_absent_objects_take_no_slot(cost, random):
    there = np.array([[random.random() < 0.5 for _ in row] for row in cost])
    index = m.assign(cost, there)
    assert np.all(index[~there] == -1)
    for table, chosen, present in zip(cost, index, there, strict=True):
        if present.any():
            total = sum(table[k, s] for k, s in enumerate(chosen) if s >= 0)
            assert total == pytest.approx(cheapest(table[present]))


@given(costs, st.randoms())
def test_the_order_of_slots_does_not_matter(cost, random):
    # Small different amounts break ties, which any order may settle in its own way.
    cost = cost + np.random.default_rng(0).uniform(0, 1e-3, cost.shape)
    order = random.sample(range(cost.shape[2]), cost.shape[2])
    values = np.random.default_rng(1).normal(size=(len(cost), cost.shape[2], 2))
    first = m.Matching(m.assign(cost), np.ones(cost.shape[:2], dtype=bool))
    second = m.Matching(m.assign(cost[:, :, order]), first.present)
    matched = first.index >= 0
    assert np.array_equal(second.index >= 0, matched)
    assert np.array_equal(m.take(first, values)[matched], m.take(second, values[:, order])[matched])


def test_masks_by_hand():
    overlap = np.array([[[0.9, 0.8, 0.0], [0.7, 0.1, 0.0]]])
    present = np.array([[True, True]])
    got = m.match_on_masks(overlap, present)
    assert got.index.tolist() == [[1, 0]]
    assert m.take(got, np.array([["a", "b", "c"]])).tolist() == [["b", "a"]]


@pytest.mark.parametrize("cost", [np.zeros((2, 2)), np.full((1, 2, 2), np.nan)])
def test_refuses_costs_that_are_no_numbers(cost):
    with pytest.raises(InvalidInputError, match="finite"):
        m.assign(cost)


def scene(images=2000, objects=4, seed=0):
    rng = np.random.default_rng(seed)
    size = rng.permutation((np.arange(images * objects) + 0.5) / (images * objects))
    return rng.uniform(size=(images, objects, 2)), size.reshape(images, objects)


def blind(position):
    """Match constants (a coarse grid of places) to true positions."""
    grid = np.array([[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]])
    chosen = m.assign(np.sum((position[:, :, None] - grid) ** 2, axis=3))
    return m.Matching(chosen, np.ones_like(chosen, dtype=bool))


def test_matching_on_a_scored_factor_would_be_worth_a_third():
    values = np.random.default_rng(0).uniform(size=(4000, 2))
    chosen = m.assign((values[:, :, None] - np.array([1 / 3, 2 / 3])) ** 2)
    free = m.Matching(chosen, np.ones_like(chosen, dtype=bool))
    assert matching_floor(free, SIZE, values) == pytest.approx(1 / 3, abs=0.02)


def test_floor_is_zero_for_factors_that_have_nothing_to_do_with_position():
    position, size = scene()
    assert matching_floor(blind(position), SIZE, size) == pytest.approx(0, abs=0.02)
    angle = 2 * np.pi * size
    # A constant direction gains about 1 / sqrt(images): the price of fitting it in place.
    assert matching_floor(blind(position), YAW, angle) == pytest.approx(0, abs=0.06)
    colour = np.random.default_rng(1).choice(3, size.shape, p=[0.7, 0.2, 0.1])
    assert matching_floor(blind(position), COLOUR, colour) == pytest.approx(0, abs=0.05)


def test_floor_shows_what_a_factor_tied_to_position_earns():
    position, _ = scene()
    assert matching_floor(blind(position), SIZE, position[:, :, 0]) > 0.4
    colour = (position[:, :, 0] > 0.5).astype(int)
    assert matching_floor(blind(position), COLOUR, colour) > 0.5


def test_floor_of_other_images_masks():
    rng = np.random.default_rng(2)
    overlap = rng.uniform(size=(1000, 3, 3))
    other = another_image(1000, seed=0)
    match = m.match_on_masks(overlap[other], np.ones((1000, 3), dtype=bool))
    assert matching_floor(match, SIZE, rng.uniform(size=(1000, 3))) == pytest.approx(0, abs=0.02)


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_floor_of_a_class_is_the_best_of_all_constants(seed):
    rng = np.random.default_rng(seed)
    index, true = rng.integers(0, 2, (2, 12, 1))
    match = m.Matching(index, np.ones((12, 1), dtype=bool))
    best = -1.0
    for guess in itertools.product(range(3), repeat=2):
        answer = np.array(guess)[index]
        present = np.unique(true)
        recall = np.mean([np.mean(answer[true == code] == code) for code in present])
        best = max(best, (recall - 1 / 3) / (2 / 3))
    assert matching_floor(match, COLOUR, true) == pytest.approx(best)


def test_absent_objects_have_no_part_in_the_floor():
    index = np.array([[0, -1], [0, -1]])
    match = m.Matching(index, index >= 0)
    values = np.array([[0.2, 9.0], [0.2, -9.0]])
    assert matching_floor(match, SIZE, values) == pytest.approx(1.0)
