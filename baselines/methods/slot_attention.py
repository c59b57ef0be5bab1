"""Slot attention with set matching: slots compete for the tokens of the image.

Source: Locatello et al. 2020, arXiv 2006.15055, Algorithm 1 and the set prediction of Section 4.2.
Differs from it in that slots start from one learned vector each, not from a shared Gaussian: the
scorer needs slots that keep their roles, and answers that are the same every time (Jia et al.
2022, arXiv 2210.08990, found learned starts at least as good). Objects are matched to the labels
by the cheapest assignment; the background keeps its slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from recombine.baselines.methods.supervised import Supervised
from recombine.baselines.nn.encoders import ConvTokens, SlotHeads
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.baselines.nn.slots import SlotLayout


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
    ) -> None:
        super().__init__()
        self.iterations = iterations
        self.tokens = ConvTokens(width, image_hw)
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
        self.heads = SlotHeads(slots, outputs, width)

    def attention(self, slots: Tensor, keys: Tensor) -> Float[Tensor, "images slots tokens"]:
        """Return how slots share out the tokens: each token's weights sum to 1 over slots."""
        logits = self.query(self.norm_slots(slots)) @ keys.transpose(1, 2)
        weights: Tensor = (logits.float() * keys.shape[2] ** -0.5).softmax(dim=1)
        return weights

    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images slots width"], Float[Tensor, "images slots outputs"]]:
        """Return the slots and the outputs of their heads, both float32."""
        tokens = self.norm_tokens(self.embed(self.tokens(images)))
        keys, values = self.key(tokens), self.value(tokens)
        slots = self.start.expand(len(images), -1, -1)
        for _ in range(self.iterations):
            weights = self.attention(slots, keys) + 1e-8
            looked = (weights / weights.sum(2, keepdim=True)).to(values.dtype) @ values
            updated = self.update(looked.flatten(0, 1).float(), slots.flatten(0, 1).float())
            slots = updated.view_as(slots)
            slots = slots + self.mlp(self.norm_mlp(slots))
        pair: tuple[Tensor, Tensor] = self.heads(slots)
        return pair


@dataclass(frozen=True)
class SlotAttentionEncoder(Supervised):
    """Supervised slot attention; ``layers`` counts the rounds of attention."""

    card: ClassVar[MethodCard] = MethodCard(
        id="slot-attention",
        name="Supervised slot attention",
        inference="direct",
        supervision="supervised",
        source="arXiv 2006.15055, Algorithm 1",
        paper="https://arxiv.org/abs/2006.15055",
        note="Set matching of objects by the cheapest assignment; slots start from learned "
        "vectors, so that their roles are fixed.",
    )

    layers: int = 3

    def encoder(self, layout: SlotLayout, image_hw: tuple[int, int]) -> nn.Module:
        """Return the untrained slot attention."""
        return SlotAttention(
            layout.count, layout.dim, width=self.width, image_hw=image_hw, iterations=self.layers
        )
