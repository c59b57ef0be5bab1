from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.factors import Factor
from recombine.renderer.splits.geometries_continuous import (
    CONTINUOUS,
    LATTICE,
    Band,
    ContinuousGeometry,
    reflected_band,
    to_factor,
    torus_band,
)

Make = Callable[..., ContinuousGeometry]
MAKERS = st.sampled_from(sorted(CONTINUOUS)).map(CONTINUOUS.__getitem__)


def marginals(band: Band) -> list[dict[int, Fraction]]:
    sums: list[dict[int, Fraction]] = [{}, {}]
    for pair, share in band.law().items():
        for side, value in enumerate(pair):
            sums[side][value] = sums[side].get(value, Fraction(0)) + share
    return sums


def assert_uniform_and_disjoint(geometry: ContinuousGeometry) -> None:
    size = geometry.id_band.lattice
    uniform = dict.fromkeys(range(size), Fraction(1, size))
    for band in (geometry.id_band, geometry.ooc_band):
        assert marginals(band) == [uniform, uniform]
    assert not geometry.id_band.law().keys() & geometry.ooc_band.law().keys()


@pytest.mark.parametrize("make", [reflected_band, torus_band])
@pytest.mark.parametrize(("size", "width"), [(8, 1), (10, 2), (16, 3)])
def test_marginals_are_exactly_uniform_in_rationals(make: Make, size: int, width: int) -> None:
    geometry = make(width / size, lattice=size)
    assert (geometry.id_band.high, geometry.ooc_band.low) == (width, width + 1)
    assert_uniform_and_disjoint(geometry)


@settings(deadline=None)
@given(MAKERS, st.integers(4, 24), st.data())
def test_marginals_are_uniform_on_every_lattice(make: Make, size: int, data: st.DataObject) -> None:
    outer = data.draw(st.integers(1, (size - 2) // 2))
    inner = data.draw(st.integers(1, outer))
    geometry = make(inner / size, beyond=outer / size, lattice=size)
    assert_uniform_and_disjoint(geometry)


def test_equal_weight_on_the_band_would_not_be_uniform() -> None:
    law = reflected_band(0.2, lattice=10).id_band.law()
    assert len(set(law.values())) > 1


def test_the_support_is_the_band_and_only_the_corners_are_unused() -> None:
    geometry = reflected_band(2 / 10, lattice=10)
    near = {(i, j) for i in range(10) for j in range(10) if abs(i - j) <= 2}
    corners = {(i, j) for i in range(10) for j in range(10) if abs(i - j) >= 8}
    assert set(geometry.id_band.law()) == near
    everything = {(i, j) for i in range(10) for j in range(10)}
    assert set(geometry.ooc_band.law()) == everything - near - corners


@settings(deadline=None)
@given(MAKERS, st.floats(1e-9, 0.499), st.integers(0, 2**32))
def test_samples_lie_in_their_band_and_never_in_the_other(
    make: Make, width: float, seed: int
) -> None:
    geometry = make(width)
    rng = np.random.default_rng(seed)
    for own, other in (
        (geometry.id_band, geometry.ooc_band),
        (geometry.ooc_band, geometry.id_band),
    ):
        z = own.sample(rng, 64)
        assert z.shape == (64, 2)
        assert ((z >= 0) & (z < 1)).all()
        assert own.contains(z[:, 0], z[:, 1]).all()
        assert not other.contains(z[:, 0], z[:, 1]).any()


@pytest.mark.parametrize("make", [reflected_band, torus_band])
def test_contains_is_the_support_of_the_law(make: Make) -> None:
    geometry = make(3 / 16, beyond=5 / 16, lattice=16)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(16), np.arange(16), indexing="ij"))
    for band in (geometry.id_band, geometry.ooc_band):
        found = band.contains((i + 0.5) / 16, (j + 0.5) / 16)
        assert set(zip(i[found].tolist(), j[found].tolist(), strict=True)) == set(band.law())


@pytest.mark.parametrize("make", [reflected_band, torus_band])
def test_sampled_marginals_are_uniform(make: Make) -> None:
    geometry = make(0.1)
    for band in (geometry.id_band, geometry.ooc_band):
        z = band.sample(np.random.default_rng(1), 40_000)
        for column in z.T:
            counts = np.histogram(column, bins=20, range=(0, 1))[0]
            chi2 = float(np.sum((counts - 2000) ** 2) / 2000)
            assert chi2 < 43.8  # the 0.1 % point of 19 degrees of freedom


def test_widths_mean_what_they_say_at_full_resolution() -> None:
    band = reflected_band(0.25).id_band
    assert band.lattice == LATTICE
    z = band.sample(np.random.default_rng(0), 20_000)
    gaps = np.abs(z[:, 1] - z[:, 0])
    assert 0.249 < gaps.max() <= 0.25
    assert band.contains(np.array([0.5]), np.array([0.74])).all()
    assert not band.contains(np.array([0.5]), np.array([0.76])).any()


def test_values_out_of_range_are_in_no_band() -> None:
    z = np.array([-0.1, 1.0, math.nan, math.inf])
    for make in (reflected_band, torus_band):
        geometry = make(0.2)
        for band in (geometry.id_band, geometry.ooc_band):
            assert not band.contains(z, np.full(4, 0.5)).any()
            assert not band.contains(np.full(4, 0.5), z).any()


def test_a_ladder_shares_one_ooc_law() -> None:
    rungs = [reflected_band(w, beyond=0.3) for w in (0.1, 0.2, 0.3)]
    assert len({r.ooc_band for r in rungs}) == 1
    assert rungs[0].id_band.high < rungs[1].id_band.high < rungs[2].id_band.high


def test_latents_reach_the_unit_of_their_factor() -> None:
    x = Factor("x", "continuous", low=-1, high=3, unit="m")
    assert to_factor(x, np.array([0.0, 0.5])).tolist() == [-1.0, 1.0]
    assert to_factor(Factor("yaw", "periodic"), np.array([0.5]))[0] == pytest.approx(math.pi)
    with pytest.raises(InvalidInputError, match="categorical"):
        to_factor(Factor("shape", "categorical", values=("a",)), np.array([0.5]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: reflected_band(0.0),
        lambda: reflected_band(math.nan),
        lambda: torus_band(0.5),
        lambda: torus_band(0.3, beyond=0.2),
        lambda: reflected_band(0.499, lattice=3),
        lambda: Band(8, -2, 3, reflects=True),
        lambda: Band(8, 3, 2, reflects=False),
        lambda: Band(8, 0, 8, reflects=False),
        lambda: reflected_band(0.1).id_band.law(),
    ],
)
def test_impossible_bands_are_typed_errors(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError):
        make()
