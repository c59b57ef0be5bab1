"""Decoders on recombined slots against the true render, in a world small enough to draw."""

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


def test_by_hand():
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
