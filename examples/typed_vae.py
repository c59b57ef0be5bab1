"""A typed variational autoencoder: the row `typed-vae-masks`, and its replay, in one file.

It learns from images and masks of their object, without labels. What a slot may hold is fixed by
the decoder, hence "typed": the object's slot is a pose (3 numbers) and 32 latents of a small
picture that is put there, the background's slot 32 latents of a large one.

1. Encoder and decoder are trained as a variational autoencoder on in-combination images.
2. Replay (arXiv 2512.08854, Eq. 4.4): inferred slots of different images are recombined and
   decoded, and the encoder learns to find them. Of real images it must say what it said before.
3. Search (Eq. 4.3): the decoder is inverted for an image, from the encoder's guess.

`TypedVae` leaves step 2 out. Shapes: B images, K = 2 slots, D = 35 columns; N tokens, C channels.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from itertools import chain, count
from types import SimpleNamespace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from recombine import MethodCard, RunLog, SlotOutput, SplitSpec, TrainBudget

if TYPE_CHECKING:
    from recombine.benchmark.serving.data import Batch, TrainData

CODE = 32  # latents of a slot; the object's first three columns are its pose
UNIT = 0.2  # of a pose column, where the image is -1 to 1, so that poses spread like latents
USED = torch.ones(2, 3 + CODE)  # (K, D): 1 where a column is in use
USED[1, CODE:] = 0
LATENT = USED.clone()  # (K, D): 1 where it is a latent, with a prior, which a pose has not
LATENT[0, :3] = 0


class Encoder(nn.Module):
    """Image to the posterior of its slots: convolutions, then one learned query per slot."""

    def __init__(self, image_hw: tuple[int, int], width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 2, 5, 2, 2, bias=False), nn.BatchNorm2d(width // 2), nn.GELU(),
            nn.Conv2d(width // 2, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.GELU(),
            nn.Conv2d(width, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.GELU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.GELU(),
        )  # fmt: skip
        tokens = math.prod(-(-edge // 8) for edge in image_hw)  # N
        self.position = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.norm, self.queries = nn.LayerNorm(width), nn.Parameter(torch.randn(2, width) * 0.5)
        how = {"activation": "gelu", "batch_first": True, "norm_first": True}
        layer = nn.TransformerDecoderLayer(width, 4, 2 * width, 0.0, **how)
        self.look = nn.TransformerDecoder(layer, 2, nn.LayerNorm(width))
        self.heads = nn.ModuleList(nn.Linear(width, 2 * (3 + CODE)) for _ in range(2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return means (B, K, D) and log variances (B, K, D) of images (B, 3, H, W)."""
        grid = self.stem((images - 0.5) * 4)  # (B, C, H / 8, W / 8)
        tokens = self.norm(grid.flatten(2).transpose(1, 2) + self.position)  # (B, N, C)
        slots = self.look(self.queries.expand(len(images), -1, -1), tokens)  # (B, K, C)
        raw = torch.stack([head(slots[:, k]) for k, head in enumerate(self.heads)], dim=1)
        mean, spread = (raw * USED.repeat(1, 2).to(raw)).chunk(2, dim=2)  # (B, K, D) each
        spread = 8 * ((spread - 4) / 8).tanh()
        x, y, half = (mean[:, 0, :3] / 2).tanh().unbind(dim=1)  # (B,): centre, log half-width
        pose = torch.stack([x, y, 0.9 * half - 0.7], dim=1) / UNIT  # (B, 3)
        return torch.stack([torch.cat([pose, mean[:, 0, 3:]], dim=1), mean[:, 1]], dim=1), spread


def grown(width: int, hw: tuple[int, int], channels: int) -> nn.Sequential:
    """Return a network from latents (B, CODE) to pictures (B, channels, 8 h, 8 w)."""
    return nn.Sequential(
        nn.Linear(CODE, 4 * width), nn.GELU(), nn.Linear(4 * width, 2 * width * math.prod(hw)),
        nn.Unflatten(1, (2 * width, *hw)), nn.GELU(),
        nn.ConvTranspose2d(2 * width, 2 * width, 4, 2, 1), nn.GELU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1), nn.GELU(),
        nn.ConvTranspose2d(width, channels, 4, 2, 1),
    )  # fmt: skip


