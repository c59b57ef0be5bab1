"""Twins of every new combination, and slots put together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_world import BLOCKS, VALUES, world

from recombine.benchmark.serving import recombination as m
from recombine.renderer.core.errors import InvalidInputError


def test_donors_are_twins_in_combination():
    cells, blocks, inside, _ = world()
    found = m.find_donors(cells, blocks, inside)
    assert sorted(found.targets.tolist()) == np.flatnonzero(~inside).tolist()
    assert found.missing == 0
    assert inside[found.donors].all()
    for factor in range(2):
        donor = found.donors[:, factor]
        assert np.array_equal(blocks[donor], blocks[found.targets])
        assert np.array_equal(cells[donor, factor], cells[found.targets, factor])
        assert len(np.unique(donor)) > BLOCKS * VALUES / 2


def test_targets_without_twins_are_counted():
    cells = np.array([[0, 0], [1, 1], [0, 1]])
    inside = np.array([True, True, False])
    whole = m.find_donors(cells, np.zeros(3, int), inside)
    assert whole.donors.tolist() == [[0, 1]]
    apart = m.find_donors(cells, np.array([0, 0, 1]), inside)
    assert (len(apart.targets), apart.donors.shape, apart.missing) == (0, (0, 2), 1)


@given(st.integers(3, 20), st.integers(0, 100))
def test_shuffled_slots_keep_marginals_and_break_every_combination(images, seed):
    slots = np.arange(images * 3).reshape(images, 3, 1)
    mixed = m.shuffle_slots(slots, seed)
    assert np.array_equal(np.sort(mixed, axis=0), slots)
    source = (mixed[:, :, 0] - np.arange(3)) // 3
    assert all(len(set(row)) == 3 for row in source.tolist())


def test_by_hand():
    slots = np.arange(6).reshape(3, 2, 1)
    mixed = m.recombine(slots, np.array([[0, 2]]), np.array([1, 0]))
    assert mixed.tolist() == [[[4], [1]]]


def test_refuses_what_cannot_be_recombined():
    slots = np.zeros((2, 3, 1))
    with pytest.raises(InvalidInputError, match="slot of its own"):
        m.recombine(slots, np.array([[0, 1]]), np.array([1, 1]))
    with pytest.raises(InvalidInputError, match="as many images as slots"):
        m.shuffle_slots(slots, 0)
