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
# The source (Sprites, 64 x 64 x 3 values) minimises 5 * summed squared error + 0.05 * (sum of pairs
# of attention summed over 12 heads). For a loss of 100 times the *mean* squared error and a mean
# over heads that is 0.05 * 12^2 * 100 / (5 * 12288) = 0.012; its CLEVR6 (weight 1 in place of 5,
# 128 x 128 x 3 values) comes to 0.015.
WEIGHT = 0.012


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


def warm_up(decoder: nn.Module, steps: int) -> None:
    """Let the regulariser's weight grow linearly over the first fifth of a training."""
    # A pixel that attends to one slot from the first step on has learnt nothing to choose it by.
    # The source takes 25,000 of 500,000 steps.
    for module in decoder.modules():
        if isinstance(module, Regularised):
            module.warm_steps = steps // 5


def unfolded(
    answers: Float[Tensor, "images queries values"],
    grid: tuple[int, int],
    image_hw: tuple[int, int],
) -> Float[Tensor, "images channels height width"]:
    """Return images from the pixels that every query of a grid answers for, float32."""
    patch = -(-image_hw[0] // grid[0])
    cells = answers.float().transpose(1, 2).reshape(len(answers), -1, *grid)
    return nn.functional.pixel_shuffle(cells, patch)[:, :, : image_hw[0], : image_hw[1]]


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


class Regularised(nn.Module):
    """What adds the interaction regulariser to the loss it is trained with."""

    seen: Tensor

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.warm_steps = 0  # training batches until the weight is reached; see `warm_up`
        self.register_buffer("seen", torch.tensor(0.0))

    def penalty(self, attention: Sequence[Tensor]) -> Float[Tensor, ""] | None:
        """Return the term of a batch, from the attention of every layer; None without a weight."""
        if not self.weight:
            return None
        term = self.weight * interaction(attention).float()
        if self.training and self.warm_steps:
            self.seen += 1
            term = term * (self.seen / self.warm_steps).clamp_max(1)
        return term


class CrossAttention(Regularised):
    """Slots to an image by cross-attention from pixel coordinates."""

    def __init__(
        self,
        dim: int,
        image_hw: tuple[int, int],
        width: int,
        slots: int,
        *,
        weight: float = WEIGHT,
        patch: int = 4,
        layers: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__(weight)
        self.image_hw, self.patch = image_hw, patch
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
        image = 0.5 + unfolded(self.draw(queries), self.grid, self.image_hw)
        return Layers(image, None, self.penalty(attention))


# The same as the source has it: one decoder for all slots, one query per pixel if ``patch`` is 1.


class FewKeys(nn.Module):
    """Multi-head attention of many queries to few keys."""

    # Equal to `nn.MultiheadAttention`. Its projections into and out of the heads act on the K keys
    # in place of the thousands of queries, which is the same product in another order.

    def __init__(self, queries: int, keys: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.out = nn.Linear(queries, keys), nn.Linear(keys, queries)
        self.key, self.value = nn.Linear(keys, keys), nn.Linear(keys, keys)
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, queries: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each query found and the attention ``(B, heads, pixels, K)``."""
        key, value = (f(slots).unflatten(2, (self.heads, -1)) for f in (self.key, self.value))
        key = key * key.shape[3] ** -0.5
        ask = self.query.weight.view(self.heads, -1, queries.shape[2])
        asked = torch.einsum("bkhd,hdq->bhkq", key, ask).flatten(1, 2)
        offset = torch.einsum("bkhd,hd->bhk", key, self.query.bias.view(self.heads, -1)).flatten(1)
        logits = queries @ asked.transpose(1, 2) + offset[:, None]
        weights = logits.float().view(*logits.shape[:2], self.heads, -1).softmax(-1)
        tell = self.out.weight.view(queries.shape[2], self.heads, -1)
        told = torch.einsum("bkhd,qhd->bhkq", value, tell).flatten(1, 2)
        looked = weights.flatten(2).to(told.dtype) @ told + self.out.bias
        return looked, weights.transpose(1, 2)


class PixelLayer(nn.Module):
    """As `AttentionLayer`, for many queries and few slots."""

    def __init__(self, queries: int, slots: int, heads: int) -> None:
        super().__init__()
        self.norm_queries, self.norm_slots = nn.LayerNorm(queries), nn.LayerNorm(slots)
        self.norm_mlp = nn.LayerNorm(queries)
        self.attention = FewKeys(queries, slots, heads)
        self.mlp = nn.Sequential(
            nn.Linear(queries, 2 * queries), nn.GELU(), nn.Linear(2 * queries, queries)
        )

    def forward(self, queries: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return the updated queries and the attention ``(B, heads, pixels, K)``."""
        looked, weights = self.attention(self.norm_queries(queries), self.norm_slots(slots))
        queries = queries + looked
        return queries + self.mlp(self.norm_mlp(queries)), weights


class SharedCrossAttention(Regularised):
    """Slots to an image by one cross-attention decoder that does not know one slot from another."""

    def __init__(
        self,
        dim: int,
        image_hw: tuple[int, int],
        *,
        queries: int,
        slots: int,
        heads: int,
        patch: int = 1,
        layers: int = 2,
        weight: float = WEIGHT,
    ) -> None:
        super().__init__(weight)
        self.image_hw, self.patch = image_hw, patch
        self.grid = (-(-image_hw[0] // patch), -(-image_hw[1] // patch))
        self.register_buffer("place", fourier(self.grid))
        self.ask = nn.Sequential(
            nn.Linear(4 * OCTAVES, 2 * queries), nn.GELU(), nn.Linear(2 * queries, queries)
        )
        self.embed = nn.Sequential(
            nn.Linear(dim, 4 * slots), nn.GELU(), nn.Linear(4 * slots, slots)
        )
        self.layers = nn.ModuleList(PixelLayer(queries, slots, heads) for _ in range(layers))
        self.draw = nn.Sequential(
            nn.LayerNorm(queries),
            nn.Linear(queries, queries),
            nn.GELU(),
            nn.Linear(queries, queries),
            nn.GELU(),
            nn.Linear(queries, 3 * patch**2),
        )

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Layers:
        """Decode a batch."""
        queries, embedded = self.ask(self.place)[None], self.embed(slots)
        attention = []
        for layer in self.layers:
            queries, weights = layer(queries, embedded)
            attention.append(weights)
        image = 0.5 + unfolded(self.draw(queries), self.grid, self.image_hw)
        shares = torch.stack(attention).mean((0, 2)).transpose(1, 2)
        shares = shares.reshape(*slots.shape[:2], *self.grid)
        for axis in (2, 3):
            shares = shares.repeat_interleave(self.patch, axis)
        shares = shares[:, :, : self.image_hw[0], : self.image_hw[1]]
        return Layers(image, None, self.penalty(attention), shares)
