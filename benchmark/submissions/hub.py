"""Models of public libraries by name, with the standard slot head: ``timm:NAME``, ``hf:NAME``.

``timm:resnet18`` takes the weights that timm publishes, ``timm:resnet18?weights=FILE`` those of a
local safetensors file, ``timm:resnet18?weights=random`` none. ``hf:OWNER/NAME`` and
``hf:NAME?weights=FOLDER`` do the same with transformers, a local folder as ``save_pretrained``
writes it; ``open_clip:NAME?weights=FILE`` takes the image tower of a CLIP model. ``&size=PIXELS``
changes the size to which images are scaled. How they are loaded is `backbones`' business.

The libraries are an extra: ``pip install 'recombine[hub]'``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, SplitSpec
from recombine.benchmark.submissions.backbones import (
    RANDOM,
    Backbone,
    HubName,
    feature_map,
    is_hub,
    load_backbone,
    parse_hub,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float

    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData

__all__ = ["HubEncoder", "HubMethod", "SlotHead", "hub_method", "is_hub", "tokens_of"]

# The standard slot head: one fixed recipe that turns a frozen backbone into a scored method.

GRID = 8
BATCH = 64
HALF_MAX = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class HubMethod:
    """A hub model with the standard slot head: a `Learner`."""

    # what to load, and from which place of this machine; no part of the identity
    where: HubName = field(compare=False)
    model: str  # ``timm:NAME`` or ``hf:NAME``
    size: int  # edge in pixels to which images are scaled
    weights_sha256: str  # over all tensors of the backbone
    slot_dim: int = 64
    width: int = 128
    epochs: int = 30
    rate: float = 2e-3

    @property
    def card(self) -> MethodCard:
        """Return what the leaderboard prints."""
        slug = re.sub("[^a-z0-9]+", "-", self.model.lower()).strip("-")
        scratch = self.where.weights == RANDOM
        return MethodCard(
            id=f"{slug[:72]}-random" if scratch else slug[:80],
            name=f"{self.model} with slot head" + ", random weights" * scratch,
            supervision="supervised",
            data="scratch" if scratch else "pretrained",
            source=f"{self.model}, weights {self.weights_sha256[:16]}",
            note=f"frozen backbone, standard slot head, images scaled to {self.size} pixels",
            pretraining=() if scratch else (self.model,),
        )

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> HubEncoder:
        """Train the head on in-combination images; the backbone stays as it is."""
        del val, budget  # the recipe chooses nothing; the data refuse to serve too much
        backbone = load_backbone(self.where, digest=self.weights_sha256)
        torch.manual_seed(seed)
        head = SlotHead(backbone.width, data.spec, self.slot_dim, self.width)
        tokens, factors = _tokens_of(backbone, data, seed)
        head.standardise(tokens)
        optimiser = torch.optim.AdamW(head.parameters(), lr=self.rate)
        for epoch in range(self.epochs):
            if epoch:  # the first was served, the others reuse its tokens
                data.count_again(len(tokens))
            loss = tokens.new_zeros(())
            for rows in torch.split(torch.randperm(len(tokens)), BATCH):
                loss = head.loss(tokens[rows].float(), {k: v[rows] for k, v in factors.items()})
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            log.scalar("loss", loss.item(), epoch)
        return HubEncoder(backbone, head)


def hub_method(spec: str) -> HubMethod:
    """Return the method that a hub model's name stands for; its weights are loaded once to hash."""
    where = parse_hub(spec)
    loaded = load_backbone(where)
    return HubMethod(where, f"{where.library}:{where.name}", loaded.size, loaded.digest)


