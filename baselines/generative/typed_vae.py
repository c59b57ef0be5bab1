"""Variational autoencoder with typed slots: an object is a placed patch, the rest a picture.

The model is told which slots are objects and which are not, and nothing else that images do not
show. An object slot holds a pose (centre and size in the image) and 32 codes, which become a small
picture with opacity and shadow, placed at the pose; a frame slot (background) holds 32 codes, which
become a full-size picture: the mean, 32 principal pictures of the training images, and what a
convolutional decoder adds (the camera moves, so a few principal pictures do not suffice). Objects
are composited over the frame. The loss is that of `recombine.baselines.generative.vae`, with the
pose outside the prior, plus a hint that says where objects are:

    weak (masks):   + 0.5 * mask cross-entropy + 2 |pose - moments(mask)|^2, pixels near objects
                    count eightfold
    images only:    + 2 (1 - t / 0.4 T) |pose - moments(r)|^2 for the first 0.4 T steps

with r the error of a low-rank fit of the image (robust principal components): what a few pictures
of backgrounds do not explain. Search, replay and readout are those of every other row on inferred
slots. *Leak* is the control: patch and picture see each other's codes, everything else is equal.

The nearest published relative is DTI-Sprites (Monnier et al. 2021, arXiv 2104.14575): placed,
learned sprites over learned backgrounds. It leans on one object, on its compactness, and, without
masks, on backgrounds that few pictures explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from recombine.baselines.generative.vae import CodeEncoder, Vae, VaeModel, code_layout, divergence
from recombine.baselines.nn.compositing import composite, squared_error
from recombine.baselines.nn.conv_decoders import Grow
from recombine.baselines.nn.decoders import OUTSIDE, Layers, Patch, axes, moments, place
from recombine.baselines.nn.losses import mask_loss, matched_masks, object_weights
from recombine.baselines.nn.slots import layout_of
from recombine.baselines.training.loop import Schedule, Sizes, autocast
from recombine.baselines.training.slot_encoder import first_count, first_images
from recombine.benchmark.protocol.contract import MethodCard
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.benchmark.serving.data import Batch, TrainData

POSE = 3  # columns of an object slot that hold its pose, before its codes
# A pose column counts fifths of half an image: so poses and codes spread alike, and one step size
# of the search serves both.
UNIT = 0.2
# Log half-width of a patch, in halves of the image: the middle of its range and how far it goes
# either way, a fifth to six fifths. Objects of the presets take up a tenth of an image or so.
SIZE, SPAN = -0.7, 0.9
HINTED = 0.4  # share of the training in which the images-only row is told where the residual is


_SCHEDULE = Schedule(steps=2500, batch_size=32, rate=3e-3, weight_decay=0.001)
_REPLAY = Schedule(steps=600, batch_size=16, rate=2e-3, weight_decay=0.001)


@dataclass(frozen=True)
class TypedVae(Vae):
    """Settings of a typed variational autoencoder; ``kind`` is ``patch`` or ``leak``."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {
            **Vae.SIZES["tiny"],
            "rank": 4,
            "schedule": Schedule(steps=8, batch_size=16, rate=2e-3, weight_decay=0.001),
        },
        "cpu": {},
        "gpu": {**Vae.SIZES["gpu"], "dim": 64, "rank": 64},
    }

    dim: int = 32  # codes per slot, and principal pictures
    schedule: Schedule = _SCHEDULE
    replay: Schedule = _REPLAY
    object_weight: float = 8.0  # of pixels near an object, where masks are served
    pose_weight: float = 2.0  # of the squared error between pose and hint
    rank: int = 32  # principal pictures that say what a background is, in the images-only hint

    @property
    def card(self) -> MethodCard:
        """Return the card of the row, with or without replay."""
        weak, leak, replay = self.supervision == "weak", self.kind == "leak", self.replayed > 0
        return MethodCard(
            id="typed-vae" + "-masks" * weak + "-leak" * leak + "-replay" * replay,
            name="Typed VAE" + ", masks" * weak + ", leaking" * leak + " with replay" * replay,
            inference="replay" if replay else "direct",
            supervision=self.supervision,
            source="arXiv 2512.08854, Eq. 4.3 (search) and Eq. 4.4 (replay); arXiv 2104.14575 "
            "(placed sprites over backgrounds)",
            paper="https://arxiv.org/abs/2512.08854",
            note="Control: "
            * leak
            + "Inferred slots. The object slot becomes a placed patch, the background slot a "
            "picture; which slot is which is told, nothing is named."
            + " Trained on instance masks of in-combination images." * weak
            + " Patch and picture see each other's codes." * leak,
            role="control" if leak else "method",
            generative=True,
        )

    def model(self, data: TrainData) -> VaeModel:
        """Return the untrained model."""
        return cast("VaeModel", TypedModel(self, data))

    def prepare(self, model: VaeModel, data: TrainData, *, share: float, seed: int) -> None:
        """Set the pictures to the principal components of some training images."""
        first = first_images(data, first_count(data, share), seed)
        if self.supervision == "weak" and first.masks is None:
            raise InvalidInputError(
                f"{self.card.id}: expected masks to learn from, got none; serve the fields of the "
                "'weak' track"
            )
        typed = cast("TypedModel", model)
        typed.start(first.images, first.masks)
        typed.steps = self.schedule.within(share).steps


