"""Forward-mode products against reverse mode, differences and full Hessians."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from toy_decoders import DIM, PIXELS, SLOTS, additive, bilinear, points, softmax, weights

from recombine.benchmark.metrics import derivatives as d
from recombine.renderer.core.errors import InvalidInputError


@pytest.mark.parametrize("decode", [additive, bilinear, softmax])
def test_jacobian_is_that_of_reverse_mode(decode):
    point = points(1)[0]
    expected = torch.autograd.functional.jacobian(lambda z: decode(z[None])[0], point)
    got = d.slot_jacobian(decode, point)
    assert got.shape == (3, PIXELS, SLOTS * DIM)
    assert got == pytest.approx(expected.reshape(3, PIXELS, -1).numpy(), abs=1e-10)


def test_scale_active_latents_and_chunks():
    point, scale = points(1)[0], weights(SLOTS, DIM, seed=2).abs()
    active = np.array([[True, False], [True, True], [False, True]])
    whole = d.slot_jacobian(softmax, point)
    chosen = d.slot_jacobian(softmax, point, scale=scale, active=active, chunk=3)
    columns = np.flatnonzero(active)
    assert chosen == pytest.approx(whole[:, :, columns] * scale.numpy().ravel()[columns])


def test_nested_products_are_mixed_derivatives():
    point, u, v = points(1), *weights(2, 1, SLOTS, DIM, seed=3)
    slots = torch.arange(SLOTS)
    along = [(u, slots[:1]), (v, slots[1:2])]
    step = 1e-4
    first, second = torch.zeros_like(u), torch.zeros_like(v)
    first[:, 0], second[:, 1] = u[:, 0], v[:, 1]
    difference = sum(
        a * b * softmax(point + step * (a * first + b * second)) for a in (-1, 1) for b in (-1, 1)
    ) / (4 * step**2)
    got = d.derivative_mass(softmax, point, along)
    assert got[0] == pytest.approx(difference.square().sum().item(), rel=1e-4)


def test_points_are_independent_of_each_other_and_of_chunks():
    z = points(3)
    u = weights(3, SLOTS, DIM, seed=4)
    along = [(u, torch.arange(SLOTS))]
    whole = d.derivative_mass(softmax, z, along)
    assert d.derivative_mass(softmax, z, along, chunk=2) == pytest.approx(whole)
    alone = [d.derivative_mass(softmax, z[[n]], [(u[[n]], along[0][1])])[0] for n in range(3)]
    assert alone == pytest.approx(whole)


def test_directions_have_independent_parts_of_variance_one():
    drawn = d.directions(torch.zeros(4000, 2, 3), torch.Generator().manual_seed(0)).flatten(1)
    assert drawn.norm(dim=1).numpy() == pytest.approx(np.sqrt(6), rel=1e-5)
    assert (drawn.T @ drawn / 4000).numpy() == pytest.approx(np.eye(6), abs=0.06)


@pytest.mark.parametrize(
    "decode",
    [
        lambda z: softmax(z.detach()),
        lambda z: (softmax(z) * 4).round() / 4,
        lambda z: 0 * softmax(z),
        lambda z: torch.nan * softmax(z),
    ],
)
def test_refuses_decoders_whose_derivative_is_not_that_of_their_outputs(decode):
    with pytest.raises(InvalidInputError, match="remove detach"):
        d.require_derivative(decode, points())


def test_decoders_that_turn_gradients_off_or_run_in_single_precision_are_fine():
    @torch.no_grad()
    def quiet(z):
        return softmax(z.double()).to(z)

    d.require_derivative(softmax, points())
    d.require_derivative(quiet, points().float())
    expected = d.slot_jacobian(softmax, points(1)[0])
    assert d.slot_jacobian(quiet, points(1)[0]) == pytest.approx(expected)


def test_usual_layers_can_be_differentiated_twice():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Unflatten(1, (2, 1, 3)),
        torch.nn.ConvTranspose2d(2, 4, 4, 2, 1),
        torch.nn.GroupNorm(2, 4),
        torch.nn.GELU(),
        torch.nn.Upsample(scale_factor=2, mode="bilinear"),
        torch.nn.Conv2d(4, 3, 3, padding=1),
    )
    attention = torch.nn.MultiheadAttention(DIM, 1, batch_first=True)

    def decode(z):
        return layers(torch.nn.functional.layer_norm(attention(z, z, z)[0], (DIM,)).flatten(1))

    z = points().float()
    slots = torch.arange(SLOTS)
    mass = d.derivative_mass(decode, z, [(z, slots), (z.flip(0), slots.roll(1))])
    assert np.all(np.isfinite(mass))
    assert mass.min() > 0


def test_naming_these_functions_loads_no_deep_learning_library():
    code = (
        "import sys, recombine.benchmark.metrics.decoder\n"
        "heavy = {'torch', 'bpy', 'jinja2', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class HandWritten(torch.autograd.Function):
    """A tanh with a gradient of its own, differentiable once."""

    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return values.tanh()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - ctx.saved_tensors[0].tanh() ** 2)


def test_gradients_written_by_hand_are_refused_or_differenced():
    def decode(z):
        return HandWritten.apply(softmax(z))

    point = points(1)[0]
    with pytest.raises(InvalidInputError, match='method="differences"'):
        d.slot_jacobian(decode, point)
    expected = d.slot_jacobian(lambda z: softmax(z).tanh(), point)
    assert d.slot_jacobian(decode, point, method="differences") == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_differences_are_near_the_exact_derivative(order):
    z, tangents = points(2), list(weights(order, 2, SLOTS, DIM, seed=6))
    exact = d.along(softmax, z, tangents, "forward")
    near = d.along(softmax, z, tangents, "differences")
    assert (near - exact).norm() < 1e-4 * exact.norm()


def test_other_errors_of_a_decoder_are_its_own():
    def broken(z):
        return z @ torch.ones(DIM + 1, 1, dtype=z.dtype)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        d.slot_jacobian(broken, points(1)[0])
