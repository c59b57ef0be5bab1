"""Slot attention: slots compete for the tokens of the image.

Source: Locatello et al. 2020, arXiv 2006.15055, Algorithm 1. Differs from it in that slots start
from one learned vector each, not from a shared Gaussian: the scorer needs slots that keep their
roles, and answers that are the same every time (Jia et al. 2022, arXiv 2210.08990, found learned
starts at least as good).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recombine.baselines.nn.encoders import ConvTokens, SlotHeads

if TYPE_CHECKING:
    from jaxtyping import Float


class SlotAttention(nn.Module):
    """Iterated attention whose weights are normalised over slots, then averaged over tokens."""

    def __init__(
        self,
        slots: int,
        outputs: int,
        *,
        width: int,
        image_hw: tuple[int, int],
        iterations: int = 3,
        stride: int = 8,
        implicit: bool = False,
        shared: bool = False,
        tokens: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.iterations, self.implicit = iterations, implicit
        self.tokens = tokens or ConvTokens(width, image_hw, stride)
        self.embed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.start = nn.Parameter(torch.randn(1, slots, width) * 0.5)
        self.norm_tokens, self.norm_slots, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.update = nn.GRUCell(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.heads = SlotHeads(1 if shared else slots, outputs, width)

    def attention(self, slots: Tensor, keys: Tensor) -> Float[Tensor, "images slots tokens"]:
        """Return how slots share out the tokens: each token's weights sum to 1 over slots."""
        logits = self.query(self.norm_slots(slots)) @ keys.transpose(1, 2)
        weights: Tensor = (logits.float() * keys.shape[2] ** -0.5).softmax(dim=1)
        return weights

    def attend(self, slots: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return the slots after one round."""
        weights = self.attention(slots, keys) + 1e-8
        looked = (weights / weights.sum(2, keepdim=True)).to(values.dtype) @ values
        updated = self.update(looked.flatten(0, 1).float(), slots.flatten(0, 1).float())
        slots = updated.view_as(slots)
        moved: Tensor = slots + self.mlp(self.norm_mlp(slots))
        return moved

    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images slots width"], Float[Tensor, "images slots outputs"]]:
        """Return the slots and the outputs of their heads, both float32."""
        return self.read(self.tokens(images))

    def read(
        self, tokens: Float[Tensor, "images tokens width"]
    ) -> tuple[Float[Tensor, "images slots width"], Float[Tensor, "images slots outputs"]]:
        """Return the slots that tokens of images hold and the outputs of their heads."""
        tokens = self.norm_tokens(self.embed(tokens))
        keys, values = self.key(tokens), self.value(tokens)
        slots = self.start.expand(len(tokens), -1, -1)
        for left in range(self.iterations, 0, -1):
            if self.implicit and left == 1:
                # The iteration is taken for a fixed point: its gradient is that of the last round.
                # Starts get the gradient of what the last round began with (arXiv 2210.08990).
                slots = slots.detach() + self.start - self.start.detach()
            slots = self.attend(slots, keys, values)
        pair: tuple[Tensor, Tensor] = self.heads(slots)
        return pair