@dataclass(frozen=True)
class TypedVaeReplay(TypedVae):
    """The same, its encoder then trained on decoded recombinations of slots."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {**TypedVae.SIZES["tiny"], "replayed": 12},
        "cpu": {},
        "gpu": {**TypedVae.SIZES["gpu"], "replayed": 192},
    }

    replayed: int = 48


class TypedModel(nn.Module):
    """Encoder and decoder of one typed variational autoencoder, and the hint."""

    labels = None
    done: Tensor

    def __init__(self, settings: TypedVae, data: TrainData) -> None:
        super().__init__()
        known, image_hw = layout_of(data.spec), data.spec.image_hw
        if not known.posed or len(known.posed) == known.count:
            raise InvalidInputError(
                "typed-vae: expected slots that stand somewhere (with factors x and y) and others "
                f"that do not, got slots {list(known.names)}; use a row without typed slots"
            )
        self.settings, self.steps = settings, settings.schedule.steps
        self.encoder = TypedEncoder(known.count, known.posed, settings, image_hw)
        self.decoder = TypedDecoder(known.count, known.posed, settings, image_hw)
        self.hint = Residual(settings.rank, image_hw)
        self.register_buffer("done", torch.tensor(0))

    @torch.no_grad()
    def start(self, images: Tensor, masks: Tensor | None) -> None:
        """Set the principal pictures, of the decoder and of the hint."""
        if self.settings.supervision == "weak" and masks is not None:
            hidden = functional.max_pool2d((masks > 0).float()[:, None], 5, 1, 2)[:, 0] > 0
            self.decoder.frame.start(*principal(images, self.settings.dim, hidden))
        else:
            self.hint.start(*principal(images, self.settings.rank))
            self.decoder.frame.start(*principal(images, self.settings.dim))

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of a batch; see the module."""
        settings, encoder = self.settings, self.encoder
        mean, log_variance = encoder.posterior(batch.images)
        noise = (0.5 * log_variance).exp() * torch.randn_like(mean)
        with autocast(settings.precision, batch.images.device.type):
            layers = self.decoder(mean + noise * encoder.free)
        served = batch.masks if settings.supervision == "weak" else None
        weights = None if served is None else object_weights(served, settings.object_weight)
        total = 100 * squared_error(layers.image, batch.images, weights).mean()
        beta = 200 * settings.variance / batch.images[0].numel()
        # columns outside the prior get a variance of 1 and a mean of 0, whose divergence is 0
        total = total + beta * divergence(mean * encoder.free, log_variance * encoder.free)
        poses = mean[:, list(encoder.objects), :POSE] * UNIT
        share = 1.0
        if served is not None:
            masks = matched_masks(layers.opacity.detach(), served)
            total = total + settings.mask_weight * mask_loss(layers.opacity, masks)
            hints = torch.stack(
                [moments((masks == k + 1).float() + 1e-6) for k in range(poses.shape[1])], dim=1
            )
        else:
            share = 1 - float(self.done) / (HINTED * self.steps)
            hints = self.hint(batch.images)[:, None].expand_as(poses) if share > 0 else poses
        self.done += 1
        if share > 0:
            error = (poses - hints).square().sum(2).mean()
            total = total + settings.pose_weight * share * error
        return total


