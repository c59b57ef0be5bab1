"""Decoders: interaction, contrast and cycles of decoders whose structure is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_decoders import DIM, SLOTS, additive, bilinear, disjoint, points, softmax, weights

from recombine.benchmark.metrics import decoder as m
from recombine.benchmark.metrics import decoder_jacobian as jacobians
from recombine.benchmark.metrics.decoder_jacobian import pixel_sums
from recombine.benchmark.serving.recombination import shuffle_slots
from recombine.renderer.core.errors import InvalidInputError


def test_an_additive_decoder_has_no_cross_slot_mass_at_all():
    got = m.cross_slot_mass(additive, points())
    assert np.all(got.cross == 0)
    assert np.all(got.first > 0)
    assert got.share == 0
    assert m.cross_slot_mass(disjoint, points()).share == 0


def test_differences_tell_additive_from_interacting_decoders_too():
    z = points()
    assert m.cross_slot_mass(additive, z, method="differences").share < 1e-12
    assert m.cross_slot_mass(additive, z.float(), method="differences").share < 1e-4
    exact = m.cross_slot_mass(softmax, z).share
    assert m.cross_slot_mass(softmax, z, method="differences").share == pytest.approx(exact)
    apart = m.decoder_structure(disjoint, z, method="differences")
    assert np.abs(apart.block_ima).max() < 1e-10


def test_products_of_two_slots_have_second_and_no_third_order():
    assert m.cross_slot_mass(bilinear, points()).share > 0.1
    assert np.all(m.cross_slot_mass(bilinear, points(), order=3).cross == 0)


def test_a_softmax_over_slots_has_both():
    for order in (2, 3):
        assert m.cross_slot_mass(softmax, points(), order=order).share > 0.01


def hessian_mass(decode, point):
    """Return the squared Frobenius norm of the cross-slot blocks, each pair once."""
    shape = point.shape
    outputs = decode(point[None]).numel()
    total = 0.0
    for number in range(outputs):
        hessian = torch.autograd.functional.hessian(
            lambda z, n=number: decode(z[None]).flatten()[n], point
        ).reshape(*shape, *shape)
        for k in range(shape[0]):
            total += sum(hessian[k, :, j].square().sum().item() for j in range(k))
    return total


def test_mass_of_slots_with_one_latent_is_exactly_that_of_the_hessian():
    z = points(2, slots=3, dim=1)
    got = m.cross_slot_mass(softmax, z, probes=1)
    expected = [hessian_mass(softmax, point) for point in z]
    assert got.cross == pytest.approx(expected)


def test_mass_is_that_of_the_hessian_in_expectation():
    z = points(1)
    got = m.cross_slot_mass(softmax, z.repeat(2000, 1, 1), probes=1, chunk=2000)
    assert got.cross.mean() == pytest.approx(hessian_mass(softmax, z[0]), rel=0.05)
    jacobian = torch.autograd.functional.jacobian(lambda y: softmax(y[None]), z[0])
    assert got.first.mean() == pytest.approx(jacobian.square().sum().item(), rel=0.05)


def test_the_share_does_not_depend_on_units():
    unit = weights(SLOTS, DIM, seed=3).abs() + 0.5
    z, scale = points(), torch.full((SLOTS, DIM), 0.7, dtype=torch.float64)
    plain = m.cross_slot_mass(softmax, z, scale=scale)
    moved = m.cross_slot_mass(lambda y: softmax(y / unit), z * unit, scale=scale * unit)
    assert moved.share == pytest.approx(plain.share)


def test_same_seed_same_mass_and_points_stay_apart():
    z = points()
    whole = m.cross_slot_mass(softmax, z, seed=1)
    again = m.cross_slot_mass(softmax, z, seed=1, chunk=5)
    assert again.cross == pytest.approx(whole.cross)
    assert m.cross_slot_mass(softmax, z, seed=2).cross != pytest.approx(whole.cross)


def test_structure_of_slots_with_pixels_of_their_own():
    apart = m.decoder_structure(disjoint, points())
    assert np.abs(apart.block_ima).max() < 1e-10
    assert apart.ima.min() > 0
    assert apart.contrast == pytest.approx(0)
    assert apart.raw_contrast == pytest.approx(0)
    assert (apart.interaction[0] / apart.interaction[1]) == pytest.approx(1)
    assert apart.latents == SLOTS * DIM


def test_structure_is_that_of_the_jacobian():
    z = points()
    got = m.decoder_structure(softmax, z, chunk=2)
    flat = torch.autograd.functional.jacobian(lambda y: softmax(y[None])[0], z[1])
    matrix = flat.reshape(1, 3, -1, SLOTS * DIM).numpy()
    groups = np.repeat(np.arange(SLOTS), DIM)
    assert got.ima[1] == pytest.approx(jacobians.local_ima(jacobians.gram(matrix))[0])
    assert got.block_ima[1] == pytest.approx(jacobians.block_ima(jacobians.gram(matrix), groups)[0])
    norms = m.slot_norms(matrix, groups)
    assert got.contrast[1] == pytest.approx(m.compositional_contrast(norms)[0])
    sums, weight = m.interaction_contributions(matrix, groups)
    assert got.interaction[0][1] == pytest.approx(sums[0])
    assert got.interaction[1][1] == weight[0]
    assert 0 < got.contrast.min() < got.contrast.max() < 1


def test_dead_latents_are_degenerate_until_left_out():
    def lazy(z):
        return softmax(torch.cat([z[:, :, :1], 0 * z[:, :, 1:]], dim=2))

    assert jacobians.summarise(m.decoder_structure(lazy, points()).ima).degenerate == 4
    active = np.zeros((SLOTS, DIM), dtype=bool)
    active[:, 0] = True
    got = m.decoder_structure(lazy, points(), active=active)
    assert np.all(np.isfinite(got.ima))
    assert got.latents == SLOTS
    assert got.block_ima == pytest.approx(got.ima)


def test_foreground_restricts_the_interaction_score():
    foreground = np.zeros((4, 10), dtype=bool)
    foreground[:, 3] = True
    got = m.decoder_structure(softmax, points(), foreground=foreground)
    assert got.interaction[1].tolist() == [[1.0]] * 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"order": 4}, "order must be 2 or 3"), ({"points": points(2, slots=1)}, "two slots")],
)
def test_refuses_what_has_no_answer(arguments, words):
    with pytest.raises(InvalidInputError, match=words):
        m.cross_slot_mass(additive, **{"points": points(), **arguments})


def test_detached_decoders_do_not_pass_for_additive():
    for measure in (m.cross_slot_mass, m.decoder_structure):
        with pytest.raises(InvalidInputError, match="remove detach"):
            measure(lambda z: softmax(z.detach()), points())


def test_the_metric_is_documented():
    assert m.CROSS_SLOT.direction == "lower"
    assert "additive" in m.CROSS_SLOT.source


seeds = st.integers(0, 10_000)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@given(seeds)
def test_compositional_contrast_by_loops(seed):
    jacobian, groups = normal(seed, 2, 2, 3, 6), np.array([0, 1, 1, 2, 2, 2])
    norms = m.slot_norms(jacobian, groups)
    for n in range(2):
        raw, weighted, largest = 0.0, 0.0, norms[n].mean(axis=1).max()
        for output in jacobian[n].reshape(6, 6):
            size = [np.linalg.norm(output[groups == k]) for k in range(3)]
            pairs = size[0] * size[1] + size[0] * size[2] + size[1] * size[2]
            raw += pairs
            weighted += pairs / np.mean(size) ** 2 * (np.mean(size) / largest)
        assert m.raw_contrast(norms)[n] == pytest.approx(raw)
        # The published form, over its value if all slots moved all outputs alike.
        most = 3 * (norms[n].mean(axis=1) / largest).sum()
        assert m.compositional_contrast(norms)[n] == pytest.approx(weighted / most)


def test_contrast_and_interaction_at_their_ends():
    apart, alike = np.zeros((1, 1, 4, 2)), np.ones((1, 1, 4, 2))
    apart[0, 0, :2, 0] = apart[0, 0, 2:, 1] = 5
    groups = np.array([0, 1])
    for jacobian, expected in ((apart, (0, 1)), (alike, (1, 0))):
        sums, weights = m.interaction_contributions(jacobian, groups)
        got = m.compositional_contrast(m.slot_norms(jacobian, groups))[0], (sums / weights).item()
        assert got == pytest.approx(expected)
    still = np.zeros((1, 1, 4, 2))
    assert m.compositional_contrast(m.slot_norms(still, groups)).tolist() == [1]
    assert m.interaction_contributions(still, groups)[1].item() == 0


@settings(max_examples=30)
@given(seeds, st.booleans())
def test_interaction_score_by_loops(seed, only_foreground):
    jacobian, groups = normal(seed, 2, 3, 4, 5), np.array([0, 0, 1, 2, 2])
    foreground = normal(seed + 1, 2, 4) > 0 if only_foreground else np.ones((2, 4), dtype=bool)
    sums, weights = m.interaction_contributions(
        jacobian, groups, foreground if only_foreground else None
    )
    for n in range(2):
        scores = []
        for pixel in np.flatnonzero(foreground[n]):
            size = [np.abs(jacobian[n, :, pixel, groups == k]).sum() for k in range(3)]
            scores.append((max(size) / sum(size) - 1 / 3) / (2 / 3))
        assert sums[n, 0] == pytest.approx(sum(scores))
        assert weights[n, 0] == len(scores)


def test_by_hand():
    jacobian = np.array([[1.0, 1.0], [0.0, 1.0]])[None, None]
    norms = m.slot_norms(jacobian, np.array([0, 1]))
    assert m.raw_contrast(norms).tolist() == [1.0]
    assert m.compositional_contrast(norms)[0] == pytest.approx(2 / 3)


def test_refuses_what_has_no_slots():
    with pytest.raises(InvalidInputError, match="two slots"):
        m.compositional_contrast(np.ones((1, 4, 1)))
    with pytest.raises(InvalidInputError, match="two slots"):
        m.interaction_contributions(np.ones((1, 1, 4, 2)), np.array([1, 1]))


@pytest.mark.parametrize("metric", [m.COMPOSITIONAL_CONTRAST, m.INTERACTION])
def test_contrast_and_interaction_are_documented(metric):
    assert metric.low <= metric.chance <= metric.high
    assert metric.source


@given(seeds, st.permutations(range(5)), st.floats(0.1, 10))
def test_order_contrast_and_split_of_latents_do_not_matter(seed, order, scale):
    jacobian, groups = normal(seed, 2, 3, 4, 5), np.array([0, 0, 1, 2, 2])
    order = list(order)
    moved, names = scale * jacobian[..., order], 7 - groups[order]
    norms, again = m.slot_norms(jacobian, groups), m.slot_norms(moved, names)
    assert m.compositional_contrast(again) == pytest.approx(m.compositional_contrast(norms))
    assert m.raw_contrast(again) == pytest.approx(scale**2 * m.raw_contrast(norms))
    first, second = (
        m.interaction_contributions(*a)[0] for a in ((jacobian, groups), (moved, names))
    )
    assert second == pytest.approx(first)


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
def test_cycles_are_documented(metric):
    assert metric.direction == "lower"
    assert metric.low < metric.chance < metric.high
    assert metric.source
