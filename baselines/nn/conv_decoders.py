"""Convolutional decoders without a pose: additive, bilinear, spatial broadcast, unstructured.

They differ in how slots may interact. With ``d_k`` a network of slot k alone:

* additive: ``sum_k d_k(z_k)``; no interaction at all (Lachapelle et al. 2023, arXiv 2307.02598);
* bilinear: additive plus a low-rank bilinear term per pair of slots;
* broadcast: ``sum_k a_k c_k`` with ``a = softmax_k``; slots interact in the softmax only
  (Watters et al. 2019, arXiv 1901.07017; Burgess et al. 2019, arXiv 1901.11390);
* unstructured: one network of all slots, free to interact everywhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recombine.baselines.nn.decoders import BOUND, Layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float

Groups = tuple[tuple[int, ...], ...]


def doublings(image_hw: tuple[int, int]) -> int:
    """Return how often a 4 x 4 grid is doubled to cover an image; at least once."""
    return max(1, math.ceil(math.log2(max(image_hw) / 4)))


class Grow(nn.Module):
    """A vector becomes a picture, by transposed convolutions from a small grid."""

    def __init__(self, inputs: int, channels: int, width: int, image_hw: tuple[int, int]) -> None:
        super().__init__()
        self.image_hw = image_hw
        times = doublings(image_hw)
        self.grid = tuple(-(-edge // 2**times) for edge in image_hw)
        self.first = nn.Sequential(
            nn.Linear(inputs, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, 2 * width * self.grid[0] * self.grid[1]),
        )
        self.layers = upsampler(2 * width, width, channels, times)

    def forward(self, vectors: Float[Tensor, "n inputs"]) -> Float[Tensor, "n channels h w"]:
        """Return the pictures, float32."""
        cells = self.first(vectors).unflatten(1, (-1, *self.grid))
        return cropped(self.layers(cells), self.image_hw).float()


class Broadcast(nn.Module):
    """A vector, repeated over a grid with coordinates, becomes a picture."""

    def __init__(self, inputs: int, channels: int, width: int, image_hw: tuple[int, int]) -> None:
        super().__init__()
        self.image_hw = image_hw
        times = max(1, doublings(image_hw) - 1)
        rows, columns = (torch.linspace(-1, 1, -(-edge // 2**times)) for edge in image_hw)
        place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        self.register_buffer("place", torch.cat([place, 1 - place])[None])
        self.embed = nn.Linear(inputs, 2 * width)
        self.locate = nn.Conv2d(4, 2 * width, 1)
        self.mix = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.layers = upsampler(2 * width, width, channels, times)

    def forward(self, vectors: Float[Tensor, "n inputs"]) -> Float[Tensor, "n channels h w"]:
        """Return the pictures, float32."""
        cells = self.embed(vectors)[:, :, None, None] + self.locate(self.place)
        cells = self.mix(nn.functional.gelu(cells))
        return cropped(self.layers(cells), self.image_hw).float()


def upsampler(inputs: int, width: int, channels: int, times: int) -> nn.Sequential:
    """Return transposed convolutions that double a grid ``times`` times."""
    layers: list[nn.Module] = []
    for left in range(times, 0, -1):
        outputs = channels if left == 1 else width
        layers += [nn.GELU(), nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)]
        inputs = outputs
    return nn.Sequential(*layers)


def cropped(pictures: Tensor, image_hw: tuple[int, int]) -> Tensor:
    """Cut pictures to a height and width that are no power of two."""
    return pictures[:, :, : image_hw[0], : image_hw[1]]


class PerSlot(nn.Module):
    """One network per kind of slot, applied to every slot on its own."""

    def __init__(self, groups: Groups, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.groups = groups
        self.networks = nn.ModuleList(make() for _ in groups)

    def forward(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images slots c h w"]:
        """Return one picture per slot."""
        pictures: dict[int, Tensor] = {}
        for group, network in zip(self.groups, self.networks, strict=True):
            drawn = network(slots[:, list(group)].flatten(0, 1)).unflatten(0, (-1, len(group)))
            pictures |= {k: drawn[:, j] for j, k in enumerate(group)}
        return torch.stack([pictures[k] for k in sorted(pictures)], dim=1)


class Unstructured(nn.Module):
    """One convolutional network of all slots at once: the control without slot structure."""

    def __init__(self, slots: int, dim: int, image_hw: tuple[int, int], width: int) -> None:
        super().__init__()
        self.grow = Grow(slots * dim, 3, 2 * width, image_hw)

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Layers:
        """Decode a batch."""
        return Layers(0.5 + self.grow(slots.flatten(1)))


class Additive(nn.Module):
    """A sum of one picture per slot: its cross-slot second derivatives are exactly zero."""

    def __init__(self, groups: Groups, dim: int, image_hw: tuple[int, int], width: int) -> None:
        super().__init__()
        self.pictures = PerSlot(groups, lambda: Grow(dim, 3, width, image_hw))

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Layers:
        """Decode a batch."""
        return Layers(0.5 + self.pictures(slots).sum(1))


class Bilinear(Additive):
    """An additive decoder plus a bilinear term of low rank per pair of slots.

    The term of slots k < l is ``U_kl ((A_kl z_k) * (B_kl z_l))``: a low-rank form of ``C vec(z_k
    (x) z_l)``. All cross-slot derivatives of third order are zero.
    """

    def __init__(
        self, groups: Groups, dim: int, image_hw: tuple[int, int], width: int, rank: int = 16
    ) -> None:
        super().__init__(groups, dim, image_hw, width)
        count = sum(len(group) for group in groups)
        self.image_hw = image_hw
        self.pairs = tuple((k, j) for k in range(count) for j in range(k + 1, count))
        scale = dim**-0.5
        self.left = nn.Parameter(torch.randn(len(self.pairs), dim, rank) * scale)
        self.right = nn.Parameter(torch.randn(len(self.pairs), dim, rank) * scale)
        pixels = 3 * image_hw[0] * image_hw[1]
        self.basis = nn.Parameter(torch.randn(len(self.pairs), rank, pixels) * 1e-3)

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Layers:
        """Decode a batch."""
        image = super().forward(slots).image
        if not self.pairs:
            return Layers(image)
        first, second = (slots[:, [pair[side] for pair in self.pairs]] for side in (0, 1))
        products = torch.einsum("bpd,pdr->bpr", first, self.left)
        products = products * torch.einsum("bpd,pdr->bpr", second, self.right)
        term = torch.einsum("bpr,prx->bx", products, self.basis)
        return Layers(image + term.float().view_as(image))


class BroadcastMixture(nn.Module):
    """Spatial-broadcast pictures of every slot, mixed by a softmax over slots."""

    def __init__(
        self,
        groups: Groups,
        dim: int,
        image_hw: tuple[int, int],
        width: int,
        objects: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.pictures = PerSlot(groups, lambda: Broadcast(dim, 4, width, image_hw))
        count = sum(len(group) for group in groups)
        self.objects = list(objects)
        self.others = [k for k in range(count) if k not in self.objects]

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Layers:
        """Decode a batch."""
        drawn = self.pictures(slots)
        logits = BOUND * torch.tanh(drawn[:, :, 3] / BOUND)
        shares = logits.softmax(1)
        image = ((0.5 + drawn[:, :, :3]) * shares[:, :, None]).sum(1)
        if not self.objects or not self.others:
            return Layers(image, shares=shares)
        behind = logits[:, self.others].logsumexp(1, keepdim=True)
        return Layers(image, logits[:, self.objects] - behind)
