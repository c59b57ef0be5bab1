"""Slot attention on the features of a frozen backbone: the loss rebuilds features, not pixels.

    L = mean over places p of |sum_k a_k(p) d(s_k, p) - h_p|^2

with `h_p` the backbone's token of a place, every channel standardised over training images, slots
`s_k` of slot attention on the same tokens, a small network `d` of a slot plus an embedding of the
place, and its last output, softmax over slots, as shares `a_k`. Source: DINOSAUR, Seitzer et al.
2023, arXiv 2209.14860, Section 3, with the MLP decoder. Differs in its features (of a network
trained on ImageNet's labels, where the source has DINO's), in learned starts of slots, so that they
keep their roles, and in size. No label, no mask and no search: the decoder is thrown away but for
its masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from recombine.baselines.nn.backbones import InnerTokens, pretrained
from recombine.baselines.nn.slot_attention import SlotAttention
from recombine.baselines.nn.slots import check_image_size
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Precision,
    Schedule,
    Sizes,
    autocast,
    budget_share,
    deadline_of,
    seeded,
    train,
)
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.submissions.backbones import RANDOM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec, TrainBudget
    from recombine.benchmark.serving.data import TrainData


_SCHEDULE = Schedule(steps=900, batch_size=64, rate=2e-3, weight_decay=0.0)


@dataclass(frozen=True)
class FeatureSlots:
    """Settings of slots on frozen features; ``fit`` trains slot attention and decoder."""

    card: ClassVar[MethodCard] = MethodCard(
        id="dinosaur-imagenet",
        name="DINOSAUR on ImageNet features",
        data="pretrained",
        source="arXiv 2209.14860, Section 3; features: arXiv 1905.11946",
        paper="https://arxiv.org/abs/2209.14860",
        pretraining=("EfficientNet-Lite0, ImageNet labels",),
        note="Reimplementation. Slot attention and MLP decoder on the tokens of the last stage but "
        "one of a frozen EfficientNet-Lite0; the loss rebuilds them. Learned starts.",
    )
    SIZES: ClassVar[Sizes] = {
        "tiny": {
            "width": 16,
            "dim": 8,
            "schedule": Schedule(steps=8, batch_size=16, rate=1e-3),
            "backbone": "timm:test_efficientnet",
            "weights": RANDOM,
            "pixels": 0,
        },
        "cpu": {},
        "gpu": {
            "width": 256,
            "dim": 256,
            "schedule": Schedule(steps=50_000, batch_size=128, rate=4e-4, weight_decay=0.0),
        },
    }

    width: int = 64  # of slot attention and of the decoder's hidden layers, doubled
    dim: int = 64  # numbers per slot
    rounds: int = 3  # of slot attention
    schedule: Schedule = _SCHEDULE
    backbone: str = "timm:tf_efficientnet_lite0.in1k"  # ``timm:NAME``
    pixels: int = 160  # edge to which images are scaled; 0 for the model's own
    # local file, "random", or empty for those of the hub. A file counts by its content
    weights: Path | str = ""
    precision: Precision = "bf16"  # arithmetic of what is trained
    size: str = "cpu"  # named size that these settings came from

    def __post_init__(self) -> None:
        """Take any other text for a path."""
        if self.weights not in ("", RANDOM):
            object.__setattr__(self, "weights", Path(self.weights))

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> FeatureSlotEncoder:
        """Keep the features of all training images, then train on them; nothing is selected."""
        del val
        schedule = self.schedule.within(budget_share(budget, self.schedule.images + len(data)))
        deadline = deadline_of(budget)
        with seeded(seed):
            backbone = pretrained(self.backbone, 0, pixels=self.pixels, weights=self.weights)
            features = InnerTokens(backbone)
            kept = torch.cat([features(b.images).half() for b in data.batches(64, seed=seed)])
            features.standardise(kept)
            model = FeatureAutoencoder(self, data.spec, features)
            batches = KeptTokens(data, kept, schedule.batch_size, schedule.steps, seed)

            def loss(tokens: Tensor) -> Tensor:
                with autocast(self.precision, tokens.device.type):
                    return model.loss(features.standard(tokens.float()))

            train(model, loss, batches, schedule, log=log, name="features", deadline=deadline)
        return FeatureSlotEncoder(features, model)


@dataclass(frozen=True)
class KeptTokens:
    """Batches of kept tokens, drawn anew in every epoch; images are counted as if served again."""

    data: TrainData
    kept: Float[Tensor, "images tokens inputs"]
    batch_size: int
    steps: int
    seed: int

    def after(self, done: int) -> Iterator[Tensor]:
        """Yield what follows the first ``done`` batches, which are counted too."""
        size = min(self.batch_size, len(self.kept))
        self.data.count_again(done * size)
        for step in range(done, self.steps):
            epoch, place = divmod(step, len(self.kept) // size)
            order = torch.Generator().manual_seed(self.seed + epoch)
            rows = torch.randperm(len(self.kept), generator=order)[place * size :][:size]
            self.data.count_again(size)
            yield self.kept[rows.to(self.kept.device)]


class FeatureAutoencoder(nn.Module):
    """Slot attention on standardised tokens, and the decoder that rebuilds them."""

    def __init__(self, settings: FeatureSlots, spec: SplitSpec, features: InnerTokens) -> None:
        super().__init__()
        width, inputs, count = settings.width, features.inputs, features.count
        self.image_hw, self.grid = tuple(spec.image_hw), features.grid
        self.place = nn.Parameter(torch.randn(1, count, width) * 0.02)
        self.embed = nn.Linear(inputs, width)
        self.slots = SlotAttention(
            spec.max_slots,
            settings.dim,
            width=width,
            image_hw=spec.image_hw,
            iterations=settings.rounds,
            implicit=True,
            shared=True,
            tokens=nn.Identity(),
        )
        self.where = nn.Parameter(torch.randn(1, 1, count, settings.dim) * 0.02)
        hidden = 2 * width
        self.decoder = nn.Sequential(
            nn.Linear(settings.dim, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, inputs + 1),
        )

    def encode(
        self, tokens: Float[Tensor, "images tokens inputs"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return the slots that standardised tokens hold."""
        return self.slots.read(self.embed(tokens) + self.place)[1]

    def decode(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> tuple[Float[Tensor, "images tokens inputs"], Float[Tensor, "images slots tokens"]]:
        """Return the tokens that slots stand for, and how they share them."""
        drawn = self.decoder(slots[:, :, None] + self.where).float()
        shares = drawn[..., -1].softmax(1)
        return (drawn[..., :-1] * shares[..., None]).sum(1), shares

    def loss(self, tokens: Float[Tensor, "images tokens inputs"]) -> Float[Tensor, ""]:
        """Return the squared error of the rebuilt tokens."""
        return nn.functional.mse_loss(self.decode(self.encode(tokens))[0], tokens)


class FeatureSlotEncoder:
    """Frozen features and trained slots: an `Encoder` that also says where each slot lies."""

    def __init__(self, features: InnerTokens, model: FeatureAutoencoder) -> None:
        self.features, self.model = features.eval(), model.eval().requires_grad_(False)
        self.slot_dim = model.where.shape[3]

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Check the image size and move to the device."""
        check_image_size(spec, self.model.image_hw)
        self.features.to(device)
        self.model.to(device)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return slots and how they share the pixels."""
        slots = self.model.encode(self.features.standard(self.features(images)))
        shares = self.model.decode(slots)[1]
        shares = shares.reshape(*shares.shape[:2], *self.model.grid)
        masks = nn.functional.interpolate(shares, self.model.image_hw, mode="bilinear")
        return SlotOutput(slots=slots, masks=masks.clamp(0, 1))