class Decoder(nn.Module):
    """Slots to images. Neither picture sees the other's slot, but for one gain of the light."""

    def __init__(self, images: Tensor, masks: Tensor, width: int = 32) -> None:
        super().__init__()
        self.hw = tuple(images.shape[2:])
        self.patch = grown(width, (4, 4), 5)  # colour, logits of opacity and shadow
        self.patch[-1].bias.data = torch.tensor([0.5, 0.5, 0.5, 0.0, -2.0])
        # Backgrounds begin as principal pictures of images (n, 3, H, W), their object painted over.
        pixels, hidden = images.flatten(1), (masks > 0)[:, None].expand_as(images).flatten(1)
        filled = pixels
        for _ in range(4):
            mean = filled.mean(dim=0)
            _, values, basis = torch.pca_lowrank(filled - mean, CODE, center=False)
            filled = torch.where(hidden, (filled - mean) @ basis @ basis.T + mean, pixels)
        self.mean = nn.Parameter(mean)  # (3 H W,)
        self.basis = nn.Parameter((basis * values / len(pixels) ** 0.5).T)  # (CODE, 3 H W)
        self.detail = grown(width // 2, tuple(-(-edge // 8) for edge in self.hw), 3)
        nn.init.zeros_(self.detail[-1].weight)
        self.light = nn.Parameter(torch.zeros(CODE, 3))

    def forward(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, H, W) and opacities (B, H, W) of slots (B, K, D)."""
        pose, code, rest = slots[:, 0, :3], slots[:, 0, 3:], slots[:, 1, :CODE]
        ground = (rest @ self.basis + self.mean).view(-1, 3, *self.hw)
        ground = ground + self.detail(rest)[:, :, : self.hw[0], : self.hw[1]]
        patch = self.patch(code)  # (B, 5, 32, 32)
        colour = patch[:, :3] * (rest @ self.light).tanh().exp()[:, :, None, None]
        logits = 12 * torch.tanh(patch[:, 3:] / 12) + 6  # so zero, outside the patch, means -6
        x, y, half = (pose * UNIT).unbind(dim=1)  # (B,) each
        s = (-half.clamp(-3, 0.3)).exp()
        to_patch = torch.stack([s, 0 * s, -x * s, 0 * s, s, -y * s], dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(to_patch, [len(slots), 5, *self.hw], align_corners=False)
        placed = functional.grid_sample(torch.cat([colour, logits], 1), grid, align_corners=False)
        opacity, shadow = (placed[:, 3:] - 6).sigmoid().split(1, dim=1)  # (B, 1, H, W) each
        return torch.lerp(ground * (1 - shadow), placed[:, :3], opacity), opacity[:, 0]


@dataclass(frozen=True)
class TypedVae:
    """The settings; the harness calls `fit` once per seed."""

    card: ClassVar[MethodCard] = MethodCard(
        id="typed-vae-masks-example",
        name="Typed VAE with masks, in one file",
        supervision="weak",  # so `fit` is served masks, and no label
        generative=True,
    )
    steps: int = 2500
    replay_steps: int = 0

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> Inverter:
        """Train on in-combination images, to the end; nothing is chosen on `val`."""
        if data.spec.max_slots != 2:
            raise ValueError(f"expected slots of an object and a background, got {data.spec}")
        torch.manual_seed(seed)
        first = next(iter(data.batches(2048, seed=seed)))
        decoder = Decoder(first.images, first.masks)
        encoder = Encoder(data.spec.image_hw)
        ys, xs = ((torch.arange(n) * 2 + 1) / n - 1 for n in data.spec.image_hw)
        at = torch.stack(torch.meshgrid(xs, ys, indexing="xy"))  # (2, H, W)

        def drawing(batch: Batch) -> Tensor:
            inside = (batch.masks > 0).float()  # (B, H, W)
            mean, spread = encoder(batch.images)  # (B, K, D) each
            slots = mean + (spread / 2).exp() * torch.randn_like(mean) * LATENT
            drawn, opacity = decoder(slots)
            near = 1 + 7 * functional.max_pool2d(inside[:, None], 5, 1, 2)  # (B, 1, H, W)
            near = near / near.mean(dim=(1, 2, 3), keepdim=True)
            error = (near * (drawn - batch.images).square()).mean()
            prior = (mean.square() + spread.exp() - 1 - spread) * LATENT / 2  # (B, K, D)
            prior = prior.sum(dim=(1, 2)).mean() / drawn[0].numel()  # for a variance of 0.005
            mask_error = functional.binary_cross_entropy(opacity, inside)
            share = inside / inside.sum(dim=(1, 2), keepdim=True).clamp_min(1)
            centre = torch.einsum("bhw,chw->bc", share, at)
            variance = torch.einsum("bhw,chw->b", share, at**2) - centre.square().sum(dim=1)
            half = 2.2 * (1.5 * variance).clamp_min(1e-6).sqrt()  # 2.2 radii, to fit shadows in
            pose = torch.cat([centre, half.log()[:, None]], dim=1)  # (B, 3)
            pose_error = (mean[:, 0, :3] * UNIT - pose).square().sum(dim=1).mean()
            return 100 * error + prior + 0.5 * mask_error + 2 * pose_error

        def replay(batch: Batch) -> Tensor:
            rows = torch.randint(len(bank), (2, 48))
            made = torch.stack([bank[rows[0], 0], bank[rows[1], 1]], dim=1)  # (48, K, D)
            drawn, said = decoder(made)[0].detach(), before(batch.images)[0]
            log.count_generated(len(drawn))
            drawn = (drawn + 0.02 * torch.randn_like(drawn)).clamp(0, 1)
            found = encoder(torch.cat([batch.images, drawn]))[0]
            return (((found - torch.cat([said, made])) / scale).square() * USED).mean()

        for loss, models, steps, size, peak in (
            (drawing, nn.ModuleList([encoder, decoder]), self.steps, 32, 3e-3),
            (replay, encoder, self.replay_steps, 16, 2e-3),
        ):
            before = copy.deepcopy(encoder).eval().requires_grad_(False)  # as step 1 leaves it
            bank = torch.cat([before(x)[0] for x in first.images.split(256)])  # (n, K, D)
            scale = bank.std(dim=0).clamp_min(0.05)  # (K, D)
            adam = torch.optim.AdamW(models.parameters(), weight_decay=1e-3)
            how = {"pct_start": 0.1, "cycle_momentum": False}  # warm-up, then a cosine
            rates = torch.optim.lr_scheduler.OneCycleLR(adam, peak, steps + 1, **how)
            epochs = (data.batches(size, seed=seed + e, drop_last=True) for e in count())
            for step, batch in zip(range(steps), chain.from_iterable(epochs)):
                adam.zero_grad()
                value = loss(batch)
                value.backward()
                nn.utils.clip_grad_norm_(models.parameters(), 1.0)
                adam.step()
                rates.step()
                log.scalar(loss.__name__, value.item(), step)
        return Inverter(encoder, decoder)


@dataclass(frozen=True)
class TypedVaeReplay(TypedVae):
    """The same, with replay."""

    card: ClassVar[MethodCard] = replace(
        TypedVae.card, id="typed-vae-masks-replay-example", inference="replay"
    )
    replay_steps: int = 600


class Inverter:
    """What the harness asks: the encoder's guess, and after every `step` a better one."""

    slot_dim = 3 + CODE

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        self.models = nn.ModuleList([encoder, decoder]).eval().requires_grad_(False)
        self.encoder, self.decoder = self.models

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Move to the device; called once, before any image."""
        self.models.to(device)

    def init(self, images: Tensor) -> SimpleNamespace:
        """Return the encoder's guess, and Adam to improve it."""
        start = self.encoder(images)[0]  # (B, K, D)
        slots = start.clone().requires_grad_()
        adam = torch.optim.Adam([slots], betas=(0.9, 0.99), eps=1e-12)
        error = torch.full_like(start[:, 0, 0], torch.inf)  # (B,)
        return SimpleNamespace(slots=slots, adam=adam, done=0, best=start, error=error)

    def step(self, images: Tensor, state: SimpleNamespace) -> SimpleNamespace:
        """Make one step down every image's own error, and keep its best slots so far."""
        errors = (self.decoder(state.slots)[0] - images).square().mean(dim=(1, 2, 3))  # (B,)
        better = errors.detach() < state.error
        state.best = torch.where(better[:, None, None], state.slots.detach(), state.best)
        state.error = torch.where(better, errors.detach(), state.error)
        cosine = math.cos(math.pi * min(state.done / 30, 1))
        state.adam.param_groups[0]["lr"] = 0.055 + 0.045 * cosine
        state.adam.zero_grad()
        errors.sum().backward()
        state.adam.step()
        state.done += 1
        return state

    def read(self, state: SimpleNamespace) -> SlotOutput:
        """Return the best slots (B, K, D)."""
        return SlotOutput(slots=state.best)

    @torch.no_grad()
    def decode(self, slots: Tensor) -> Tensor:
        """Return images (B, 3, H, W) of slots (B, K, D)."""
        return self.decoder(slots)[0].clamp(0, 1)
