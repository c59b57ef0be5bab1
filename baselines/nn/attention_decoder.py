"""Cross-attention decoder with the interaction regulariser.

Pixels ask, slots answer: a query made of a pixel's coordinates attends to the slots. Pixels never
see one another and slots never see one another, so slots meet in the attention weights only, and
the regulariser asks every pixel to attend to one slot.
Source: Brady et al., *Interaction Asymmetry* (arXiv 2411.07784), the decoder that
arXiv 2512.08854 uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recombine.baselines.nn.decoders import Layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

OCTAVES = 8


def interaction(
    weights: Sequence[Float[Tensor, "images heads pixels slots"]],
) -> Float[Tensor, ""]:
    """Return how much pixels attend to several slots at once, in closed form."""
    # With ``w`` the attention of a pixel to a slot, averaged over layers and heads, this is the
    # mean over images and pixels of ``sum_{k<l} w_k w_l = ((sum_k w_k)^2 - sum_k w_k^2) / 2``:
    # linear in the number of slots. The source sums over heads instead, which multiplies it by the
    # square of their number.
    w = torch.stack(list(weights)).mean(0).mean(1)
    return 0.5 * (w.sum(-1).square() - w.square().sum(-1)).mean()


def fourier(grid_hw: tuple[int, int]) -> Float[Tensor, "pixels features"]:
    """Return sines and cosines of both coordinates over eight octaves, ``(h * w, 32)``."""
    rows, columns = (torch.arange(n) / max(n - 1, 1) for n in grid_hw)
    place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)
    angles = place[:, :, None] * (torch.pi * 2.0 ** torch.arange(OCTAVES))
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)


class AttentionLayer(nn.Module):
    """Queries look at the slots, then think; they never see one another."""

    def __init__(self, queries: int, slots: int, heads: int) -> None:
        super().__init__()
        self.norm_queries, self.norm_slots = nn.LayerNorm(queries), nn.LayerNorm(slots)
        self.norm_mlp = nn.LayerNorm(queries)
        self.attention = nn.MultiheadAttention(
            queries, heads, kdim=slots, vdim=slots, batch_first=True
        )
        self.mlp = nn.Sequential(
            nn.Linear(queries, 2 * queries), nn.GELU(), nn.Linear(2 * queries, queries)
        )

    def forward(self, queries: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return the updated queries and the attention ``(B, heads, pixels, K)``."""
        keys = self.norm_slots(slots)
        looked, weights = self.attention(
            self.norm_queries(queries), keys, keys, average_attn_weights=False
        )
        queries = queries + looked
        return queries + self.mlp(self.norm_mlp(queries)), weights


class CrossAttention(nn.Module):
    """Slots to an image by cross-attention from pixel coordinates."""

    def __init__(
        self,
        dim: int,
        image_hw: tuple[int, int],
        width: int,
        slots: int,
        *,
        weight: float = 0.06,
        patch: int = 4,
        layers: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.image_hw, self.weight, self.patch = image_hw, weight, patch
        self.grid = (-(-image_hw[0] // patch), -(-image_hw[1] // patch))
        self.register_buffer("place", fourier(self.grid))
        self.ask = nn.Sequential(
            nn.Linear(4 * OCTAVES, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.role = nn.Parameter(torch.randn(slots, 2 * width) * 0.1)
        self.embed = nn.Sequential(
            nn.Linear(dim, 4 * width), nn.GELU(), nn.Linear(4 * width, 2 * width)
        )
        self.layers = nn.ModuleList(AttentionLayer(width, 2 * width, heads) for _ in range(layers))
        self.draw = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, 3 * patch**2),
        )

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Layers:
        """Decode a batch."""
        queries = self.ask(self.place).expand(len(slots), -1, -1)
        embedded = self.embed(slots) + self.role
        attention = []
        for layer in self.layers:
            queries, weights = layer(queries, embedded)
            attention.append(weights)
        cells = self.draw(queries).float().transpose(1, 2).unflatten(2, self.grid)
        image = nn.functional.pixel_shuffle(cells, self.patch)
        image = 0.5 + image[:, :, : self.image_hw[0], : self.image_hw[1]]
        penalty = self.weight * interaction(attention).float() if self.weight else None
        return Layers(image, None, penalty)
