"""Codes against factors: linear readout, pairing, disentanglement, slots."""

import itertools

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from known_codes import FACTORS, halves, known_codes, rotation
from scipy.stats import entropy
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LassoCV
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from recombine.benchmark.metrics import identifiability as m
from recombine.benchmark.metrics.identifiability import LINEAR_R2, Codes, SlotCodes
from recombine.renderer.core.errors import InvalidInputError

CODES = known_codes()


def r2(data):
    fit, scored = halves(data)
    return float(m.linear_r2(fit, scored, data.factors.var(axis=0)).mean())


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
def test_every_row_of_the_pitfall_table_of_linear_r2(name, expected):
    assert r2(CODES[name]) == pytest.approx(expected, abs=0.02)


def drifted():
    """Return a code that is exact in combination and drifts out of combination."""
    rng = np.random.default_rng(0)
    inside, outside = rng.uniform(0, 1, (4000, 1)), rng.uniform(0.5, 1, (4000, 1))
    return Codes(inside, inside), Codes(0.6 * outside + 0.1, outside)


def test_refitted_statistics_hide_a_drift_and_own_variances_invent_a_gap():
    inside, outside = drifted()
    fixed, own = np.array([1 / 12]), outside.factors.var(axis=0)
    assert m.linear_r2(outside, outside, own)[0] == pytest.approx(1.00, abs=0.01)
    assert m.linear_r2(inside, outside, fixed)[0] == pytest.approx(0.48, abs=0.02)
    assert m.linear_r2(inside, outside, own)[0] == pytest.approx(-1.10, abs=0.05)


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
    got = m.linear_r2(fit, scored, scored.factors.var(axis=0), alpha=1e-9)
    assert got == pytest.approx(expected, abs=1e-6)


def test_a_constant_target_gives_a_number_that_means_something():
    rng = np.random.default_rng(4)
    z = rng.uniform(0, 1, (500, 1))
    same = Codes(np.full((10, 1), 0.7), np.full((10, 1), 0.7))
    score = m.linear_r2(Codes(z, z), same, np.array([1 / 12]))
    assert score[0] == pytest.approx(1, abs=1e-3)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.permutations(range(4)), st.floats(0.1, 10), st.floats(-9, 9))
def test_order_and_units_of_codes_and_images_do_not_matter(seed, order, scale, shift):
    rng = np.random.default_rng(seed)
    data = Codes(rng.normal(size=(30, 4)), rng.normal(size=(30, 3)))
    codes, images = data.codes[:, list(order)] * -scale + shift, rng.permutation(30)
    moved = m.linear_r2(
        Codes(codes[images], data.factors[images]), Codes(codes, data.factors), np.ones(3)
    )
    assert moved == pytest.approx(m.linear_r2(data, data, np.ones(3)))


def test_refuses_what_does_not_fit():
    with pytest.raises(InvalidInputError, match="same images"):
        Codes(np.zeros((3, 2)), np.zeros((4, 2)))


def test_linear_r2_is_documented():
    assert m.LINEAR_R2.chance == 0
    assert "frozen" in m.LINEAR_R2.source


# Pearson and Spearman. A rotation's numbers depend on the rotation.
MCC_TABLE = {
    "permuted and scaled": (1.00, 1.00),
    "saturating": (0.97, 1.00),
    "absolute value": (0.03, 0.03),
    "duplicated": (1.00, 1.00),
    "sine and cosine": (0.78, None),
    "noise": (0.02, 0.02),
    "one of tied factors": (0.84, None),
}


@pytest.mark.parametrize("name", MCC_TABLE)
def test_every_row_of_the_pitfall_table_of_mcc(name):
    pearson, spearman = MCC_TABLE[name]
    assert m.mcc(CODES[name]).value == pytest.approx(pearson, abs=0.02)
    if spearman is not None:
        assert m.mcc(CODES[name], "spearman").value == pytest.approx(spearman, abs=0.02)


def test_a_rotation_keeps_all_information_and_few_correlations():
    rng = np.random.default_rng(1)
    factors = CODES["rotated"].factors[:1000]
    values = [m.mcc(Codes(factors @ rotation(rng), factors)).value for _ in range(100)]
    assert np.mean(values) == pytest.approx(0.73, abs=0.03)
    assert min(values) < 0.83 < max(values)


@pytest.mark.parametrize(
    ("images", "dim", "chance"),
    [(200, 5, 0.11), (200, 50, 0.16), (200, 512, 0.23), (5000, 5, 0.02), (5000, 50, 0.04)],
)
def test_noise_has_a_chance_level_that_grows_with_the_number_of_codes(images, dim, chance):
    rng = np.random.default_rng(dim)
    data = Codes(rng.normal(size=(images, dim)), rng.uniform(size=(images, FACTORS)))
    assert m.mcc_chance(data) == pytest.approx(chance, abs=0.025)
    assert m.mcc(data).value == pytest.approx(m.mcc_chance(data), abs=0.03)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["pearson", "spearman"]))
