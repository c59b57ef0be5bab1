"""Tokens of architectures from timm, trained from scratch or adapted with low-rank updates.

timm is an extra: ``pip install 'recombine[hub]'``. Weights come from a local file or from the hub;
see `recombine.benchmark.submissions.backbones`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from recombine.benchmark.submissions.backbones import (
    Backbone,
    feature_map,
    load_backbone,
    parse_hub,
)
from recombine.benchmark.submissions.torchvision_compat import ready_torchvision
from recombine.renderer.core.errors import InvalidInputError, ResourceError

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float


class BackboneTokens(nn.Module):
    """The last feature map of a backbone as tokens of a given width."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, backbone: Backbone, width: int, *, held: bool = False) -> None:
        super().__init__()
        self.backbone, self.model, self.held = backbone, backbone.model, held
        self.project = nn.Linear(backbone.width, width)
        self.register_buffer("mean", torch.tensor(backbone.mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(backbone.deviation)[:, None, None])

    def train(self, mode: bool = True) -> BackboneTokens:
        """Switch to training, all but a held backbone."""
        super().train(mode)
        if self.held:
            self.model.eval()
        return self

    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images tokens width"]:
        """Return the tokens of images in [0, 1], scaled to the size that the backbone takes."""
        size = (self.backbone.size, self.backbone.size)
        if tuple(images.shape[2:]) != size:
            images = nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
        grid = feature_map(self.backbone, (images - self.mean) / self.deviation)
        tokens: Tensor = self.project(grid.flatten(2).transpose(1, 2))
        return tokens


class InnerTokens(nn.Module):
    """The last map of a frozen backbone of timm but one, as tokens that can be standardised.

    Twice as fine as the last one in a convolutional network; where every layer has the same map,
    that of the last layer but one.
    """

    mean: Tensor
    deviation: Tensor
    center: Tensor
    spread: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.model, self.size = backbone.model.eval().requires_grad_(False), backbone.size
        self.register_buffer("mean", torch.tensor(backbone.mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(backbone.deviation)[:, None, None])
        if not hasattr(self.model, "forward_intermediates"):
            raise InvalidInputError(
                f"baselines: expected a model of timm with forward_intermediates, got "
                f"{type(self.model).__name__}; give another backbone"
            )
        found = self._map(torch.zeros(1, 3, self.size, self.size))
        self.inputs, self.grid = found.shape[1], (found.shape[2], found.shape[3])
        self.count = self.grid[0] * self.grid[1]
        self.register_buffer("center", torch.zeros(self.inputs))
        self.register_buffer("spread", torch.ones(self.inputs))

    def train(self, mode: bool = True) -> InnerTokens:
        """Stay in evaluation mode: nothing here is trained."""
        del mode
        return super().train(False)

    @torch.no_grad()
    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images tokens inputs"]:
        """Return the tokens of images in [0, 1], as the backbone has them."""
        size = (self.size, self.size)
        images = nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
        return self._map((images - self.mean) / self.deviation).flatten(2).transpose(1, 2)

    def standardise(self, tokens: Float[Tensor, "images tokens inputs"]) -> None:
        """Set mean and spread of every channel from tokens of training images."""
        some = tokens[:2048].flatten(0, 1).float()
        self.center, self.spread = some.mean(0), some.std(0).clamp_min(1e-6)

    def standard(
        self, tokens: Float[Tensor, "images tokens inputs"]
    ) -> Float[Tensor, "images tokens inputs"]:
        """Return tokens of mean 0 and spread 1."""
        return (tokens - self.center) / self.spread

    def _map(self, images: Tensor) -> Tensor:
        model: Any = self.model
        maps = model.forward_intermediates(
            images, indices=2, intermediates_only=True, output_fmt="NCHW"
        )
        found: Tensor = maps[0]
        return found


def scratch(name: str, image_hw: tuple[int, int], **settings: Any) -> Backbone:
    """Return an untrained architecture of timm for images of a size."""
    try:
        ready_torchvision()
        timm = importlib.import_module("timm")
    except ImportError as error:
        raise ResourceError(
            f"baselines: {name} needs timm, got {error}; run: pip install 'recombine[hub]'"
        ) from error
    model = timm.create_model(name, pretrained=False, num_classes=0, **settings)
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    half = (0.5, 0.5, 0.5)
    return Backbone(model, int(model.num_features), prefix, image_hw[0], half, half, "")


def pretrained(name: str, rank: int, *, pixels: int = 0, weights: Path | str = "") -> Backbone:
    """Return a pretrained backbone, frozen but for low-rank updates; 0 pixels: its own size."""
    # A path ends the text, so it may hold anything.
    options = {"size": str(pixels) if pixels else "", "weights": str(weights)}
    query = "&".join(f"{key}={value}" for key, value in options.items() if value)
    backbone = load_backbone(parse_hub(f"{name}?{query}" if query else name))
    if rank > 0:
        adapt(backbone.model, rank)
    return backbone


class LowRank(nn.Module):
    """A frozen linear map plus a trained update of low rank: ``W x + B A x``.

    The map is a linear layer or a pointwise convolution, which is one on the channels of every
    place. Source: Hu et al. 2022, arXiv 2106.09685, Eq. 3 with alpha = r. B starts at 0, so the
    model starts as it was.
    """

    def __init__(self, linear: nn.Linear | nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        outputs, inputs = linear.weight.shape[:2]
        self.down = nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Return the updated map's answer."""
        out: Tensor = self.linear(x)
        if isinstance(self.linear, nn.Conv2d):
            places = nn.functional.conv2d(x, self.down[:, :, None, None], stride=self.linear.stride)
            return out + nn.functional.conv2d(places, self.up[:, :, None, None])
        return out + (x @ self.down.T) @ self.up.T


ADAPTED = ("qkv", "query", "value", "q_proj", "v_proj")


def adapt(model: nn.Module, rank: int) -> int:
    """Put low-rank updates on the attention of a model, in place."""
    # They go on query and value maps, found by name (see `ADAPTED`); in a model without any, on its
    # pointwise convolutions.
    model.requires_grad_(False)
    maps = [
        (module, name, child)
        for module in model.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.Linear | nn.Conv2d)
    ]
    attention = [one for one in maps if one[1] in ADAPTED and isinstance(one[2], nn.Linear)]
    found = attention or [one for one in maps if _is_pointwise(one[2])]
    for module, name, child in found:
        setattr(module, name, LowRank(child, rank))
    return len(found)


def _is_pointwise(child: nn.Linear | nn.Conv2d) -> bool:
    return isinstance(child, nn.Conv2d) and child.kernel_size == (1, 1) and child.groups == 1
