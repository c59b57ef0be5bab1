"""Jacobians and fidelity of decoders whose values are known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_world import draw, world

from recombine.benchmark.metrics import decoder_jacobian as m
from recombine.benchmark.metrics.decoder import decoder_fidelity
from recombine.benchmark.serving import recombination
from recombine.renderer.core.errors import InvalidInputError

GROUPS = np.array([0, 0, 0, 1, 1, 1])
seeds = st.integers(0, 10_000)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def contrast(jacobian):
    """Return the mean local contrast of ``(N, outputs, d)``, and that of the mean Jacobian."""
    local = m.summarise(m.local_ima(m.gram(jacobian[:, None])))
    averaged = m.local_ima(m.gram(jacobian.mean(axis=0)[None, None]))[0]
    return local.mean, averaged


def shear(z):
    """Return derivatives of (z_1 + sin(3 z_2), z_2)."""
    one, zero = np.ones(len(z)), np.zeros(len(z))
    return np.array([[one, 3 * np.cos(3 * z[:, 1])], [zero, one]]).transpose(2, 0, 1)


def polar(z):
    """Return derivatives of radius and angle to the plane."""
    cosine, sine = np.cos(np.pi * z[:, 1]), np.sin(np.pi * z[:, 1])
    radius = 2 + z[:, 0]
    return np.array([[cosine, -radius * sine], [sine, radius * cosine]]).transpose(2, 0, 1)


def moebius(z):
    """Return derivatives of the inversion at a sphere around (2, 0, 0): conformal."""
    gap = np.concatenate([z, z[:, :1] * 0], axis=1) - np.array([2.0, 0, 0])
    square = np.sum(gap**2, axis=1)[:, None, None]
    return np.eye(3) / square - 2 * gap[:, :, None] * gap[:, None] / square**2


def test_the_contrast_of_an_averaged_jacobian_is_another_number():
    # A whole number of periods: the mean of log(1 + 9 cos^2) / 2 has a closed form.
    z = np.linspace(-np.pi, np.pi, 3000, endpoint=False)[:, None] * np.ones(2)
    local, averaged = contrast(shear(z))
    assert local == pytest.approx(np.log((1 + np.sqrt(10)) / 2))
    assert local == pytest.approx(0.74, abs=0.01)
    assert averaged == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("mixing", [polar, moebius])
def test_conformal_and_polar_maps_have_none(mixing):
    local, _ = contrast(mixing(np.random.default_rng(1).uniform(-0.9, 0.9, (500, 2))))
    assert local == pytest.approx(0, abs=1e-10)


def network(z, widths, seed=0):
    """Return Jacobians of a leaky network of orthogonal weights."""
    rng = np.random.default_rng(seed)
    jacobian = np.broadcast_to(np.eye(z.shape[1]), (len(z), z.shape[1], z.shape[1]))
    for wide, narrow in zip(widths[1:], widths[:-1], strict=True):
        weight = np.linalg.qr(rng.normal(size=(max(wide, narrow),) * 2))[0][:wide, :narrow]
        z = z @ weight.T
        slope = np.where(z > 0, 1.0, 0.1)
        jacobian = slope[:, :, None] * (weight @ jacobian)
        z = np.where(z > 0, z, 0.1 * z)
    return jacobian


@pytest.mark.parametrize("widths", [(3, 3, 3, 3), (3, 12, 12, 12)])
def test_networks_look_better_on_average(widths):
    z = np.random.default_rng(2).normal(size=(2000, 3))
    local, averaged = contrast(network(z, widths))
    assert averaged < local / 1.5


@given(seeds)
def test_local_contrast_by_determinants(seed):
    jacobian = normal(seed, 3, 2, 5, 4)
    flat = jacobian.reshape(3, 10, 4)
    for n, got in enumerate(m.local_ima(m.gram(jacobian))):
        lengths = np.log(np.linalg.norm(flat[n], axis=0)).sum()
        expected = lengths - np.log(np.linalg.svd(flat[n], compute_uv=False)).sum()
        assert got == pytest.approx(expected, abs=1e-9)


@given(seeds, st.permutations(range(6)))
def test_order_and_scale_of_latents_do_not_matter(seed, order):
    jacobian = normal(seed, 2, 1, 12, 6)
    order = list(order)
    scaled = (jacobian * np.exp(normal(seed + 1, 6)))[..., order]
    expected = m.local_ima(m.gram(jacobian))
    assert m.local_ima(m.gram(scaled)) == pytest.approx(expected, rel=1e-8, abs=1e-8)
    blocks = m.block_ima(m.gram(jacobian), GROUPS)
    assert m.block_ima(m.gram(scaled), GROUPS[order]) == pytest.approx(blocks, rel=1e-8, abs=1e-8)
    assert np.all(blocks <= expected + 1e-9)
    assert np.all(blocks >= 0)


@given(seeds)
def test_slots_on_disjoint_pixels_have_no_block_contrast_however_mixed_within(seed):
    jacobian = normal(seed, 3, 1, 20, 6)
    jacobian[:, :, :10, GROUPS == 1] = 0
    jacobian[:, :, 10:, GROUPS == 0] = 0
    mixing = np.zeros((6, 6))
    for slot in range(2):
        own = np.flatnonzero(slot == GROUPS)
        mixing[np.ix_(own, own)] = normal(seed + slot + 1, 3, 3) + 3 * np.eye(3)
    for squares in (m.gram(jacobian), m.gram(jacobian @ mixing)):
        assert np.abs(m.block_ima(squares, GROUPS)).max() < 1e-10
        assert m.local_ima(squares).min() > 0


@given(seeds)
def test_within_slot_maps_do_not_matter_to_the_block_contrast(seed):
    jacobian = normal(seed, 2, 1, 15, 6)
    mixing = np.kron(np.eye(2), normal(seed + 1, 3, 3) + 3 * np.eye(3))
    before, after = (m.block_ima(m.gram(j), GROUPS) for j in (jacobian, jacobian @ mixing))
    assert after == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize("groups", [np.arange(6), GROUPS, np.array([0, 1, 1, 1, 1, 1])])
def test_chance_is_that_of_random_jacobians(groups):
    values = m.block_ima(m.gram(normal(0, 3000, 1, 30, 6)), groups)
    chance = m.ima_chance(30, groups)
    assert values.mean() == pytest.approx(chance, abs=4 * values.std() / np.sqrt(3000))
    assert chance > 0.05


def test_dependent_and_dead_latents_are_counted_and_not_hidden():
    jacobian = normal(0, 4, 1, 9, 3)
    jacobian[1, ..., 2] = 0
    jacobian[2, ..., 2] = jacobian[2, ..., 0] - jacobian[2, ..., 1]
    squares = m.gram(jacobian)
    values = m.local_ima(squares)
    assert np.isinf(values).tolist() == [False, True, True, False]
    assert np.isinf(m.condition_number(squares)).tolist() == [False, True, True, False]
    summary = m.summarise(values)
    assert summary.degenerate == 2
    assert summary.mean == pytest.approx((values[0] + values[3]) / 2)
    assert m.summarise(values[1:3]) == m.LocalSummary(None, None, 2)


def test_condition_number_is_that_of_numpy():
    squares = m.gram(normal(1, 5, 2, 7, 4))
    assert m.condition_number(squares) == pytest.approx(np.linalg.cond(squares))
    assert m.condition_number(np.eye(3)[None]).tolist() == [1.0]


def test_local_ima_by_hand():
    jacobian = np.array([[1.0, 1.0], [0.0, 1.0]])[None, None]
    assert m.local_ima(m.gram(jacobian))[0] == pytest.approx(np.log(2) / 2)


def test_refuses_slots_that_do_not_fit():
    with pytest.raises(InvalidInputError, match="given for 2 latents"):
        m.block_ima(np.eye(2)[None], np.arange(3))


@pytest.mark.parametrize("metric", [m.LOCAL_IMA, m.BLOCK_IMA])
def test_every_metric_is_documented(metric):
    assert metric.low < metric.chance
    assert metric.source


ROLES = np.array([1, 0])


@pytest.fixture(name="scene")
def _scene():
    cells, blocks, inside, slots = world()
    images = draw(torch.from_numpy(slots)).numpy()
    found = recombination.find_donors(cells, blocks, inside)
    return slots, images, found, m.pixel_sums(images[inside]).variance


def test_the_renderer_itself_is_perfect_on_recombined_slots(scene):
    slots, images, found, variance = scene
    mixed = torch.from_numpy(recombination.recombine(slots, found.donors, ROLES))
    got = decoder_fidelity(draw, mixed, images[found.targets], variance)
    assert got == pytest.approx(1)


def test_a_decoder_that_knows_combinations_only_falls_short(scene):
    slots, images, found, variance = scene
    _, _, inside, _ = world()
    known = torch.from_numpy(slots[inside]).flatten(1)

    def lookup(z):
        nearest = torch.cdist(z.flatten(1), known).argmin(dim=1)
        return draw(known[nearest].reshape(-1, 2, 4))

    mixed = torch.from_numpy(recombination.recombine(slots, found.donors, ROLES))
    true = images[found.targets]
    got = decoder_fidelity(lookup, mixed, true, variance)
    twins = m.twin_fidelity(images, found, variance)
    assert decoder_fidelity(lookup, known.reshape(-1, 2, 4), images[inside], variance).min() == 1
    assert got.mean() < 0.7
    assert twins.mean() < 0.7
    assert max(got.max(), twins.max()) < 1


def test_the_mean_image_has_no_fidelity(scene):
    _, images, _, _ = scene
    spread = m.pixel_sums(images)
    mean = np.broadcast_to(images.mean(axis=0), images.shape)
    assert m.nmse(mean, images, spread.variance).mean() == pytest.approx(1)
    assert m.nmse(images, images, spread.variance).tolist() == [0.0] * len(images)


@given(st.integers(0, 1000), st.integers(1, 19), st.floats(0.1, 5), st.floats(-3, 3))
def test_sums_of_batches_and_units(seed, cut, scale, shift):
    images = np.random.default_rng(seed).normal(size=(20, 3, 2, 2))
    parts = m.pixel_sums(images[:cut]) + m.pixel_sums(images[cut:])
    assert parts.variance == pytest.approx(images.var(axis=0).sum())
    guess = images[::-1]
    moved = m.nmse(
        guess * scale + shift, images * scale + shift, m.pixel_sums(images * scale + shift).variance
    )
    assert moved == pytest.approx(m.nmse(guess, images, parts.variance), rel=1e-6)


def test_pixel_sums_by_hand():
    images = np.array([[[[0.0, 0.0]]], [[[2.0, 2.0]]]])
    assert m.pixel_sums(images).variance == 2.0
    assert m.nmse(images[:1] + 1, images[:1], 2.0).tolist() == [1.0]


def test_refuses_what_does_not_fit():
    with pytest.raises(InvalidInputError, match="one shape"):
        m.nmse(np.zeros((1, 3, 1, 1)), np.zeros((2, 3, 1, 1)), 1.0)
    with pytest.raises(InvalidInputError, match="above 0"):
        m.nmse(np.zeros((1, 3, 1, 1)), np.zeros((1, 3, 1, 1)), 0.0)


def test_the_metric_is_documented():
    assert m.FIDELITY.chance == 0
    assert "2512.08854" in m.FIDELITY.source
