"""Pixel operations with hand-written gradients: compositing, placement, squared error.

Search and decoder training spend their time moving full-size pictures through memory. Automatic
differentiation of the plain formulas makes several times as many passes as needed; the plain
formulas stand in the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Float


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, frame: Tensor, colours: Tensor, opacity: Tensor, shadow: Tensor
    ) -> Tensor:
        alphas = functional.pad(opacity, (0, 0, 0, 0, 1, 0)).softmax(dim=1)
        dark = shadow.sigmoid()
        lit = (1 - dark).prod(dim=1, keepdim=True)
        image = frame * (alphas[:, :1] * lit)
        for k in range(colours.shape[1]):
            image.addcmul_(colours[:, k], alphas[:, k + 1 : k + 2])
        ctx.save_for_backward(frame, colours, alphas, dark, lit)
        return image

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        frame, colours, alphas, dark, lit = ctx.saved_tensors
        by_alpha = torch.empty_like(alphas)
        torch.mul((gradient * frame).sum(1, keepdim=True), lit, out=by_alpha[:, :1])
        for k in range(colours.shape[1]):
            torch.sum(gradient * colours[:, k], dim=1, out=by_alpha[:, k + 1])
        by_shadow = dark * (by_alpha[:, :1] * alphas[:, :1]).neg_()
        by_alpha -= (by_alpha * alphas).sum(1, keepdim=True)
        by_opacity = by_alpha[:, 1:] * alphas[:, 1:]
        by_colour = torch.empty_like(colours)
        for k in range(colours.shape[1]):
            torch.mul(gradient, alphas[:, k + 1 : k + 2], out=by_colour[:, k])
        by_frame = gradient * (alphas[:, :1] * lit) if ctx.needs_input_grad[0] else None
        return by_frame, by_colour, by_opacity, by_shadow


def composite(
    frame: Float[Tensor, "images 3 height width"],
    colours: Float[Tensor, "images objects 3 height width"],
    opacity: Float[Tensor, "images objects height width"],
    shadow: Float[Tensor, "images objects height width"],
) -> Float[Tensor, "images 3 height width"]:
    """Put objects and their shadows over a frame."""
    # With opacity logits ``l_k``, shadow logits ``s_k``, colours ``c_k`` and frame ``f``, a pixel
    # is ``a_0 f prod_k (1 - sigmoid(s_k)) + sum_k a_k c_k`` with ``a = softmax(0, l_1, ..., l_K)``.
    image: Tensor = _Composite.apply(  # type: ignore[no-untyped-call]
        frame, colours, opacity, shadow
    )
    return image


class _Hat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, at: Tensor, cells: int) -> Tensor:
        offset = at[:, :, None] - torch.arange(cells, device=at.device, dtype=at.dtype)
        weights = offset.abs().neg_().add_(1).clamp_min_(0)
        ctx.save_for_backward(offset, weights)
        return weights

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        offset, weights = ctx.saved_tensors
        slope = offset.sign().mul_(weights > 0).mul_(gradients[0])
        return slope.sum(dim=2).neg_(), None


def hat(at: Float[Tensor, "images pixels"], cells: int) -> Float[Tensor, "images pixels cells"]:
    """Return the weights of linear interpolation between cells."""
    weights: Tensor = _Hat.apply(at, cells)  # type: ignore[no-untyped-call]
    return weights


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decoded: Tensor, images: Tensor, roots: Tensor | None) -> Tensor:
        difference = decoded - images
        if roots is not None:
            difference *= roots
        ctx.save_for_backward(difference, roots)
        flat = difference.flatten(1)
        error: Tensor = torch.linalg.vecdot(flat, flat) / flat.shape[1]
        return error

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        difference, roots = ctx.saved_tensors
        scale = gradients[0] * (2.0 / difference[0].numel())
        scale = scale[:, None, None, None]
        return difference * (scale if roots is None else scale * roots), None, None


def squared_error(
    decoded: Float[Tensor, "images 3 height width"],
    images: Float[Tensor, "images 3 height width"],
    weights: Float[Tensor, "images 1 height width"] | None = None,
) -> Float[Tensor, " images"]:
    """Return the mean squared error of each image."""
    roots = None
    if weights is not None:
        roots = (weights / weights.mean(dim=(1, 2, 3), keepdim=True)).sqrt()
    error: Tensor = _SquaredError.apply(decoded, images, roots)  # type: ignore[no-untyped-call]
    return error
