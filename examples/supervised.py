"""A supervised slot encoder: the row `supervised` of the baselines in one file.

    image -> convolutions -> tokens -> one learned query per slot -> slots -> a head per slot

It learns the labels of all factors of in-combination images, and answers in one pass; nothing is
generated. The slots are what is scored, the heads are there for the loss only.
Letters in shapes: B images, K slots, C channels of tokens and slots, N tokens, F label columns.

    recombine score examples/supervised.py:Supervised --data runs/smoke --seeds 2
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from recombine import MethodCard, RunLog, SlotOutput, SplitSpec, TrainBudget

if TYPE_CHECKING:  # what `fit` is served, never made here
    from recombine.benchmark.serving.data import TrainData


class Labels:
    """The labels of a scene as one row of F columns: factor after factor, slot after slot."""

    def __init__(self, spec: SplitSpec) -> None:
        # "object.shape": "categorical[4]" is a one-hot vector of four columns, "object.yaw":
        # "angle[rad]" a cosine and a sine, "object.x": "float[m]" one standardised column.
        self.keys = list(spec.factors)
        self.kinds = [kind.partition("[")[0] for kind in spec.factors.values()]
        self.widths = [
            int(kind[len("categorical[") : -1]) if kind.startswith("categorical") else 1
            for kind in spec.factors.values()
        ]
        self.widths = [w + (kind == "angle") for w, kind in zip(self.widths, self.kinds)]
        slots: dict[str, list[str]] = {}  # its factors
        self.slots: dict[str, int] = {}  # its columns; "object" is the slot of "object.shape"
        for key, width in zip(self.keys, self.widths):
            slot, _, factor = key.partition(".")
            slots.setdefault(slot, []).append(factor)
            self.slots[slot] = self.slots.get(slot, 0) + width
        if len(set(map(tuple, slots.values()))) < len(slots):
            raise ValueError(
                f"supervised example: expected slots with different factors, got {list(slots)}; "
                "use the row `supervised`, which matches equal objects"
            )
        self.mean, self.spread = torch.zeros(sum(self.widths)), torch.ones(sum(self.widths))

    def standardise(self, factors: Mapping[str, Tensor]) -> None:
        """Set the scale of continuous columns from the labels of many images."""
        rows, free = self.write(factors), torch.tensor([k == "float" for k in self.kinds])
        free = free.repeat_interleave(torch.tensor(self.widths))  # (F,)
        self.mean = torch.where(free, rows.mean(dim=0), 0.0)
        self.spread = torch.where(free, rows.std(dim=0).clamp_min(1e-6), 1.0)

    def write(self, factors: Mapping[str, Tensor]) -> Tensor:
        """Return rows (B, F) of labels that are (B,) each."""
        parts = []
        for key, kind, width in zip(self.keys, self.kinds, self.widths):
            x = factors[key]
            if kind == "categorical":
                parts.append(functional.one_hot(x, width).float())  # (B, width)
            else:
                parts.append(torch.stack([x.cos(), x.sin()] if kind == "angle" else [x], dim=1))
        return (torch.cat(parts, dim=1) - self.mean) / self.spread

    def loss(self, raw: Tensor, rows: Tensor, pose_weight: float) -> Tensor:
        """Return the loss of an encoder's columns (B, F) against rows (B, F)."""
        total = raw.new_zeros(())
        parts = zip(self.kinds, raw.split(self.widths, dim=1), rows.split(self.widths, dim=1))
        for kind, guess, true in parts:  # (B, width) each
            if kind == "categorical":
                total = total + functional.cross_entropy(guess, true)
            else:
                total = total + pose_weight * (guess - true).square().sum(dim=1).mean()
        return total


class SlotEncoder(nn.Module):
    """Image to slots, and to the label columns that a head per slot reads from them."""

    def __init__(
        self, image_hw: tuple[int, int], columns: list[int], width: int, layers: int
    ) -> None:
        super().__init__()
        stem: list[nn.Module] = []
        sizes = (3, width // 2, width, width, width)
        for i, (kernel, stride) in enumerate(((5, 2), (3, 2), (3, 2), (3, 1))):
            # Without batch normalisation shape is learned several times more slowly than texture.
            conv = nn.Conv2d(sizes[i], sizes[i + 1], kernel, stride, kernel // 2, bias=False)
            stem += [conv, nn.BatchNorm2d(sizes[i + 1]), nn.GELU()]
        self.stem = nn.Sequential(*stem)
        tokens = math.prod(-(-edge // 8) for edge in image_hw)  # N: 64 of an image of 64 x 64
        self.position = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(len(columns), width) * 0.5)
        # A layer of queries: they look at one another, at the tokens, and pass a network.
        layer = nn.TransformerDecoderLayer(
            width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.look = nn.TransformerDecoder(layer, layers, nn.LayerNorm(width))
        self.heads = nn.ModuleList(nn.Linear(width, n) for n in columns)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return slots (B, K, C) and label columns (B, F) of images (B, 3, H, W)."""
        grid = self.stem((images - 0.5) * 4)  # (B, C, H / 8, W / 8)
        tokens = self.norm(grid.flatten(2).transpose(1, 2) + self.position)  # (B, N, C)
        slots = self.look(self.queries.expand(len(images), -1, -1), tokens)  # (B, K, C)
        return slots, torch.cat([h(slots[:, k]) for k, h in enumerate(self.heads)], dim=1)


@dataclass(frozen=True)
class Supervised:
    """The settings; the harness calls `fit` once per seed. A changed setting is another run."""

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised-example",
        name="Supervised slot encoder, in one file",
        supervision="supervised",  # so `fit` is served the labels of all factors
        source="arXiv 2512.08854, Section 5 (supervised encoder arm)",
    )
    width: int = 64  # C
    layers: int = 2
    pose_weight: float = 0.3  # of squared errors against the cross-entropy of categorical factors
    steps: int = 300
    batch_size: int = 64
    rate: float = 3e-3  # peak, after a tenth of the steps; then a cosine to zero
    decay: float = 0.1

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> FittedEncoder:
        """Train on in-combination images, to the end; nothing is chosen on `val`."""
        torch.manual_seed(seed)
        labels = Labels(data.spec)
        labels.standardise(next(iter(data.batches(2048, seed=seed))).factors)
        columns = list(labels.slots.values())
        model = SlotEncoder(data.spec.image_hw, columns, self.width, self.layers)
        optimiser = torch.optim.AdamW(model.parameters(), weight_decay=self.decay)
        rates = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, self.rate, self.steps, pct_start=0.1, cycle_momentum=False
        )
        per_epoch = max(1, len(data) // self.batch_size)
        for start in range(0, self.steps, per_epoch):
            # every epoch in an order of its own, without its last, smaller batch
            epoch = data.batches(self.batch_size, seed=seed + start // per_epoch, drop_last=True)
            for step, batch in enumerate(islice(epoch, self.steps - start), start):
                raw = model(batch.images)[1]  # (B, F)
                loss = labels.loss(raw, labels.write(batch.factors), self.pose_weight)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                rates.step()
                if step % 20 == 0:
                    log.scalar("loss", loss.item(), step)
        return FittedEncoder(model)


class FittedEncoder:
    """What the harness asks: an `Encoder`."""

    def __init__(self, model: SlotEncoder) -> None:
        self.model = model.eval()  # stored statistics, so images do not see one another
        self.slot_dim = model.queries.shape[1]

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Move to the device; called once, before any image."""
        self.model.to(device)

    def encode(self, images: Tensor) -> SlotOutput:
        """Return slots (B, K, C) of images (B, 3, H, W)."""
        return SlotOutput(slots=self.model(images)[0])
