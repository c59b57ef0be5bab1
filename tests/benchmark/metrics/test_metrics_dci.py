"""DCI on codes whose relation to the factors is known, and where it must keep silent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from known_codes import FACTORS, halves, known_codes
from scipy.stats import entropy
from sklearn.linear_model import LassoCV

from recombine.benchmark.metrics import identifiability as m
from recombine.renderer.core.errors import InvalidInputError

CODES = known_codes()
# Disentanglement, completeness (forest; None: gated), informativeness.
TABLE = {
    "permuted and scaled": (1.00, 1.00, 1.00),
    "saturating": (1.00, 1.00, 1.00),
    "absolute value": (None, None, -0.03),
    "duplicated": (1.00, 0.70, 1.00),
    "sine and cosine": (1.00, 0.77, 1.00),
    "noise": (None, None, -0.02),
    "one of tied factors": (0.01, 0.01, 0.69),
}
importances = hnp.arrays(np.float64, (4, 3), elements=st.floats(0, 1, width=16))


def forest(name, trees=30):
    data = CODES[name]
    fit, scored = halves(data, limit=1500)
    return m.forest_importance(fit, scored, data.factors.var(axis=0), trees=trees)


@pytest.mark.parametrize("name", TABLE)
def test_every_row_of_the_pitfall_table(name):
    disentanglement, completeness, informativeness = TABLE[name]
    got = m.dci(*forest(name))
    assert got.informativeness == pytest.approx(informativeness, abs=0.05)
    if disentanglement is None:
        assert (got.disentanglement, got.completeness, got.factors) == (None, None, ())
        return
    assert got.disentanglement == pytest.approx(disentanglement, abs=0.03)
    assert got.completeness == pytest.approx(completeness, abs=0.03)


def test_a_rotation_informs_without_disentangling():
    got = m.dci(*forest("rotated"))
    assert got.informativeness > 0.85
    assert 0.1 < got.disentanglement < 0.75


def test_without_the_gate_noise_would_be_disentangled():
    data = CODES["noise"]
    columns = []
    for number in range(FACTORS):
        model = LassoCV(cv=3, alphas=20).fit(data.codes[:500], data.factors[:500, number])
        columns.append(np.abs(model.coef_))
    importance = np.stack(columns, axis=1)
    # What little is left of the weights sits where chance put it.
    known = m.dci(importance, np.ones(FACTORS))
    gated = m.dci(importance, np.zeros(FACTORS))
    assert known.disentanglement == pytest.approx(1.0)
    assert (gated.disentanglement, gated.completeness) == (None, None)


@given(importances)
def test_scores_by_entropies(importance):
    importance = importance + 1e-3
    got = m.dci(importance, np.ones(3))
    rows = 1 - entropy(importance, base=3, axis=1)
    columns = 1 - entropy(importance, base=4, axis=0)
    weight = importance.sum(axis=1) / importance.sum()
    assert got.disentanglement == pytest.approx(float(weight @ rows), abs=1e-9)
    assert got.completeness == pytest.approx(columns.mean(), abs=1e-9)


@given(importances, st.permutations(range(4)), st.permutations(range(3)), st.floats(0.1, 9))
def test_order_and_scale_do_not_matter(importance, codes, factors, scale):
    importance = importance + 1e-3
    moved = m.dci(scale * importance[list(codes)][:, list(factors)], np.ones(3))
    got = m.dci(importance, np.ones(3))
    assert moved.disentanglement == pytest.approx(got.disentanglement, abs=1e-9)
    assert moved.completeness == pytest.approx(got.completeness, abs=1e-9)


@pytest.mark.parametrize(
    ("importance", "expected"),
    [
        (np.eye(3), (1.0, 1.0)),
        (np.ones((3, 3)), (0.0, 0.0)),
        (np.eye(3)[[0, 0, 1, 2]], (1.0, 5 / 6)),
    ],
)
def test_by_hand(importance, expected):
    got = m.dci(importance, np.ones(3))
    assert (got.disentanglement, got.completeness) == pytest.approx(expected, abs=1e-9)


def test_factors_that_cannot_be_predicted_are_left_out_and_named():
    importance = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    got = m.dci(importance, np.array([0.9, 0.8, 0.1]))
    assert got.factors == (0, 1)
    assert got.disentanglement == pytest.approx(1)
    assert got.informativeness == pytest.approx(0.6)
    assert m.dci(importance, np.array([0.9, 0.1, 0.1])).disentanglement is None


@pytest.mark.parametrize(
    ("importance", "r2"),
    [(-np.eye(2), np.ones(2)), (np.eye(2), np.ones(3)), (np.ones(2), np.ones(2))],
)
def test_refuses_importances_that_do_not_fit(importance, r2):
    with pytest.raises(InvalidInputError, match="not negative"):
        m.dci(importance, r2)


@pytest.mark.parametrize("metric", [m.DISENTANGLEMENT, m.COMPLETENESS])
def test_every_metric_is_documented(metric):
    assert "gate" in metric.source
