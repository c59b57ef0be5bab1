"""Slot identifiability: permuted and curved slots are 1, copies and mixtures 0."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from recombine.benchmark.metrics import identifiability as slots
from recombine.benchmark.metrics.identifiability import SlotCodes
from recombine.renderer.core.errors import InvalidInputError

K, M = 3, 2
VARIANCE = tuple(np.full(M, 1 / 3) for _ in range(K))
matrices = hnp.arrays(np.float64, (3, 4), elements=st.floats(-2, 1, width=16))


def true_slots(images=300, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (images, K, M))


def score(inferred, true):
    """Fit on the first 80 %, score the rest."""
    cut = int(0.8 * len(true))
    parts = [
        SlotCodes(inferred[part], tuple(true[part, k] for k in range(K)))
        for part in (slice(None, cut), slice(cut, None))
    ]
    return slots.slot_identifiability(slots.slot_r2(*parts, VARIANCE))


def curved(true):
    """Return an invertible curved map of every slot."""
    x, y = true[..., 0], true[..., 1]
    return np.stack([x + 0.3 * np.sin(2 * y), y + 0.3 * x**2, x * y], axis=-1)


def test_permuted_and_curved_slots_are_identified():
    true = true_slots()
    got = score(curved(true)[:, [2, 0, 1]], true)
    assert got.value > 0.95
    assert got.assignment.tolist() == [1, 2, 0]


def test_copies_mixtures_and_noise_are_not():
    true = true_slots()
    everything = np.repeat(true.reshape(len(true), 1, K * M), K, axis=1)
    copies = score(everything, true)
    noise = score(np.random.default_rng(1).normal(size=true.shape), true)
    assert copies.value == pytest.approx(0, abs=0.01)
    assert copies.information > 0.9
    assert abs(noise.value) < 0.05
    assert noise.information < 0.05
    mixing = np.linalg.qr(np.random.default_rng(2).normal(size=(K * M, K * M)))[0]
    mixed = (true.reshape(-1, K * M) @ mixing).reshape(true.shape)
    assert score(mixed, true).value < 0.5


def test_r2_is_that_of_the_published_code():
    true = true_slots(200)
    inferred = curved(true) + 0.1
    cut = 160
    fit, scored = (
        SlotCodes(inferred[part], tuple(true[part, k] for k in range(K)))
        for part in (slice(None, cut), slice(cut, None))
    )
    variance = tuple(scored.factors[k].var(axis=0) for k in range(K))
    got = slots.slot_r2(fit, scored, variance)
    for k, s in itertools.product(range(K), range(K)):
        code, target = StandardScaler().fit(fit.slots[:, s]), StandardScaler()
        target.fit(fit.factors[k])
        model = KernelRidge(kernel="rbf", alpha=1.0)
        model.fit(code.transform(fit.slots[:, s]), target.transform(fit.factors[k]))
        answer = model.predict(code.transform(scored.slots[:, s]))
        expected = r2_score(y_true=target.transform(scored.factors[k]), y_pred=answer)
        assert got[k, s] == pytest.approx(expected)


@given(matrices)
def test_assignment_is_the_best_of_all(r2):
    known = np.clip(r2, 0, 1)
    best = max(
        sum(known[k, s] for k, s in enumerate(choice))
        for choice in itertools.permutations(range(4), 3)
    )
    got = slots.slot_identifiability(r2)
    assert got.information == pytest.approx(best / 3)
    margins = [
        known[k, s] - max(known[k, t] for t in range(4) if t != s)
        for k, s in enumerate(got.assignment)
    ]
    assert got.value == pytest.approx(np.mean(margins))
    assert -1 <= got.value <= 1


@settings(max_examples=20)
@given(matrices, st.permutations(range(4)))
def test_order_of_slots_does_not_matter(r2, order):
    # Equal sums may be reached by several assignments with different margins.
    r2 = r2 + np.random.default_rng(0).uniform(0, 1e-3, r2.shape)
    got = slots.slot_identifiability(r2[:, list(order)])
    assert got.value == pytest.approx(slots.slot_identifiability(r2).value)


def test_units_do_not_matter():
    true = true_slots(200)
    inferred = curved(true)
    assert score(5 * inferred - 3, true).value == pytest.approx(score(inferred, true).value)


def test_a_bad_readout_does_not_pay_for_another():
    assert slots.slot_identifiability(np.array([[0.5, -9.0], [-9.0, 0.5]])).value == 0.5
    frozen = slots.slot_identifiability(np.eye(2), np.array([1, 0]))
    assert frozen.value == -1


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (2,)])
def test_refuses_matrices_without_an_answer(shape):
    with pytest.raises(InvalidInputError, match="at least as many"):
        slots.slot_identifiability(np.zeros(shape))


def test_the_metric_is_documented():
    assert slots.SLOT_IDENTIFIABILITY.chance == 0
    assert "kernel ridge" in slots.SLOT_IDENTIFIABILITY.source
