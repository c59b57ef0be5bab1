"""Cycles of exact, blind and combination-bound pairs of encoder and decoder."""

import numpy as np
import pytest
import torch
from toy_decoders import DIM, SLOTS, points, weights

from recombine.benchmark.metrics import decoder as m
from recombine.benchmark.metrics.decoder_jacobian import pixel_sums
from recombine.benchmark.serving.recombination import shuffle_slots

MIXING = torch.linalg.qr(weights(3 * 4, SLOTS * DIM, seed=9))[0]


def decode(z):
    return (z.flatten(1) @ MIXING.T).reshape(-1, 3, 1, 4)


def encode(x):
    return (x.flatten(1) @ MIXING).reshape(-1, SLOTS, DIM)


def test_cycles_of_an_exact_pair_are_zero():
    z = points(50)
    variance, active = z.numpy().var(axis=0), np.ones((SLOTS, DIM), dtype=bool)
    x = decode(z)
    assert m.x_cycle(encode, decode, x, pixel_sums(x.numpy()).variance) == pytest.approx(0)
    assert m.z_cycle(encode, decode, z, variance, active) == pytest.approx(0)


def test_cycles_of_blind_pairs_are_one_on_average():
    z = points(200)
    x = decode(z)
    mean_image, mean_code = x.mean(dim=0, keepdim=True), z.mean(dim=0, keepdim=True)
    variance, active = z.numpy().var(axis=0), np.ones((SLOTS, DIM), dtype=bool)
    spread = pixel_sums(x.numpy()).variance
    got = m.x_cycle(encode, lambda y: mean_image.expand(len(y), -1, -1, -1), x, spread)
    assert got.mean() == pytest.approx(1)
    got = m.z_cycle(lambda y: mean_code.expand(len(y), -1, -1), decode, z, variance, active)
    assert got.mean() == pytest.approx(1)
    parts = [m.x_cycle(encode, decode, part, spread) for part in x.split(70)]
    assert np.concatenate(parts) == pytest.approx(m.x_cycle(encode, decode, x, spread), abs=1e-12)


def test_recombined_codes_show_an_encoder_that_learned_combinations():
    # In combination both slots are equal, so an encoder may read either from any of them.
    z = weights(200, 1, DIM, seed=4).expand(200, 2, DIM)
    variance, active = z.numpy().var(axis=0), np.ones((2, DIM), dtype=bool)

    def copies(x):
        return x[:, :, :1].expand(-1, -1, 2).transpose(1, 2)

    def draw(y):
        return y.transpose(1, 2)

    inside = m.z_cycle(copies, draw, z, variance, active)
    mixed = torch.from_numpy(shuffle_slots(z.numpy(), seed=0))
    outside = m.z_cycle(copies, draw, mixed, variance, active)
    assert inside.mean() == pytest.approx(0)
    assert outside.mean() == pytest.approx(1, abs=0.2)  # slot 0 right, slot 1 another draw


def test_units_and_dead_latents_do_not_matter_to_self_consistency():
    z = points(100)
    variance = z.numpy().var(axis=0)
    active = np.ones((SLOTS, DIM), dtype=bool)

    def noisy(x):
        return encode(x) + 0.1 * weights(len(x), SLOTS, DIM, seed=8)

    plain = m.z_cycle(noisy, decode, z, variance, active)
    scaled = m.z_cycle(
        lambda x: 7 * noisy(x), lambda y: decode(y / 7), 7 * z, 49 * variance, active
    )
    assert scaled == pytest.approx(plain)
    active[0, 0] = False
    dead = variance.copy()
    dead[0, 0] = 0
    assert np.all(np.isfinite(m.z_cycle(noisy, decode, z, dead, active)))
    assert m.z_cycle(noisy, decode, z, variance, np.zeros_like(active)) is None


def test_active_dimensions_are_those_that_vary():
    slots = np.random.default_rng(0).normal(size=(500, 2, 2)) * [[1.0, 0.01], [0.5, 0.05]]
    assert m.active_dimensions(slots).tolist() == [[True, False], [True, False]]


@pytest.mark.parametrize("metric", [m.X_CYCLE, m.Z_CYCLE])
def test_every_metric_is_documented(metric):
    assert metric.direction == "lower"
    assert metric.low < metric.chance < metric.high
    assert metric.source
