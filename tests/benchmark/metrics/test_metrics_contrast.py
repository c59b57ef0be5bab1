"""Compositional contrast and interaction score against loops, and at their ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.benchmark.metrics import decoder as m
from recombine.renderer.core.errors import InvalidInputError

seeds = st.integers(0, 10_000)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@given(seeds)
def test_compositional_contrast_by_loops(seed):
    jacobian, groups = normal(seed, 2, 2, 3, 6), np.array([0, 1, 1, 2, 2, 2])
    norms = m.slot_norms(jacobian, groups)
    for n in range(2):
        raw, weighted, largest = 0.0, 0.0, norms[n].mean(axis=1).max()
        for output in jacobian[n].reshape(6, 6):
            size = [np.linalg.norm(output[groups == k]) for k in range(3)]
            pairs = size[0] * size[1] + size[0] * size[2] + size[1] * size[2]
            raw += pairs
            weighted += pairs / np.mean(size) ** 2 * (np.mean(size) / largest)
        assert m.raw_contrast(norms)[n] == pytest.approx(raw)
        # The published form, over its value if all slots moved all outputs alike.
        most = 3 * (norms[n].mean(axis=1) / largest).sum()
        assert m.compositional_contrast(norms)[n] == pytest.approx(weighted / most)


def test_contrast_and_interaction_at_their_ends():
    apart, alike = np.zeros((1, 1, 4, 2)), np.ones((1, 1, 4, 2))
    apart[0, 0, :2, 0] = apart[0, 0, 2:, 1] = 5
    groups = np.array([0, 1])
    for jacobian, expected in ((apart, (0, 1)), (alike, (1, 0))):
        sums, weights = m.interaction_contributions(jacobian, groups)
        got = m.compositional_contrast(m.slot_norms(jacobian, groups))[0], (sums / weights).item()
        assert got == pytest.approx(expected)
    still = np.zeros((1, 1, 4, 2))
    assert m.compositional_contrast(m.slot_norms(still, groups)).tolist() == [1]
    assert m.interaction_contributions(still, groups)[1].item() == 0


@settings(max_examples=30)
@given(seeds, st.booleans())
def test_interaction_score_by_loops(seed, only_foreground):
    jacobian, groups = normal(seed, 2, 3, 4, 5), np.array([0, 0, 1, 2, 2])
    foreground = normal(seed + 1, 2, 4) > 0 if only_foreground else np.ones((2, 4), dtype=bool)
    sums, weights = m.interaction_contributions(
        jacobian, groups, foreground if only_foreground else None
    )
    for n in range(2):
        scores = []
        for pixel in np.flatnonzero(foreground[n]):
            size = [np.abs(jacobian[n, :, pixel, groups == k]).sum() for k in range(3)]
            scores.append((max(size) / sum(size) - 1 / 3) / (2 / 3))
        assert sums[n, 0] == pytest.approx(sum(scores))
        assert weights[n, 0] == len(scores)


def test_by_hand():
    jacobian = np.array([[1.0, 1.0], [0.0, 1.0]])[None, None]
    norms = m.slot_norms(jacobian, np.array([0, 1]))
    assert m.raw_contrast(norms).tolist() == [1.0]
    assert m.compositional_contrast(norms)[0] == pytest.approx(2 / 3)


def test_refuses_what_has_no_slots():
    with pytest.raises(InvalidInputError, match="two slots"):
        m.compositional_contrast(np.ones((1, 4, 1)))
    with pytest.raises(InvalidInputError, match="two slots"):
        m.interaction_contributions(np.ones((1, 1, 4, 2)), np.array([1, 1]))


@pytest.mark.parametrize("metric", [m.COMPOSITIONAL_CONTRAST, m.INTERACTION])
def test_every_metric_is_documented(metric):
    assert metric.low <= metric.chance <= metric.high
    assert metric.source


@given(seeds, st.permutations(range(5)), st.floats(0.1, 10))
def test_order_contrast_and_split_of_latents_do_not_matter(seed, order, scale):
    jacobian, groups = normal(seed, 2, 3, 4, 5), np.array([0, 0, 1, 2, 2])
    order = list(order)
    moved, names = scale * jacobian[..., order], 7 - groups[order]
    norms, again = m.slot_norms(jacobian, groups), m.slot_norms(moved, names)
    assert m.compositional_contrast(again) == pytest.approx(m.compositional_contrast(norms))
    assert m.raw_contrast(again) == pytest.approx(scale**2 * m.raw_contrast(norms))
    first, second = (
        m.interaction_contributions(*a)[0] for a in ((jacobian, groups), (moved, names))
    )
    assert second == pytest.approx(first)
