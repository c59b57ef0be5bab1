"""Linear R2 on codes whose relation to the factors is known, and after a drift."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from known_codes import halves, known_codes

from recombine.benchmark.metrics import identifiability as ident
from recombine.benchmark.metrics.identifiability import Codes
from recombine.renderer.core.errors import InvalidInputError

CODES = known_codes()


def r2(data):
    fit, scored = halves(data)
    return float(ident.linear_r2(fit, scored, data.factors.var(axis=0)).mean())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("permuted and scaled", 1.00),
        ("saturating", 0.93),
        ("absolute value", 0.00),
        ("rotated", 1.00),
        ("duplicated", 1.00),
        ("sine and cosine", 0.60),
        ("noise", 0.00),
        ("one of tied factors", 0.71),
    ],
)
def test_every_row_of_the_pitfall_table(name, expected):
    assert r2(CODES[name]) == pytest.approx(expected, abs=0.02)


def drifted():
    """Return a code that is exact in combination and drifts out of combination."""
    rng = np.random.default_rng(0)
    inside, outside = rng.uniform(0, 1, (4000, 1)), rng.uniform(0.5, 1, (4000, 1))
    return Codes(inside, inside), Codes(0.6 * outside + 0.1, outside)


def test_refitted_statistics_hide_a_drift_and_own_variances_invent_a_gap():
    inside, outside = drifted()
    fixed, own = np.array([1 / 12]), outside.factors.var(axis=0)
    assert ident.linear_r2(outside, outside, own)[0] == pytest.approx(1.00, abs=0.01)
    assert ident.linear_r2(inside, outside, fixed)[0] == pytest.approx(0.48, abs=0.02)
    assert ident.linear_r2(inside, outside, own)[0] == pytest.approx(-1.10, abs=0.05)


def test_linear_r2_is_that_of_least_squares_up_to_the_variance():
    rng = np.random.default_rng(3)
    factors = rng.normal(size=(400, 2))
    codes = factors @ rng.normal(size=(2, 6)) + rng.normal(size=(400, 6))
    fit, scored = halves(Codes(codes, factors))
    design = np.column_stack([np.ones(200), fit.codes])
    weights = np.linalg.lstsq(design, fit.factors, rcond=None)[0]
    predicted = np.column_stack([np.ones(200), scored.codes]) @ weights
    expected = sklearn.metrics.r2_score(
        y_true=scored.factors, y_pred=predicted, multioutput="raw_values"
    )
    got = ident.linear_r2(fit, scored, scored.factors.var(axis=0), alpha=1e-9)
    assert got == pytest.approx(expected, abs=1e-6)


def test_a_constant_target_gives_a_number_that_means_something():
    rng = np.random.default_rng(4)
    z = rng.uniform(0, 1, (500, 1))
    same = Codes(np.full((10, 1), 0.7), np.full((10, 1), 0.7))
    score = ident.linear_r2(Codes(z, z), same, np.array([1 / 12]))
    assert score[0] == pytest.approx(1, abs=1e-3)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.permutations(range(4)), st.floats(0.1, 10), st.floats(-9, 9))
def test_order_and_units_of_codes_and_images_do_not_matter(seed, order, scale, shift):
    rng = np.random.default_rng(seed)
    data = Codes(rng.normal(size=(30, 4)), rng.normal(size=(30, 3)))
    codes, images = data.codes[:, list(order)] * -scale + shift, rng.permutation(30)
    moved = ident.linear_r2(
        Codes(codes[images], data.factors[images]), Codes(codes, data.factors), np.ones(3)
    )
    assert moved == pytest.approx(ident.linear_r2(data, data, np.ones(3)))


def test_refuses_what_does_not_fit():
    with pytest.raises(InvalidInputError, match="same images"):
        Codes(np.zeros((3, 2)), np.zeros((4, 2)))


def test_the_metric_is_documented():
    assert ident.LINEAR_R2.chance == 0
    assert "frozen" in ident.LINEAR_R2.source
