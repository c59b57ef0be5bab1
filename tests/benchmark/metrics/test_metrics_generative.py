"""Structure and slot interaction of decoders that are known."""

import numpy as np
import pytest
import torch
from toy_decoders import DIM, SLOTS, additive, bilinear, disjoint, points, softmax, weights

from recombine.benchmark.metrics import decoder as contrast
from recombine.benchmark.metrics import decoder as m
from recombine.benchmark.metrics import decoder_jacobian as ima
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
    assert got.ima[1] == pytest.approx(ima.local_ima(ima.gram(matrix))[0])
    assert got.block_ima[1] == pytest.approx(ima.block_ima(ima.gram(matrix), groups)[0])
    norms = contrast.slot_norms(matrix, groups)
    assert got.contrast[1] == pytest.approx(contrast.compositional_contrast(norms)[0])
    sums, weight = contrast.interaction_contributions(matrix, groups)
    assert got.interaction[0][1] == pytest.approx(sums[0])
    assert got.interaction[1][1] == weight[0]
    assert 0 < got.contrast.min() < got.contrast.max() < 1


def test_dead_latents_are_degenerate_until_left_out():
    def lazy(z):
        return softmax(torch.cat([z[:, :, :1], 0 * z[:, :, 1:]], dim=2))

    assert ima.summarise(m.decoder_structure(lazy, points()).ima).degenerate == 4
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
