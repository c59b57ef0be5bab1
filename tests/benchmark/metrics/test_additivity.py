"""Edits that are one vector, edits that are not, and values in between that are known."""

from __future__ import annotations

import numpy as np
import pytest

from recombine.benchmark.metrics.additivity import additivity, agreement, consistency
from recombine.renderer.core.errors import InvalidInputError

RNG = np.random.default_rng(0)
EDITS = np.tile(np.arange(4), 50)
OUTSIDE = np.arange(200) % 8 >= 4
VECTORS = np.linalg.qr(RNG.normal(size=(40, 40)))[0][:4]


def test_one_vector_in_every_context_is_consistent_and_agrees():
    found = additivity(VECTORS[EDITS], EDITS, OUTSIDE)
    assert (found.inside, found.outside, found.across) == pytest.approx((1, 1, 1))
    assert (found.edits, found.contexts) == (4, 200)
    # Four orthogonal vectors, permuted: each mean holds a quarter of each, and 4/16 is left.
    assert found.across_chance == pytest.approx(0.25, abs=0.06)
    assert found.inside_chance == pytest.approx(0.25 + 0.75 / 25, abs=0.04)


def test_planted_shares_of_what_changes_with_the_context():
    contexts = np.eye(100)[:, None] * 2.0  # orthogonal, of length 2: one direction per context
    deltas = np.concatenate([np.full((100, 1), 1.0), contexts[:, 0]], axis=1)
    assert consistency(deltas) == pytest.approx((1 + 4 / 100) / (1 + 4))
    assert agreement(deltas[:50], deltas[50:]) == pytest.approx(1 / 5)
    turn = np.linalg.qr(RNG.normal(size=(101, 101)))[0]
    assert consistency(7 * deltas @ turn) == pytest.approx(consistency(deltas))


def test_an_edit_that_turns_round_out_of_combination_is_consistent_and_disagrees():
    sign = np.where(OUTSIDE, -1.0, 1.0)[:, None]
    found = additivity(sign * VECTORS[EDITS], EDITS, OUTSIDE)
    assert (found.inside, found.outside, found.across) == pytest.approx((1, 1, -1))


def test_unrelated_differences_are_at_chance():
    found = additivity(RNG.normal(size=(200, 60)), EDITS, OUTSIDE)
    assert found.inside == pytest.approx(1 / 25, abs=0.01)
    assert found.inside == pytest.approx(found.inside_chance, abs=0.01)
    assert abs(found.across) < 0.03


def test_what_cannot_be_told_is_none():
    assert consistency(np.zeros((5, 3))) is None
    assert agreement(np.zeros((5, 3)), np.ones((5, 3))) is None
    alone = additivity(VECTORS, np.arange(4), np.zeros(4, bool))
    assert (alone.inside, alone.outside, alone.across) == (None, None, None)
    inside = additivity(VECTORS[EDITS], EDITS, np.zeros(200, bool))
    assert (inside.outside, inside.across) == (None, None)
    with pytest.raises(InvalidInputError, match="200 differences, 3 edits"):
        additivity(VECTORS[EDITS], EDITS[:3], OUTSIDE)
