"""MCC on codes whose relation to the factors is known, its chance level and its floors."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from known_codes import FACTORS, known_codes, rotation

from recombine.benchmark.metrics import identifiability as m
from recombine.benchmark.metrics.identifiability import LINEAR_R2, Codes
from recombine.renderer.core.errors import InvalidInputError

CODES = known_codes()
# Pearson and Spearman. A rotation's numbers depend on the rotation.
TABLE = {
    "permuted and scaled": (1.00, 1.00),
    "saturating": (0.97, 1.00),
    "absolute value": (0.03, 0.03),
    "duplicated": (1.00, 1.00),
    "sine and cosine": (0.78, None),
    "noise": (0.02, 0.02),
    "one of tied factors": (0.84, None),
}


@pytest.mark.parametrize("name", TABLE)
def test_every_row_of_the_pitfall_table(name):
    pearson, spearman = TABLE[name]
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


def test_the_metric_is_documented():
    assert m.MCC.low <= m.MCC.chance < m.MCC.high
    assert "mcc_chance" in m.MCC.source