def test_mcc_by_scipy_and_all_permutations(seed, kind):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(20, 3))
    codes = np.concatenate([factors[:, :2] + rng.normal(size=(20, 2)), rng.normal(size=(20, 2))], 1)
    function = scipy.stats.pearsonr if kind == "pearson" else scipy.stats.spearmanr
    table = np.array([[abs(function(f, c)[0]) for c in codes.T] for f in factors.T])
    best = max(
        np.mean([table[f, c] for f, c in enumerate(choice)])
        for choice in itertools.permutations(range(4), 3)
    )
    assert m.mcc(Codes(codes, factors), kind).value == pytest.approx(best)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.permutations(range(4)), st.floats(0.1, 10), st.floats(-9, 9))
def test_order_scale_and_shift_of_codes_do_not_matter(seed, order, scale, shift):
    rng = np.random.default_rng(seed)
    factors, codes = rng.normal(size=(30, 3)), rng.normal(size=(30, 4))
    moved = codes[:, list(order)] * -scale + shift
    assert m.mcc(Codes(moved, factors)).value == pytest.approx(m.mcc(Codes(codes, factors)).value)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_observations_are_a_floor_that_codes_may_miss(kind):
    data = CODES["rotated"]
    seen = data.factors @ (np.eye(FACTORS) + 0.2)
    got = m.mcc_with_floors(data, seen, kind)
    assert got.value == m.mcc(data, kind).value
    assert got.chance < 0.05 < got.value < 0.85 < got.raw
    assert m.mcc_with_floors(data, kind=kind).raw is None


def test_increasing_maps_do_not_matter_to_ranks():
    data = CODES["saturating"]
    curved = Codes(np.exp(5 * data.codes), data.factors)
    assert m.mcc(curved, "spearman").value == pytest.approx(1)
    assert m.mcc(curved).value < 0.95


def test_a_frozen_assignment_shows_swapped_codes():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(500, 2))
    inside = m.mcc(Codes(factors, factors))
    assert inside.assignment.tolist() == [0, 1]
    swapped = Codes(factors[:, ::-1], factors)
    assert m.mcc(swapped).value == pytest.approx(1)
    assert m.mcc(swapped, assignment=inside.assignment).value < 0.1


def test_constant_and_missing_codes_count_as_zero():
    factors = np.random.default_rng(0).normal(size=(100, 2))
    constant = np.full((100, 1), 1e6 / 3)
    assert m.correlations(Codes(constant, factors)).tolist() == [[0.0], [0.0]]
    one = m.mcc(Codes(factors[:, :1], factors))
    assert one.value == pytest.approx(0.5)
    assert sorted(one.assignment.tolist()) == [-1, 0]


def test_dependence_among_factors_earns_what_the_floors_say():
    tied, free = CODES["one of tied factors"].factors, CODES["noise"].factors
    high = m.dependence_floors(tied, tied.var(axis=0))
    low = m.dependence_floors(free, free.var(axis=0))
    assert high[m.MCC.name] == pytest.approx(0.84, abs=0.02)
    assert high[LINEAR_R2.name] == pytest.approx(16 / 21, abs=0.03)
    assert low[m.MCC.name] == pytest.approx(1 / FACTORS, abs=0.02)
    assert low[LINEAR_R2.name] == pytest.approx(0, abs=0.02)


def test_refuses_a_single_factor():
    with pytest.raises(InvalidInputError, match="at least 2 factors"):
        m.dependence_floors(np.zeros((5, 1)), np.ones(1))


def test_mcc_is_documented():
    assert m.MCC.low <= m.MCC.chance < m.MCC.high
    assert "mcc_chance" in m.MCC.source


# Disentanglement, completeness (forest; None: gated), informativeness.
DCI_TABLE = {
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


@pytest.mark.parametrize("name", DCI_TABLE)
def test_every_row_of_the_pitfall_table_of_dci(name):
    disentanglement, completeness, informativeness = DCI_TABLE[name]
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


K, M = 3, 2
SLOT_VARIANCE = tuple(np.full(M, 1 / 3) for _ in range(K))
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
    return m.slot_identifiability(m.slot_r2(*parts, SLOT_VARIANCE))


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
    got = m.slot_r2(fit, scored, variance)
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
    got = m.slot_identifiability(r2)
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
    got = m.slot_identifiability(r2[:, list(order)])
    assert got.value == pytest.approx(m.slot_identifiability(r2).value)


def test_units_do_not_matter():
    true = true_slots(200)
    inferred = curved(true)
    assert score(5 * inferred - 3, true).value == pytest.approx(score(inferred, true).value)


def test_a_bad_readout_does_not_pay_for_another():
    assert m.slot_identifiability(np.array([[0.5, -9.0], [-9.0, 0.5]])).value == 0.5
    frozen = m.slot_identifiability(np.eye(2), np.array([1, 0]))
    assert frozen.value == -1


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (2,)])
def test_refuses_matrices_without_an_answer(shape):
    with pytest.raises(InvalidInputError, match="at least as many"):
        m.slot_identifiability(np.zeros(shape))


def test_slot_identifiability_is_documented():
    assert m.SLOT_IDENTIFIABILITY.chance == 0
    assert "kernel ridge" in m.SLOT_IDENTIFIABILITY.source
