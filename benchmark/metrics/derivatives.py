"""Derivatives of a decoder along directions: Jacobians and mixed derivatives.

One product per latent or direction, whatever the number of pixels, on batches that repeat a point
once per direction. So a decoder must treat the images of a batch independently.

* ``"forward"``: forward-mode products, nested for higher orders. Exact; ``torch.no_grad`` inside a
  decoder does no harm, but ``detach`` does (`require_derivative`).
* ``"differences"``: central differences, for decoders with hand-written gradients, which forward
  mode does not understand. Zero shares are then only small (below 1e-12 in double precision, 1e-4
  in single), and kinks count as the curvature that they are at that step.

torch is imported inside, so that modules which name these functions stay cheap to load.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Generator, Tensor

    from recombine.renderer.core.types import Array

Map: TypeAlias = "Callable[[Tensor], Tensor]"
"""Slots ``(B, S, D)`` to images ``(B, C, H, W)``, or back."""
Method: TypeAlias = Literal["forward", "differences"]
CHUNK = 64


def slot_jacobian(
    decode: Map,
    point: Float[Tensor, "slots dim"],
    *,
    scale: Float[Tensor, "slots dim"] | None = None,
    active: Bool[Array, "slots dim"] | None = None,
    chunk: int = CHUNK,
    method: Method = "forward",
) -> Float[Array, "channels pixels latents"]:
    """Return the Jacobian of a decoder at one point.

    Parameters
    ----------
    decode : callable
        Slots to images.
    point : Tensor
        ``(S, D)``.
    scale : Tensor, optional
        ``(S, D)`` unit of every latent, for example its standard deviation; 1 without.
    active : array, optional
        ``(S, D)`` latents to differentiate by; all without.
    chunk : int
        Most latents at once.
    method : {"forward", "differences"}
        See the top of this page.

    Returns
    -------
    array
        ``(C, P, d)`` float64, latents in the order of ``active.nonzero()``.
    """
    import torch

    unit = torch.ones_like(point) if scale is None else scale.to(point)
    rows = torch.diag(unit.flatten()).reshape(-1, *point.shape)
    if active is not None:
        rows = rows[torch.from_numpy(active.ravel()).to(point.device)]
    with torch.no_grad():
        columns = [
            along(decode, point.repeat(len(tangents), 1, 1), [tangents], method).flatten(2)
            for tangents in torch.split(rows, chunk)
        ]
    return as_numpy(torch.cat(columns).permute(1, 2, 0))


def derivative_mass(
    decode: Map,
    points: Float[Tensor, "points slots dim"],
    choices: list[tuple[Tensor, Tensor | None]],
    chunk: int = CHUNK,
    method: Method = "forward",
) -> Float[Array, " points"]:
    """Return the squared norm of a derivative along given slots, summed over choices of slots.

    Parameters
    ----------
    decode : callable
        Slots to images.
    points : Tensor
        ``(N, S, D)``.
    choices : list of tuple
        One per order of the derivative: directions ``(N, S, D)``, and for every choice the slot
        ``(P,)`` whose part of the direction is kept (None keeps all). The first has slots.
    chunk : int
        Most points and choices at once.
    method : {"forward", "differences"}
        See the top of this page.

    Returns
    -------
    array
        ``(N,)`` sum over the P choices of the squared norm over all outputs.
    """
    import torch

    count = 1 if choices[0][1] is None else len(choices[0][1])
    owner = torch.arange(len(points)).repeat_interleave(count)
    total = np.zeros(len(points))
    with torch.no_grad():
        for rows in torch.split(torch.arange(len(owner)), chunk):
            image = owner[rows].to(points.device)
            tangents = [
                _restricted(direction[image], slots, rows % count) for direction, slots in choices
            ]
            values = along(decode, points[image], tangents, method).flatten(1).square().sum(1)
            np.add.at(total, owner[rows].numpy(), as_numpy(values))
    return total


def require_derivative(decode: Map, points: Float[Tensor, "points slots dim"]) -> None:
    """Check forward-mode products against differences of outputs; raise where they disagree."""
    # A decoder that detaches its input has zero derivatives and would look free of interaction.
    import torch

    tangent = directions(points, torch.Generator().manual_seed(0))
    with torch.no_grad():
        moved = along(decode, points, [tangent], "differences")
        gap = float((moved - along(decode, points, [tangent], "forward")).norm())
    if not gap < 0.5 * float(moved.norm()):
        raise InvalidInputError(
            "decoder: its derivative must be that of its outputs, but they differ by "
            f"{gap:.3g} where outputs move by {float(moved.norm()):.3g}; remove detach() and "
            "rounding from decode, and check that the slots have an effect"
        )


def along(
    decode: Map,
    points: Float[Tensor, "points slots dim"],
    tangents: list[Float[Tensor, "points slots dim"]],
    method: Method,
) -> Float[Tensor, "points channels height width"]:
    """Return the mixed derivative along tangents."""
    import torch

    # The step that balances rounding and curvature of this order.
    step = torch.finfo(points.dtype).eps ** (1 / (len(tangents) + 2))
    push = _push_forward if method == "forward" else partial(_difference, step=step)
    function = decode
    for tangent in tangents:
        function = partial(push, function, tangent)
    return function(points)


def _push_forward(function: Map, tangent: Tensor, point: Tensor) -> Tensor:
    """Return the derivative of a function at a point along a tangent, by forward mode."""
    import torch

    with warnings.catch_warnings():
        # torch compiles its own decompositions with a function it deprecates, on first use.
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
        try:
            pushed: Tensor = torch.func.jvp(function, (point,), (tangent,))[1]
        except (NotImplementedError, RuntimeError) as error:
            if not re.search("setup_context|forward.?(AD|mode)|jvp", str(error), re.IGNORECASE):
                raise
            raise InvalidInputError(
                "decoder: forward-mode differentiation was expected to work, but the decoder has "
                'a gradient of its own; use method="differences", or decode by plain formulas'
            ) from error
    return pushed


def _difference(function: Map, tangent: Tensor, point: Tensor, *, step: float) -> Tensor:
    """Return a central difference."""
    ahead, behind = function(point + step * tangent), function(point - step * tangent)
    return (ahead - behind) / (2 * step)


def directions(
    points: Float[Tensor, "points slots dim"], generator: Generator
) -> Float[Tensor, "points slots dim"]:
    """Return random directions of length sqrt(D) in every slot: independent parts, variance 1."""
    import torch

    drawn = torch.randn(points.shape, generator=generator, dtype=torch.float64)
    unit: Tensor = drawn / drawn.norm(dim=2, keepdim=True) * points.shape[2] ** 0.5
    return unit.to(points)


def as_numpy(values: Tensor) -> Array:
    """Return a tensor as float64 array."""
    array: Array = values.detach().double().cpu().numpy()
    return array


def _restricted(direction: Tensor, slots: Tensor | None, choice: Tensor) -> Tensor:
    """Keep the part of each direction that belongs to the slot of its choice."""
    import torch

    if slots is None:
        return direction
    mask = torch.nn.functional.one_hot(slots[choice], direction.shape[1])
    return direction * mask.to(direction)[:, :, None]
