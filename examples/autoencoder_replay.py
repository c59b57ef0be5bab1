"""An autoencoder on given slots, with replay and search: the row `autoencoder-replay` in one file.

1. An encoder learns the labels of in-combination images, and a decoder to draw these images from
   their labels: a small picture of the object, put at its pose, over a picture of the background.
2. Replay (arXiv 2512.08854, Eq. 4.4): slots of different images are recombined and decoded, and
   the encoder learns to read these pictures as well, beside real ones.
3. Search (Eq. 4.3): the decoder is inverted for an image, from the encoder's guess.

The encoder is plainer than the row's, the search has one setting, and scenes one object. Letters in
shapes: B images, K = 2 slots, D columns of the longer one. A scene is a row of F columns, O first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from types import SimpleNamespace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from recombine import MethodCard, RunLog, SlotOutput, SplitSpec, TrainBudget

if TYPE_CHECKING:
    from recombine.benchmark.serving.data import Batch, TrainData


class Labels:
    """How the labels of a scene become a row of columns; a number takes one, a class several."""

    def __init__(self, spec: SplitSpec) -> None:
        self.factors, self.widths, slots = [], [], {}  # columns of every factor, and slot
        reads = {"categorical": [Tensor.long], "angle": [Tensor.cos, Tensor.sin]}
        for key, name in spec.factors.items():  # such as "object.shape": "categorical[4]"
            kind, slot = name.partition("[")[0], key.partition(".")[0]
            for function in reads.get(kind, [Tensor.float]):
                self.factors.append((key, function))
                self.widths.append(int(name[12:-1]) if kind == "categorical" else 1)
                slots[slot] = slots.get(slot, 0) + self.widths[-1]
        if [f"{slot}.x" in spec.factors for slot in slots] != [True, False]:
            raise ValueError(f"expected slots of an object and a background, got {list(slots)}")
        self.slots = list(slots.values())  # O, F - O
        self.mean, self.spread = torch.zeros(sum(self.widths)), torch.ones(sum(self.widths))

    def write(self, factors: Mapping[str, Tensor]) -> Tensor:
        """Return rows (B, F) of labels that are (B,) each: one-hot, and standardised numbers."""
        parts = []
        for (key, function), width in zip(self.factors, self.widths):
            x = function(factors[key])
            parts.append(functional.one_hot(x, width).float() if width > 1 else x[:, None])
        return (torch.cat(parts, dim=1) - self.mean) / self.spread

    def activate(self, raw: Tensor) -> Tensor:
        """Return rows (B, F) of an encoder's outputs or search variables (B, F)."""
        parts = raw.split(self.widths, dim=1)
        return torch.cat([x.softmax(dim=1) if x.shape[1] > 1 else x for x in parts], dim=1)

    def loss(self, raw: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of an encoder's outputs (B, F) against rows (B, F)."""
        losses = [
            functional.cross_entropy(x, y) if x.shape[1] > 1 else 0.3 * (x - y).square().mean()
            for x, y in zip(raw.split(self.widths, dim=1), rows.split(self.widths, dim=1))
        ]
        return torch.stack(losses).sum()


def encoder_of(image_hw: tuple[int, int], columns: int, width: int = 64) -> nn.Sequential:
    """Return a network from images (B, 3, H, W) to columns (B, F)."""
    cells = math.prod(-(-edge // 8) for edge in image_hw)
    return nn.Sequential(
        nn.Conv2d(3, width // 2, 5, 2, 2, bias=False), nn.BatchNorm2d(width // 2), nn.GELU(),
        nn.Conv2d(width // 2, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.GELU(),
        nn.Conv2d(width, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.GELU(),
        nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.GELU(),
        nn.Flatten(), nn.Linear(cells * width, 2 * width), nn.GELU(), nn.Linear(2 * width, columns),
    )  # fmt: skip


class Decoder(nn.Module):
    """Rows to images: the object's small picture, placed, over the background's large one."""

    def __init__(self, slots: list[int], image_hw: tuple[int, int], width: int = 32) -> None:
        super().__init__()
        self.slots, self.image_hw, (one, rest) = slots, image_hw, slots
        self.patch = nn.Sequential(
            nn.Linear(one, 4 * width), nn.GELU(), nn.Linear(4 * width, 32 * width),
            nn.Unflatten(1, (2 * width, 4, 4)), nn.GELU(),
            nn.ConvTranspose2d(2 * width, 2 * width, 4, 2, 1), nn.GELU(),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1), nn.GELU(),
            last := nn.ConvTranspose2d(width, 5, 4, 2, 1),
        )  # fmt: skip
        last.bias.data = torch.tensor([0.5, 0.5, 0.5, 0.0, -2.0])
        self.place = nn.Sequential(nn.Linear(one, 64), nn.GELU(), nn.Linear(64, 3))
        self.features = nn.Sequential(nn.Linear(rest, 64), nn.GELU(), nn.Linear(64, 4))
        self.basis = nn.Parameter(torch.randn(rest + 4, 3 * math.prod(image_hw)) * 1e-3)
        self.light = nn.Parameter(torch.zeros(rest, 3))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return images (B, 3, H, W), opacities (B, H, W) and poses (B, 3) of rows (B, F)."""
        one, rest = rows.split(self.slots, dim=1)  # (B, O) and (B, F - O)
        ground = torch.cat([rest, self.features(rest)], dim=1) @ self.basis  # (B, 3 H W)
        patch = self.patch(one)  # (B, 5, 32, 32): colour, logits of opacity and shadow
        colour = patch[:, :3] * (rest @ self.light).tanh().exp()[:, :, None, None]
        logits = 12 * torch.tanh(patch[:, 3:] / 12) + 6  # so zero, outside the patch, means -6
        pose = self.place(one)  # (B, 3): centre, where the image is -1 to 1, and log half-width
        x, y, half = pose.unbind(dim=1)
        s = (-half).exp()
        to_patch = torch.stack([s, 0 * s, -x * s, 0 * s, s, -y * s], dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(to_patch, [len(rows), 5, *self.image_hw], align_corners=False)
        placed = functional.grid_sample(torch.cat([colour, logits], 1), grid, align_corners=False)
        opacity, shadow = (placed[:, 3:] - 6).sigmoid().split(1, dim=1)  # (B, 1, H, W) each
        ground = ground.view(-1, 3, *self.image_hw) * (1 - shadow)
        return torch.lerp(ground, placed[:, :3], opacity), opacity[:, 0], pose


@dataclass(frozen=True)
class AutoencoderReplay:
    """The settings; the harness calls `fit` once per seed."""

    card: ClassVar[MethodCard] = MethodCard(
        "autoencoder-replay-example",
        "Slot autoencoder with replay, in one file",
        inference="replay",
        supervision="supervised",  # so `fit` is served labels and masks
        generative=True,
    )
    encoder_steps: int = 300
    decoder_steps: int = 500
    replay_steps: int = 300

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> Inverter:
        """Train on in-combination images, to the end; nothing is chosen on `val`."""
        torch.manual_seed(seed)
        labels = Labels(data.spec)
        first = next(iter(data.batches(2048, seed=seed)))
        bank, (one, rest) = labels.write(first.factors), labels.slots  # (n, F)
        number = torch.tensor([w == 1 for w in labels.widths for _ in range(w)])  # (F,)
        labels.mean = bank.mean(dim=0) * number
        labels.spread = torch.where(number, bank.std(dim=0).clamp_min(1e-6), 1.0)
        bank = (bank - labels.mean) / labels.spread
        encoder = encoder_of(data.spec.image_hw, sum(labels.slots))
        decoder = Decoder(labels.slots, data.spec.image_hw)
        # Backgrounds start at the least-squares solution.
        start = torch.linalg.lstsq(bank[:, one:], first.images.flatten(1), driver="gelsd")
        decoder.basis.data[:rest] = start.solution
        ys, xs = ((torch.arange(n) * 2 + 1) / n - 1 for n in data.spec.image_hw)
        at = torch.stack(torch.meshgrid(xs, ys, indexing="xy"))  # (2, H, W)

        def reading(batch: Batch) -> Tensor:
            return labels.loss(encoder(batch.images), labels.write(batch.factors))

        def drawing(batch: Batch) -> Tensor:
            inside = (batch.masks > 0).float()  # (B, H, W)
            share = inside / inside.sum(dim=(1, 2), keepdim=True).clamp_min(1)
            centre = torch.einsum("bhw,chw->bc", share, at)
            variance = torch.einsum("bhw,chw->b", share, at**2) - centre.square().sum(dim=1)
            half = 2.2 * (1.5 * variance).clamp_min(1e-6).sqrt()  # so that shadows fit in
            drawn, opacity, pose = decoder(labels.write(batch.factors))
            pose_error = (pose - torch.cat([centre, half.log()[:, None]], dim=1)).square().mean()
            near = 1 + 3 * functional.max_pool2d(inside[:, None], 5, 1, 2)  # (B, 1, H, W)
            near = near / near.mean(dim=(1, 2, 3), keepdim=True)
            error = (near * (drawn - batch.images).square()).mean()
            mask_error = functional.binary_cross_entropy(opacity, inside)
            return 100 * error + 0.5 * mask_error + pose_error

        def replay(batch: Batch) -> Tensor:
            i, j = torch.randint(len(bank), (2, 48))
            rows = torch.cat([bank[i, :one], bank[j, one:]], dim=1)  # (48, F), recombined
            made = decoder(rows)[0].detach()
            made = (made + 0.02 * torch.randn_like(made)).clamp(0, 1)
            log.count_generated(len(made))
            rows = torch.cat([labels.write(batch.factors), rows])
            return labels.loss(encoder(torch.cat([batch.images, made])), rows)

        for loss, model, steps, size, rate, decay in (
            (reading, encoder, self.encoder_steps, 64, 3e-3, 0.1),
            (drawing, decoder, self.decoder_steps, 32, 5e-3, 0.001),
            (replay, encoder, self.replay_steps, 16, 3e-3, 0.1),
        ):
            adam = torch.optim.AdamW(model.parameters(), weight_decay=decay)
            how = {"pct_start": 0.1, "cycle_momentum": False}  # warm-up, then a cosine
            rates = torch.optim.lr_scheduler.OneCycleLR(adam, rate, steps, **how)
            epochs = (data.batches(size, seed=seed + e, drop_last=True) for e in count())
            for step, batch in zip(range(steps), chain.from_iterable(epochs)):
                adam.zero_grad()
                value = loss(batch)
                value.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                adam.step()
                rates.step()
                log.scalar(loss.__name__, value.item(), step)
        return Inverter(labels, encoder, decoder)


class Inverter:
    """What the harness asks: the encoder's guess, and after every `step` a better one."""

    def __init__(self, labels: Labels, encoder: nn.Module, decoder: Decoder) -> None:
        self.labels, self.slot_dim = labels, max(labels.slots)  # D
        self.models = nn.ModuleList([encoder, decoder]).eval().requires_grad_(False)
        self.encoder, self.decoder = self.models
        self.sizes = torch.tensor([0.4 if w > 1 else 0.03 for w in labels.widths for _ in range(w)])

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Move to the device; called once, before any image."""
        self.models.to(device)
        self.sizes = self.sizes.to(device)

    def init(self, images: Tensor) -> SimpleNamespace:
        """Return the encoder's guess, its probabilities mixed with the uniform distribution."""
        best = self.labels.activate(self.encoder(images))  # (B, F)
        parts = best.split(self.labels.widths, dim=1)
        parts = [(0.8 * x + 0.2 / x.shape[1]).log() if x.shape[1] > 1 else x for x in parts]
        start, error = torch.cat(parts, dim=1), torch.full_like(best[:, 0], torch.inf)
        moved = torch.zeros_like(best, requires_grad=True)  # from the start, in sizes of steps
        adam = torch.optim.Adam([moved], 1.0, (0.9, 0.99), eps=1e-12)
        return SimpleNamespace(start=start, moved=moved, adam=adam, done=0, best=best, error=error)

    def step(self, images: Tensor, state: SimpleNamespace) -> SimpleNamespace:
        """Make one Adam step on every image's own error, and keep its best row so far."""
        rows = self.labels.activate(state.start + self.sizes * state.moved)
        errors = (self.decoder(rows)[0] - images).square().mean(dim=(1, 2, 3))  # (B,)
        better = errors.detach() < state.error
        state.best = torch.where(better[:, None], rows.detach(), state.best)
        state.error = torch.where(better, errors.detach(), state.error)
        rate = 0.55 + 0.45 * math.cos(math.pi * min(state.done / 30, 1))
        state.adam.param_groups[0]["lr"] = rate
        state.adam.zero_grad()
        errors.sum().backward()
        state.adam.step()
        state.done += 1
        return state

    def read(self, state: SimpleNamespace) -> SlotOutput:
        """Return the slots (B, K, D) of the best rows; the shorter one ends with zeros."""
        parts = state.best.split(self.labels.slots, dim=1)
        padded = [functional.pad(x, (0, self.slot_dim - x.shape[1])) for x in parts]
        return SlotOutput(slots=torch.stack(padded, dim=1))

    @torch.no_grad()
    def decode(self, slots: Tensor) -> Tensor:
        """Return images (B, 3, H, W) of slots (B, K, D)."""
        parts = [slots[:, k, :columns] for k, columns in enumerate(self.labels.slots)]
        return self.decoder(torch.cat(parts, dim=1))[0].clamp(0, 1)
