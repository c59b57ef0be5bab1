"""A small convolutional encoder with one learned query per slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class ConvTokens(nn.Module):
    """Three strided convolutions with batch normalisation: an image becomes a grid of tokens.

    Batch normalisation is not a detail: without it such an encoder learns shape several times more
    slowly than texture. In evaluation it uses stored statistics, so images stay independent.
    """

    def __init__(self, width: int, image_hw: tuple[int, int], stride: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 2, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.GELU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, stride=stride // 4, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.GELU(),
        )
        height, breadth = (-(-edge // stride) for edge in image_hw)
        self.position = nn.Parameter(torch.randn(1, height * breadth, width) * 0.02)

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Tensor:
        """Return ``(B, tokens, width)``."""
        grid: Tensor = self.stem((images - 0.5) * 4.0)
        return grid.flatten(2).transpose(1, 2) + self.position


class QueryLayer(nn.Module):
    """One layer of slot queries: look at the tokens, then at each other, then think."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_cross, self.norm_self, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True)
        self.between = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """Return the updated queries, ``(B, K, width)``."""
        looked = self.cross(self.norm_cross(queries), tokens, tokens, need_weights=False)[0]
        queries = queries + looked
        own = self.norm_self(queries)
        queries = queries + self.between(own, own, own, need_weights=False)[0]
        updated: Tensor = queries + self.mlp(self.norm_mlp(queries))
        return updated


class SlotHeads(nn.Module):
    """A norm, and a linear head per slot or, for one slot here, the same for all."""

    def __init__(self, slots: int, outputs: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.weight = nn.Parameter(torch.randn(slots, outputs, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(slots, outputs))

    def forward(
        self, slots: Float[Tensor, "images slots width"]
    ) -> tuple[Float[Tensor, "images slots width"], Float[Tensor, "images slots outputs"]]:
        """Return the normalised slots and the outputs of their heads, both float32."""
        slots = self.norm(slots).float()
        with torch.autocast(slots.device.type, enabled=False):
            outputs = torch.einsum("bkw,kow->bko", slots, self.weight) + self.bias
        return slots, outputs


class SlotEncoder(nn.Module):
    """Image to K slot vectors, with a linear head per slot."""

    def __init__(
        self,
        slots: int,
        outputs: int,
        *,
        width: int,
        image_hw: tuple[int, int],
        layers: int = 2,
        heads: int = 4,
        tokens: nn.Module | None = None,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.tokens = tokens or ConvTokens(width, image_hw)
        self.norm_tokens = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(1, slots, width) * 0.5)
        self.layers = nn.ModuleList(QueryLayer(width, heads) for _ in range(layers))
        self.heads = SlotHeads(1 if shared else slots, outputs, width)

    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images slots width"], Float[Tensor, "images slots outputs"]]:
        """Return the slots and the outputs of their heads, both float32."""
        return self.read(self.tokens(images))

    def read(
        self, tokens: Float[Tensor, "images tokens width"]
    ) -> tuple[Float[Tensor, "images slots width"], Float[Tensor, "images slots outputs"]]:
        """Return the slots that tokens of images hold and the outputs of their heads."""
        tokens = self.norm_tokens(tokens)
        slots = self.queries.expand(len(tokens), -1, -1)
        for layer in self.layers:
            slots = layer(slots, tokens)
        pair: tuple[Tensor, Tensor] = self.heads(slots)
        return pair
