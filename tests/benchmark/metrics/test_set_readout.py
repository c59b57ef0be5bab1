"""A set readout does not know the order, counts what it must, and its control reads the order."""

from __future__ import annotations

import numpy as np
import pytest

from recombine.benchmark.metrics.set_readout import _DeepSet, _InOrder, fit_set_readout
from recombine.renderer.core.errors import InvalidInputError

SLOTS, DIM = 5, 6
SMALL = {"width": 16, "steps": 200}
TURN = np.random.default_rng(9).normal(size=(2, DIM))


def scenes(n, seed, most=SLOTS):
    """Return slots that hold "is there an object" among noise, and how many there are."""
    rng = np.random.default_rng(seed)
    count = rng.integers(0, most + 1, n)
    present = np.argsort(rng.random((n, SLOTS)), axis=1) < count[:, None]
    other = rng.normal(size=(n, SLOTS))
    slots = np.stack([present, other], axis=2) @ TURN
    return slots.astype(np.float32), count[:, None].astype(float)


@pytest.fixture(scope="module")
def counting():
    slots, count = scenes(200, seed=0, most=3)
    return {
        pooling: fit_set_readout(slots, count, answer="number", pooling=pooling, **SMALL)
        for pooling in ("sum", "concatenated")
    }


def shuffled(slots, seed=1):
    order = np.argsort(np.random.default_rng(seed).random(slots.shape[:2]), axis=1)
    return np.take_along_axis(slots, order[:, :, None], axis=1)


def test_the_order_of_slots_changes_nothing(counting):
    slots, _ = scenes(100, seed=2)
    first, second = counting["sum"].predict(slots), counting["sum"].predict(shuffled(slots))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-5)
    moved = counting["concatenated"].predict(slots) - counting["concatenated"].predict(
        shuffled(slots)
    )
    assert np.abs(moved).max() > 1e-3
    more = np.concatenate([slots, slots], axis=1)  # twice the slots
    assert counting["sum"].predict(more).shape == (100, 1)


def test_it_learns_to_count_and_goes_on_counting(counting):
    slots, count = scenes(300, seed=3)
    error = np.abs(counting["sum"].predict(slots) - count)
    seen = count[:, 0] <= 3
    assert error[seen].mean() < 0.15
    assert error[~seen].mean() < 0.75  # four and five were never shown; "three" is off by 1.5


def test_only_the_concatenated_control_reads_an_answer_off_the_order():
    rng = np.random.default_rng(4)
    slots, _ = scenes(400, seed=4)
    swap = rng.random(400) < 0.5  # the answer: which of two slots comes first
    slots[:, 0], slots[:, 1] = 2.0, -2.0
    slots[swap, 0], slots[swap, 1] = -2.0, 2.0
    answer = swap[:, None].astype(float)
    right = {}
    for pooling in ("sum", "concatenated"):
        readout = fit_set_readout(
            slots[:250], answer[:250], answer="yes-no", pooling=pooling, **SMALL
        )
        right[pooling] = np.mean(readout.predict(slots[250:]) == answer[250:])
    assert right["concatenated"] > 0.97
    assert right["sum"] < 0.65


def test_both_have_about_the_same_parameters():
    sizes = [
        sum(p.numel() for p in model.parameters())
        for model in (_DeepSet(64, 8, 64), _InOrder(9, 64, 8, 64))
    ]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(InvalidInputError, match="same images"):
        fit_set_readout(np.zeros((3, 2, 2)), np.zeros((2, 1)), answer="number")
