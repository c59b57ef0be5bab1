"""A submission to start from: an inverter, which searches for the slots of an image.

It has a decoder, from slots to images, and looks for the slots whose image is the given one. The
harness owns the loop: it calls `init` once, `step` again and again, and `read` at the step counts
that it wants, so one run gives the whole curve of accuracy against test-time compute.

Needed are `slot_dim`, `setup`, `init`, `step`, `read` and `decode`; there is no base class. To have
it trained first, return it from the `fit` of a learner (`recombine submission new --kind learner`).

Try it with `recombine submission check`, score it with `recombine score`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, SplitSpec


@dataclass(frozen=True)
class State:
    """Where the search is. Anything may be in it: optimiser moments, the best loss so far."""

    slots: Tensor  # (B, K, slot_dim)


@dataclass(eq=False)
class MyInverter:
    """The simplest decoder: slot k is the colour of the k-th horizontal stripe of the image."""

    # What the leaderboard prints. The harness adds "search" to results read after steps.
    card: ClassVar[MethodCard] = MethodCard(
        id="my-inverter",
        name="My inverter",
        inference="direct",
        supervision="unsupervised",
        data="open",
        source="",
        note="",
    )
    slot_dim: ClassVar[int] = 3

    rate: float = 0.3  # step size of the search

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Get ready: called once, before any image. Load the decoder's weights here."""
        height, width = spec.image_hw
        rows = torch.arange(height, device=device) * spec.max_slots // height
        stripes = torch.arange(spec.max_slots, device=device)
        inside = (rows[None, :] == stripes[:, None]).float()  # (K, H)
        self.masks = inside[:, None, :, None].expand(-1, 1, height, width)  # (K, 1, H, W)

    def init(self, images: Tensor) -> State:
        """Return the state before any step. A method with an encoder would ask it here."""
        grey = torch.full((len(images), len(self.masks), self.slot_dim), 0.5)
        return State(grey.to(images.device))

    def step(self, images: Tensor, state: State) -> State:
        """Make exactly one step: here down the gradient of the squared error."""
        slots = state.slots.detach().requires_grad_(True)
        error = (self.decode(slots) - images).square().mean(dim=(1, 2, 3))
        # The sum over the batch keeps the images apart: each gradient is that of its own error.
        (gradient,) = torch.autograd.grad(error.sum(), slots)
        return State((slots - self.rate * slots.shape[1] * gradient).detach())

    def read(self, state: State) -> SlotOutput:
        """Return the slots (B, K, slot_dim) of a state, and leave the state alone."""
        return SlotOutput(slots=state.slots)

    def decode(self, slots: Tensor) -> Tensor:
        """Return images (B, 3, H, W) in [0, 1] for slots (B, K, slot_dim)."""
        return torch.einsum("bkc,kxhw->bchw", slots, self.masks).clamp(0, 1)
