"""The hand-written gradients against the plain formulas and explicit loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from recombine.baselines.nn.compositing import composite, hat, squared_error


def _plain_composite(
    frame: torch.Tensor, colours: torch.Tensor, opacity: torch.Tensor, shadow: torch.Tensor
) -> torch.Tensor:
    alphas = functional.pad(opacity, (0, 0, 0, 0, 1, 0)).softmax(1)
    lit = (1 - shadow.sigmoid()).prod(1, keepdim=True)
    return alphas[:, :1] * lit * frame + (alphas[:, 1:, None] * colours).sum(1)


def _layers(objects: int, n: int = 2, px: int = 5) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(objects)
    shapes = ((n, 3, px, px), (n, objects, 3, px, px), (n, objects, px, px), (n, objects, px, px))
    return [torch.randn(s, generator=g, dtype=torch.float64) for s in shapes]


@pytest.mark.parametrize("objects", [1, 3])
def test_compositing_pixel_by_pixel(objects: int) -> None:
    frame, colours, opacity, shadow = _layers(objects)
    image = composite(frame, colours, opacity, shadow)
    for i in range(2):
        for r in range(5):
            for c in range(5):
                logits = [0.0] + [float(opacity[i, k, r, c]) for k in range(objects)]
                total = sum(math.exp(v) for v in logits)
                alphas = [math.exp(v) / total for v in logits]
                lit = 1.0
                for k in range(objects):
                    lit *= 1 - 1 / (1 + math.exp(-float(shadow[i, k, r, c])))
                for channel in range(3):
                    value = alphas[0] * lit * float(frame[i, channel, r, c])
                    for k in range(objects):
                        value += alphas[k + 1] * float(colours[i, k, channel, r, c])
                    assert float(image[i, channel, r, c]) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("objects", [1, 2])
def test_compositing_gradients(objects: int) -> None:
    layers = [t.requires_grad_() for t in _layers(objects, px=3)]
    assert torch.autograd.gradcheck(composite, layers)
    mine = torch.autograd.grad(composite(*layers).square().sum(), layers)
    plain = torch.autograd.grad(_plain_composite(*layers).square().sum(), layers)
    for a, b in zip(mine, plain, strict=True):
        assert torch.allclose(a, b)


def test_a_solid_object_hides_the_frame_and_a_shadow_darkens_it() -> None:
    frame, colours = torch.full((1, 3, 1, 2), 0.8), torch.full((1, 1, 3, 1, 2), 0.3)
    opacity = torch.tensor([[[[12.0, -12.0]]]])
    shadow = torch.zeros(1, 1, 1, 2)
    image = composite(frame, colours, opacity, shadow)
    assert torch.allclose(image[0, :, 0, 0], torch.full((3,), 0.3), atol=1e-4)
    assert torch.allclose(image[0, :, 0, 1], torch.full((3,), 0.4), atol=1e-4)


def test_hat_weights_interpolate() -> None:
    weights = hat(torch.tensor([[0.0, 1.25, 2.0, -0.5, 9.0]]), 3)[0]
    wanted = [[1, 0, 0], [0, 0.75, 0.25], [0, 0, 1], [0.5, 0, 0], [0, 0, 0]]
    assert torch.allclose(weights, torch.tensor(wanted))


def test_hat_gradients() -> None:
    at = torch.tensor([[0.3, 1.7, 2.4, -0.2, 5.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: hat(v, 4), [at])


@pytest.mark.parametrize("weighted", [False, True])
def test_squared_error_by_explicit_loop(weighted: bool) -> None:
    g = torch.Generator().manual_seed(0)
    decoded, images = torch.rand(2, 3, 4, 5, generator=g), torch.rand(2, 3, 4, 5, generator=g)
    weights = torch.rand(2, 1, 4, 5, generator=g) if weighted else None
    found = squared_error(decoded, images, weights)
    for i in range(2):
        total = norm = 0.0
        for r in range(4):
            for c in range(5):
                w = 1.0 if weights is None else float(weights[i, 0, r, c])
                norm += w
                for channel in range(3):
                    d = float(decoded[i, channel, r, c]) - float(images[i, channel, r, c])
                    total += w * d * d / 3
        assert float(found[i]) == pytest.approx(total / norm, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_squared_error_gradients(weighted: bool) -> None:
    g = torch.Generator().manual_seed(1)
    decoded = torch.rand(2, 3, 2, 2, generator=g, dtype=torch.float64).requires_grad_()
    images = torch.rand(2, 3, 2, 2, generator=g, dtype=torch.float64)
    weights = torch.rand(2, 1, 2, 2, generator=g, dtype=torch.float64) if weighted else None
    assert torch.autograd.gradcheck(lambda d: squared_error(d, images, weights), [decoded])