class TypedEncoder(CodeEncoder):
    """Image to a pose and a Gaussian per object, and to a Gaussian per other slot."""

    free: Tensor

    def __init__(
        self, slots: int, objects: tuple[int, ...], settings: TypedVae, image_hw: tuple[int, int]
    ) -> None:
        dim = POSE + settings.dim
        super().__init__(
            settings.encoder_network(slots, 2 * dim, image_hw),
            code_layout(slots, dim),
            image_hw,
            settings.precision,
        )
        self.objects = objects
        free = torch.ones(slots, dim)
        free[list(objects), :POSE] = 0
        free[[k for k in range(slots) if k not in objects], settings.dim :] = 0
        self.register_buffer("free", free)  # 1 where a column is a code

    def posterior(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images slots dim"], Float[Tensor, "images slots dim"]]:
        """Return mean and log-variance of codes; poses lie in the image, and have no variance."""
        raw, log_variance = super().posterior(images)
        where = (0.5 * raw[:, :, : POSE - 1]).tanh()
        size = SPAN * raw[:, :, POSE - 1 : POSE].tanh() + SIZE
        pose = functional.pad(torch.cat([where, size], dim=2) / UNIT, (0, raw.shape[2] - POSE))
        posed = torch.zeros_like(self.free)
        posed[list(self.objects), :POSE] = 1
        return raw * self.free + pose * posed, log_variance


class TypedDecoder(nn.Module):
    """Slots to an image: objects are placed patches over the sum of the frames' pictures."""

    def __init__(
        self, slots: int, objects: tuple[int, ...], settings: TypedVae, image_hw: tuple[int, int]
    ) -> None:
        super().__init__()
        self.image_hw, self.dim, self.leak = image_hw, settings.dim, settings.kind == "leak"
        self.objects = list(objects)
        self.others = [k for k in range(slots) if k not in objects]
        things, frames = len(self.objects) * self.dim, len(self.others) * self.dim
        self.patch = Patch(self.dim + self.leak * frames, settings.decoder_width)
        self.frame = Picture(
            frames, self.leak * things, settings.dim, settings.decoder_width, image_hw
        )
        self.light = nn.Linear(frames, 3, bias=False)
        nn.init.zeros_(self.light.weight)

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Layers:
        """Decode a batch."""
        n, k = len(slots), len(self.objects)
        frames = slots[:, self.others, : self.dim].flatten(1)
        codes = slots[:, self.objects, POSE:]
        picture = self.frame(frames, codes.flatten(1) if self.leak else frames[:, :0])
        seen = codes.flatten(0, 1)
        if self.leak:
            seen = torch.cat([seen, frames.repeat_interleave(k, 0)], dim=1)
        patches = self.patch(seen)
        with torch.autocast(slots.device.type, enabled=False):
            pose = slots[:, self.objects, :POSE].flatten(0, 1) * UNIT
            # a patch below three pixels or above the image has no gradient to come back by
            pose = torch.cat([pose[:, :2], pose[:, 2:].clamp(-3.0, 0.3)], dim=1)
            gain = self.light(frames).tanh().exp().repeat_interleave(k, 0)[:, :, None, None]
            ways = axes(pose, self.image_hw, patches.shape[2])
            colours, logits = patches.split((3, 2), dim=1)
            colours = place(colours * gain, *ways)
            logits = place(logits + OUTSIDE, *ways) - OUTSIDE
            opacity, shadow = logits.view(n, k, *logits.shape[1:]).unbind(2)
            colours = colours.view(n, k, *colours.shape[1:])
            image = composite(picture, colours, opacity, shadow)
        return Layers(image, opacity)


class Picture(nn.Module):
    """Codes to a full-size picture: mean, principal pictures, and a convolutional remainder."""

    mean: Tensor

    def __init__(
        self, codes: int, beside: int, rank: int, width: int, image_hw: tuple[int, int]
    ) -> None:
        super().__init__()
        self.rank, self.image_hw = min(rank, codes), image_hw
        pixels = 3 * image_hw[0] * image_hw[1]
        self.mean = nn.Parameter(torch.full((pixels,), 0.5))
        # held at twice their value, so that a step of the optimiser moves them half as far
        self.basis = nn.Parameter(torch.randn(self.rank, pixels) * 1e-3)
        # the remainder is drawn at half the resolution: principal pictures hold the fine texture
        half = (-(-image_hw[0] // 2), -(-image_hw[1] // 2))
        self.rest = Grow(codes + beside, 3, width, half)

    @torch.no_grad()
    def start(self, mean: Tensor, pictures: Tensor) -> None:
        """Begin at given pictures, of unit code variance."""
        self.mean.copy_(mean)
        self.basis[: len(pictures)] = 2 * pictures[: self.rank]

    def forward(self, codes: Tensor, beside: Tensor) -> Float[Tensor, "images 3 height width"]:
        """Return the pictures."""
        rest = self.rest(torch.cat([codes, beside], dim=1))
        with torch.autocast(codes.device.type, enabled=False):
            flat = codes[:, : self.rank].float() @ (0.5 * self.basis) + self.mean
            fine = functional.interpolate(rest, self.image_hw, mode="bilinear")
            return flat.view(-1, 3, *self.image_hw) + fine


class Residual(nn.Module):
    """Where an image is not what low-rank backgrounds explain: the pose of the one thing there."""

    mean: Tensor
    pictures: Tensor

    def __init__(self, rank: int, image_hw: tuple[int, int]) -> None:
        super().__init__()
        pixels = 3 * image_hw[0] * image_hw[1]
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("pictures", torch.zeros(rank, pixels))

    def start(self, mean: Tensor, pictures: Tensor) -> None:
        """Take the pictures, as directions of length 1."""
        self.mean.copy_(mean)
        self.pictures[: len(pictures)] = functional.normalize(pictures, dim=1)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images 3"]:
        """Return the pose of what is left over."""
        error = residual(images, self.mean, self.pictures)
        strong = error * (error > 4 * error.mean(dim=(1, 2), keepdim=True))
        return moments(strong + 1e-6)


def residual(
    images: Float[Tensor, "images 3 height width"], mean: Tensor, directions: Tensor
) -> Float[Tensor, "images height width"]:
    """Return the squared error of a projection on orthonormal pictures, smoothed over 3 pixels."""
    flat = images.flatten(1) - mean
    left = (flat - (flat @ directions.T) @ directions).view_as(images)
    error = left.square().sum(1, keepdim=True)
    return functional.avg_pool2d(error, 3, 1, 1)[:, 0]


@torch.no_grad()
def principal(
    images: Float[Tensor, "images 3 height width"],
    rank: int,
    hidden: Int[Tensor, "images height width"] | None = None,
    rounds: int = 4,
) -> tuple[Float[Tensor, " pixels"], Float[Tensor, "rank pixels"]]:
    """Return mean and principal pictures of backgrounds, robust to what stands before them."""
    # Pixels that are hidden (or, unknown, that the last fit misses) are replaced by the fit, and
    # the fit is repeated: an iteratively reweighted principal component analysis with weights 0, 1.
    flat = images.flatten(1)
    filled = flat.clone()
    rank = min(rank, len(images) - 1)
    mean, directions, spread = flat.mean(0), flat[:0], flat[:0]
    for _ in range(rounds):
        mean = filled.mean(0)
        # drawn from PyTorch's global generator, which `seeded` has set
        _, singular, basis = torch.pca_lowrank(filled - mean, q=rank, center=False, niter=2)
        directions, spread = basis.T, singular / len(images) ** 0.5
        fit = ((flat if hidden is None else filled) - mean) @ basis @ basis.T + mean
        out = hidden
        if out is None:
            missed = (residual(images, mean, directions) > 0.02).float()[:, None]
            out = functional.max_pool2d(missed, 5, 1, 2)[:, 0] > 0
        filled = torch.where(out[:, None].expand_as(images).flatten(1), fit, flat)
    return mean, directions * spread[:, None]
