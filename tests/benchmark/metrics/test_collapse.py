"""Collapse diagnostics against slow references, planted codes, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import logm
from scipy.stats import ortho_group

from recombine.benchmark.metrics import collapse as m
from recombine.renderer.core.errors import InvalidInputError


def slots_and_classes(n=120, dim=6, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.repeat(np.arange(classes), 5), rng.integers(classes, size=n)])
    means = 3 * rng.normal(size=(classes, dim))
    return means[codes] + rng.normal(size=(len(codes), dim)) * np.linspace(0.2, 2, dim), codes


def slow_rank_me(slots):
    share = np.linalg.svd(slots, compute_uv=False)
    share = share / share.sum()
    return np.exp(-np.sum(share * np.log(share)))


def slow_von_neumann(slots):
    rho = np.zeros((slots.shape[1],) * 2)
    for row in slots / np.linalg.norm(slots, axis=1, keepdims=True):
        rho += np.outer(row, row) / len(slots)
    return -np.trace(rho @ logm(rho)).real


def slow_nc1(slots, codes):
    means = {c: slots[codes == c].mean(axis=0) for c in set(codes.tolist())}
    centre = sum(means.values()) / len(means)
    between = sum(np.outer(v - centre, v - centre) for v in means.values()) / len(means)
    within = sum(
        (slots[codes == c] - v).T @ (slots[codes == c] - v) / np.sum(codes == c)
        for c, v in means.items()
    ) / len(means)
    return np.trace(within @ np.linalg.pinv(between, rcond=1e-9)) / len(means)


def test_they_agree_with_slow_references():
    slots, codes = slots_and_classes()
    assert m.rank_me(slots) == pytest.approx(slow_rank_me(slots), rel=1e-9)
    assert m.von_neumann_entropy(slots) == pytest.approx(slow_von_neumann(slots), rel=1e-9)
    assert m.nc1(slots, codes) == pytest.approx(slow_nc1(slots, codes), rel=1e-9)
    wide = np.random.default_rng(1).normal(size=(20, 50))
    assert m.rank_me(wide) == pytest.approx(slow_rank_me(wide), rel=1e-9)
    codes = np.arange(20) % 3
    for slots in (wide, m.rotated(wide)):
        assert m.nc1(slots, codes) == pytest.approx(slow_nc1(wide, codes), rel=1e-7)
        assert m.von_neumann_entropy(slots) == pytest.approx(m.von_neumann_entropy(wide), rel=1e-9)


def test_planted_codes_have_the_expected_values():
    axes = np.repeat(np.eye(5), 8, axis=0)  # five directions, equally often
    assert m.rank_me(axes) == pytest.approx(5)
    assert m.von_neumann_entropy(axes) == pytest.approx(np.log(5))
    assert m.nc1(axes, np.repeat(np.arange(5), 8)) == pytest.approx(0, abs=1e-12)
    spread = np.random.default_rng(0).normal(size=(100, 4)) * [1, 1, 0.2, 0.05] + 7
    assert m.active_dimensions(spread) == 3  # variances 1, 1, .04, .0025 against .01 of the largest
    # Two means at -1 and 1, each spread by 0.5: (0.25 / 1) / 2 classes.
    line = np.array([[-1.5], [-0.5], [0.5], [1.5]])
    assert m.nc1(line, np.array([0, 0, 1, 1])) == pytest.approx(0.125)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e18])
def test_rotation_and_scale_change_nothing(scale):
    slots, codes = slots_and_classes()
    turn = ortho_group.rvs(slots.shape[1], random_state=0)
    changed = scale * slots @ turn
    assert m.rank_me(changed) == pytest.approx(m.rank_me(slots), rel=1e-9)
    assert m.von_neumann_entropy(changed) == pytest.approx(m.von_neumann_entropy(slots), rel=1e-9)
    assert m.nc1(changed + 3 * scale, codes) == pytest.approx(m.nc1(slots, codes), rel=1e-9)
    assert m.active_dimensions(scale * slots + 3 * scale) == m.active_dimensions(slots)
    rows = np.random.default_rng(0).uniform(0.1, 9, (len(slots), 1))
    assert m.von_neumann_entropy(rows * slots) == pytest.approx(m.von_neumann_entropy(slots))
    assert m.rank_me(slots + 100) < m.rank_me(slots)  # not centred, as in the source


@pytest.mark.parametrize("value", [0.0, 1 / 3, 1e6])
@pytest.mark.parametrize("dim", [3, 40])
def test_constant_slots_are_finite(value, dim):
    slots, codes = np.full((30, dim), value, np.float32), np.arange(30) % 3
    assert m.rank_me(slots) == pytest.approx(1.0)
    assert m.von_neumann_entropy(slots) == pytest.approx(0.0, abs=1e-12)
    assert m.active_dimensions(slots) == 0
    assert m.nc1(slots, codes) is None
    assert m.nc1_chance(slots, codes) is None


def test_the_chance_of_nc1_is_what_an_uninformed_slot_shows():
    slots, codes = slots_and_classes(n=400)
    assert m.nc1(slots, codes) < 0.2 * m.nc1_chance(slots, codes)
    noise = np.random.default_rng(5).normal(size=(400, 6))
    chance = m.nc1_chance(noise, codes[:400])
    assert m.nc1(noise, codes[:400]) == pytest.approx(chance, rel=0.9)
    assert m.nc1(noise, np.zeros(400, int)) is None


def test_wrong_shapes_are_refused():
    with pytest.raises(InvalidInputError, match="one class per image, got 2 for 3"):
        m.nc1(np.zeros((3, 2)), np.zeros(2, int))
    with pytest.raises(InvalidInputError, match="give one slot"):
        m.rank_me(np.zeros((3, 2, 2)))
