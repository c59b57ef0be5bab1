"""MAE: a transformer sees a quarter of an image's patches and draws the rest.

``L = mean over hidden patches of |decoder(encoder(seen)) - patch|^2``, patches normalised one by
one. After training the encoder sees every patch, and the mean over its tokens and a coarse grid of
them is the image's vector.
Source: He et al. 2022, arXiv 2111.06377. Differs in size, and in learned position embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from recombine.baselines.methods.self_supervised import SelfSupervised
from recombine.baselines.training.loop import Sizes
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.baselines.methods.self_supervised import Parts
    from recombine.benchmark.serving.data import TrainData


@dataclass(frozen=True)
class Mae(SelfSupervised):
    """Settings of the masked autoencoder; ``fit`` trains it."""

    card: ClassVar[MethodCard] = MethodCard(
        id="mae",
        name="MAE",
        source="arXiv 2111.06377",
        paper="https://arxiv.org/abs/2111.06377",
        note="Small transformer on 8 x 8 pixel patches, three quarters hidden, patches normalised.",
        generative=True,
    )
    SIZES: ClassVar[Sizes] = {
        **SelfSupervised.SIZES,
        "tiny": {**SelfSupervised.SIZES["tiny"], "layers": 1},
    }

    patch: int = 8  # edge of a patch in pixels
    hidden: float = 0.75  # share of hidden patches
    layers: int = 4  # depth of the encoder; the decoder has one layer

    def parts(self, data: TrainData) -> Parts:
        """Return the masked autoencoder, twice, and its loss."""
        model = MaskedAutoencoder(self, data.spec.image_hw)

        def loss(images: Tensor) -> Tensor:
            return model.loss(images, random_mask(len(images), model.count, self.hidden, images))

        return model, model, loss


def patches_of(
    images: Float[Tensor, "images 3 height width"], edge: int
) -> Float[Tensor, "images patches values"]:
    """Cut images into squares, row by row; what is left at the lower and right edge is dropped."""
    return nn.functional.unfold(images, edge, stride=edge).transpose(1, 2)


def random_mask(
    n: int, patches: int, share: float, like: Tensor
) -> tuple[Int[Tensor, "images seen"], Int[Tensor, "images hidden"]]:
    """Draw which patches of every image are seen, and which hidden; at least one of each."""
    order = torch.rand(n, patches, device=like.device).argsort(1)
    seen = min(max(1, round(patches * (1 - share))), patches - 1)
    return order[:, :seen], order[:, seen:]


class MaskedAutoencoder(nn.Module):
    """Encoder of seen patches and decoder of hidden ones."""

    def __init__(self, settings: Mae, image_hw: tuple[int, int]) -> None:
        super().__init__()
        self.edge = min(settings.patch, min(image_hw) // 2)
        dim, values = settings.dim, 3 * self.edge**2
        self.out_dim = 4 * dim
        self.grid = tuple(pixels // self.edge for pixels in image_hw)
        self.count = self.grid[0] * self.grid[1]
        self.embed = nn.Linear(values, dim)
        self.place = nn.Parameter(torch.randn(1, self.count, dim) * 0.02)
        self.encoder = _transformer(dim, settings.layers)
        self.unseen = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.decoder = _transformer(dim, 1)
        self.draw = nn.Linear(dim, values)
        self.pool = nn.AdaptiveAvgPool2d(2)

    def loss(self, images: Tensor, split: tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
        """Return the squared error on hidden patches, each normalised to mean 0 and variance 1."""
        seen, hidden = split
        patches = patches_of(images, self.edge)
        tokens = self.embed((patches - 0.5) * 4) + self.place
        known = self.encoder(_take(tokens, seen))
        asked = self.unseen + _take(self.place.expand(len(images), -1, -1), hidden)
        context = known + _take(self.place.expand(len(images), -1, -1), seen)
        answer = self.decoder(torch.cat([context, asked.to(context.dtype)], dim=1))
        drawn = self.draw(answer[:, seen.shape[1] :]).float()
        wanted = _take(patches, hidden)
        spread = (wanted.var(-1, keepdim=True, correction=0) + 1e-4).sqrt()
        wanted = (wanted - wanted.mean(-1, keepdim=True)) / spread
        error: Tensor = (drawn - wanted).square().mean()
        return error

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images d"]:
        """Return the vectors of whole images: tokens averaged over a 2 x 2 grid."""
        tokens = self.encoder(self.embed((patches_of(images, self.edge) - 0.5) * 4) + self.place)
        vectors: Tensor = self.pool(tokens.transpose(1, 2).unflatten(2, self.grid)).flatten(1)
        return vectors.float()


def _take(tokens: Tensor, rows: Tensor) -> Tensor:
    return tokens.gather(1, rows[:, :, None].expand(-1, -1, tokens.shape[2]))


def _transformer(dim: int, layers: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        dim, 4, 2 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(dim), enable_nested_tensor=False)
