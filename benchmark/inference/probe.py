"""A method as a black box of two functions: images to slots, and slots to images.

What examines a decoder (`metrics.decoder_report`) sees nothing else of it, so an object of this
process and isolated code (`sandbox.channel.RemoteProbe`) are examined by the same code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

from recombine.benchmark.protocol.outputs import WrongAnswerError, checked_output, run_method

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from recombine.benchmark.protocol.contract import Encoder, Inverter


class Probe(Protocol):
    """A method as two functions."""

    def encode(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return slots, before any search step."""
        ...

    def decode(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Return images."""
        ...


class MethodProbe:
    """A method of this process. At most 64 images at a time."""

    def __init__(
        self, method: Encoder | Inverter, size: int, device: torch.device, min_slots: int
    ) -> None:
        self.method, self.size, self.device = method, size, device
        self.min_slots = min_slots

    def encode(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return slots, before any search step."""
        images = images.to(self.device)
        (output,) = run_method(self.method, images, (0,))
        found = checked_output(output, self.method, images, min_slots=self.min_slots, extras=False)
        return torch.from_numpy(found["slots"])

    def decode(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Return images, checked."""
        with torch.no_grad():
            images: Any = self.method.decode(slots.to(self.device))  # type: ignore[union-attr]
        shape = (len(slots), 3, self.size, self.size)
        if not isinstance(images, torch.Tensor) or tuple(images.shape) != shape:
            got = getattr(images, "shape", type(images).__name__)
            raise WrongAnswerError(f"decoded images {shape}", got)
        found: Tensor = images.detach().float().cpu()
        if not bool(torch.isfinite(found).all()):
            raise WrongAnswerError("finite decoded images", "NaN or infinity")
        return found


def can_decode(method: object) -> bool:
    """Return whether a method has a decoder to examine."""
    return callable(getattr(method, "decode", None))