class SlotHead(nn.Module):
    """One query per scene slot attends to tokens; one linear layer per factor trains it."""

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: int, spec: SplitSpec, slot_dim: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.key, self.value = nn.Linear(inputs, width), nn.Linear(inputs, width)
        self.query = nn.Parameter(torch.randn(spec.max_slots, width) * width**-0.5)
        self.place = nn.Parameter(torch.zeros(GRID * GRID, width))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        self.slot = nn.Linear(width, slot_dim)
        owners = list(dict.fromkeys(key.partition(".")[0] for key in spec.factors))
        self.owner = {key: owners.index(key.partition(".")[0]) for key in spec.factors}
        self.kind = dict(spec.factors)
        self.heads = nn.ModuleDict(
            {key.replace(".", "/"): nn.Linear(slot_dim, _outputs(kind))
             for key, kind in spec.factors.items()}
        )  # fmt: skip

    def standardise(self, tokens: Float[Tensor, "images tokens inputs"]) -> None:
        """Freeze mean and spread of every channel, over in-combination images."""
        flat = tokens.flatten(0, 1).float()
        self.mean, self.scale = flat.mean(0), flat.std(0).clamp_min(1e-6)

    def forward(
        self, tokens: Float[Tensor, "images tokens inputs"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return slots."""
        tokens = (tokens - self.mean) / self.scale
        keys, values = self.key(tokens) + self.place, self.value(tokens) + self.place
        weight = (self.query @ keys.transpose(1, 2) * self.query.shape[1] ** -0.5).softmax(2)
        slots: Tensor = self.slot(self.out(weight @ values))
        return slots

    def loss(
        self, tokens: Float[Tensor, "images tokens inputs"], factors: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the mean loss of all factors: cross-entropy, or squared error in native units."""
        slots = self(tokens)
        losses = []
        for key, true in factors.items():
            got = self.heads[key.replace(".", "/")](slots[:, self.owner[key]])
            if self.kind[key].startswith("categorical"):
                losses.append(functional.cross_entropy(got, true))
            elif self.kind[key].startswith("angle"):
                turned = torch.stack([true.cos(), true.sin()], dim=1)
                losses.append((got - turned).square().sum(1).mean())
            else:
                losses.append((got[:, 0] - true).square().mean())
        return torch.stack(losses).mean()


class HubEncoder:
    """A frozen backbone with a trained slot head: an `Encoder`."""

    def __init__(self, backbone: Backbone, head: SlotHead) -> None:
        self.backbone, self.head = backbone, head.eval()
        self.slot_dim = head.slot.out_features

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Move to the device."""
        del spec
        self.backbone.model.to(device)
        self.head.to(device)

    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return slots ``(B, K, slot_dim)``."""
        return SlotOutput(slots=self.head(tokens_of(self.backbone, images)))


@torch.no_grad()
def tokens_of(
    backbone: Backbone, images: Float[Tensor, "images 3 height width"]
) -> Float[Tensor, "images tokens inputs"]:
    """Return what a backbone sees in images: 8 x 8 tokens."""
    size = (backbone.size, backbone.size)
    scaled = functional.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)
    mean = images.new_tensor(backbone.mean)[:, None, None]
    deviation = images.new_tensor(backbone.deviation)[:, None, None]
    grid = feature_map(backbone, (scaled - mean) / deviation)
    return functional.adaptive_avg_pool2d(grid, GRID).flatten(2).transpose(1, 2)


def _tokens_of(
    backbone: Backbone, data: TrainData, seed: int
) -> tuple[Float[Tensor, "images tokens inputs"], dict[str, Tensor]]:
    """Return tokens (half precision: there are many) and factors of all training images."""
    tokens, factors = [], []
    for batch in data.batches(BATCH, seed=seed):
        found = tokens_of(backbone, batch.images)
        # Some models have a few numbers that half precision does not reach.
        tokens.append(found.half() if found.abs().max() <= HALF_MAX else found)
        factors.append(batch.factors)
    return torch.cat(tokens), {k: torch.cat([one[k] for one in factors]) for k in factors[0]}


def _outputs(kind: str) -> int:
    if kind.startswith("categorical["):
        return int(kind[len("categorical[") : -1])
    return 2 if kind.startswith("angle") else 1
