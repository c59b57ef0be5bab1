"""Segment, then encode: what masks give to an encoder that draws nothing.

A small U-Net learns the instance masks of in-combination images. Each object slot then encodes the
crop under its *predicted* mask and nothing else, and the frame slots (background) encode the image
without the objects. One pass, no decoder at test time, nothing generated: this row has the masks
and the modular structure of the compositing rows, so what these score above it is what inverting a
decoder adds. The argument is that of OCCAM (Rubinstein et al. 2025, arXiv 2504.07092).

    m = U-Net(x),   s_object = E_o(x * m, cropped along m),   s_frame = E_f(x * (1 - m'))

with m' the union of the masks, dilated. With labels, linear heads read the factors from the slots
(the loss of `supervised`). Without labels each slot learns to redraw its own input; those decoders
are thrown away after training and never inverted. ``normalise`` takes the mean and the spread of
the crop's colours away, and with them most of the light that the environment throws on the object
(and the object's own colour).

Half of every batch is cut with true masks and half with predicted ones, so that the encoders see
the segmenter's mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from recombine.baselines.nn.conv_decoders import Grow
from recombine.baselines.nn.decoders import moments
from recombine.baselines.nn.losses import mask_loss, matched_masks, slot_loss
from recombine.baselines.nn.slots import (
    SlotLayout,
    activate,
    check_image_size,
    factors_of,
    layout_of,
    slot_vectors,
    standard,
)
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Precision,
    Schedule,
    Sizes,
    autocast,
    budget_share,
    deadline_of,
    endless,
    seeded,
    train,
)
from recombine.baselines.training.slot_encoder import first_count, first_images
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, Supervision
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float, Int

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

CROP = 32  # pixels of an object's crop
MARGIN = 0.73  # half-width of the crop over that of a posed patch, which has room for shadows
DILATION = 9  # pixels at the object's edge hold its shadow and its colour, so the frame loses them


_SEGMENTER = Schedule(steps=400, batch_size=32, weight_decay=0.001)
_ENCODER = Schedule(steps=600, weight_decay=0.01)


@dataclass(frozen=True)
class SegmentThenEncode:
    """Settings of segment-then-encode; ``fit`` trains the segmenter, then the encoders."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {
            "width": 16,
            "segmenter_width": 8,
            "segmenter": Schedule(steps=12, batch_size=16),
            "encoder": Schedule(steps=12, batch_size=16),
        },
        "cpu": {},
        "gpu": {
            "width": 256,
            "segmenter_width": 64,
            "segmenter": Schedule(steps=10_000, batch_size=128, weight_decay=0.001, compile=True),
            "encoder": Schedule(steps=20_000, batch_size=256, weight_decay=0.01, compile=True),
        },
    }

    width: int = 64  # of the slots and of the encoders
    segmenter_width: int = 16  # channels of the U-Net at full resolution
    pose_weight: float = 0.3  # of continuous factors in the encoders' loss, as in `supervised`
    normalise: bool = False  # take the mean and the spread of colours out of the crops
    segmenter: Schedule = _SEGMENTER
    encoder: Schedule = _ENCODER
    precision: Precision = "bf16"  # arithmetic of the networks
    size: str = "cpu"  # named size that these settings came from; set by `load_baseline`
    # "weak" learns from masks alone. Said by the card, so it is no setting
    supervision: Supervision = field(default="supervised", compare=False)

    @property
    def card(self) -> MethodCard:
        """Return the card of the row."""
        weak = self.supervision == "weak"
        return MethodCard(
            id="segment-then-encode" + "-masks" * weak + "-normalised" * self.normalise,
            name="Segment, then encode"
            + ", without labels" * weak
            + ", colours normalised" * self.normalise,
            inference="direct",
            supervision=self.supervision,
            source="arXiv 2504.07092 (object-centric classification behind predicted masks)",
            paper="https://arxiv.org/abs/2504.07092",
            note="Reimplementation of the idea, trained from scratch: U-Net on in-combination "
            "masks, one encoder for the crop under the predicted mask, one for the rest. "
            + (
                "No labels: every slot learns to redraw its own input, its decoder is then dropped."
                if weak
                else "Labels of all factors."
            )
            + " Mean and spread of the crop's colours are removed." * self.normalise,
        )

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> SegmentEncoder:
        """Train the segmenter on masks, then the encoders behind it."""
        del val
        planned = self.segmenter.images + self.encoder.images + min(len(data), 2048)
        share, deadline = budget_share(budget, planned), deadline_of(budget)
        with seeded(seed):
            model = SegmentModel(self, layout_of(data.spec), data.spec.image_hw)
            first = first_images(data, first_count(data, share), seed)
            if first.masks is None:
                raise InvalidInputError(
                    f"{self.card.id}: expected masks to learn from, got none; serve the fields of "
                    "the 'weak' or 'supervised' track"
                )
            if self.supervision == "supervised":
                model.standardise(first.factors)
            schedule = self.segmenter.within(share)
            batches = endless(data, schedule.batch_size, schedule.steps, seed)
            loss = model.segmenter_loss
            train(
                model.segmenter, loss, batches, schedule, log=log, name="masks", deadline=deadline
            )
            model.segmenter.requires_grad_(False)
            schedule = self.encoder.within(share)
            batches = endless(data, schedule.batch_size, schedule.steps, seed + 5_000)
            model.encoders.train()
            loss = model.encoder_loss
            train(
                model.encoders, loss, batches, schedule, log=log, name="encoder", deadline=deadline
            )
        return SegmentEncoder(model)


class SegmentModel(nn.Module):
    """Segmenter, encoders and heads."""

    center: Tensor
    spread: Tensor

    def __init__(
        self, settings: SegmentThenEncode, layout: SlotLayout, image_hw: tuple[int, int]
    ) -> None:
        super().__init__()
        if not layout.posed:
            raise InvalidInputError(
                "segment-then-encode: expected a slot that stands somewhere in the scene (with "
                f"factors x and y), got slots {list(layout.names)}; there is nothing to segment"
            )
        self.settings, self.layout, self.image_hw = settings, layout, image_hw
        self.objects = layout.posed
        self.frames = tuple(k for k in range(layout.count) if k not in layout.posed)
        kinds = [group for group in layout.groups if group[0] in self.objects]
        self.segmenter = UNet(len(self.objects), settings.segmenter_width)
        self.encoders = Encoders(
            settings.width,
            image_hw,
            frames=len(self.frames),
            kind_of=[kinds.index(next(g for g in kinds if k in g)) for k in self.objects],
            outputs=layout.dim if settings.supervision == "supervised" else 0,
        )
        self.register_buffer("center", torch.zeros(layout.count, layout.dim))
        self.register_buffer("spread", torch.ones(layout.count, layout.dim))

    def standardise(self, factors: Mapping[str, Tensor]) -> None:
        """Set the scale of continuous columns from labelled images."""
        self.center, self.spread = standard(self.layout, slot_vectors(self.layout, factors))

    def segmenter_loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the cross-entropy of every pixel's owner plus the Dice loss of every object."""
        with autocast(self.settings.precision, batch.images.device.type):
            logits = self.segmenter(batch.images)
        assert batch.masks is not None  # noqa: S101 - `fit` has looked
        masks = matched_masks(logits.detach(), batch.masks)
        true = owners(masks, len(self.objects))
        found = shares(logits)
        overlap = 2 * (found * true).sum((2, 3)) + 1
        dice = 1 - overlap / (found.sum((2, 3)) + true.sum((2, 3)) + 1)
        return mask_loss(logits, masks) + dice.mean()

    @torch.no_grad()
    def segment(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images objects height width"]:
        """Return hard masks, one per object slot: the pixels that it owns."""
        logits = self.segmenter(images)
        owner = functional.pad(logits, (0, 0, 0, 0, 1, 0)).argmax(1)
        return owners(owner, len(self.objects))

    def views(
        self,
        images: Float[Tensor, "images 3 height width"],
        masks: Float[Tensor, "images objects height width"],
    ) -> Views:
        """Return what the encoders see."""
        crops, poses = crop(
            images.repeat_interleave(masks.shape[1], 0), masks.flatten(0, 1)[:, None]
        )
        if self.settings.normalise:
            crops = normalised(crops)
        hidden = functional.max_pool2d(masks.amax(1, keepdim=True), DILATION, 1, DILATION // 2)
        free = 1 - hidden
        return Views(
            crops.view(*masks.shape[:2], *crops.shape[1:]),
            poses.view(*masks.shape[:2], -1),
            torch.cat([(images - 0.5) * free, free], dim=1),
        )

    def run(
        self,
        images: Float[Tensor, "images 3 height width"],
        masks: Float[Tensor, "images objects height width"],
    ) -> tuple[Tensor, Tensor, Views]:
        """Return slots in the scene's order, outputs of their heads, and what was seen."""
        views = self.views(images, masks)
        precision: Precision = self.settings.precision if self.training else "float32"
        with autocast(precision, images.device.type):
            things, frames = self.encoders(views)
        things, frames = things.float(), frames.float()
        outputs = self.encoders.heads(things, frames)
        return self._ordered(things, frames), self._ordered(*outputs), views

    def _ordered(self, things: Tensor, frames: Tensor) -> Tensor:
        """Return vectors of objects and of frames in the scene's order of slots."""
        both = torch.cat([things, frames], dim=1)
        order = [*self.objects, *self.frames]
        return both[:, [order.index(k) for k in range(len(order))]]

    def encoder_loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of labels, or of every slot's own input."""
        assert batch.masks is not None  # noqa: S101 - `fit` has looked
        half = len(batch.images) // 2
        with torch.no_grad():
            found = self.segment(batch.images)
            true = owners(matched_masks(logit(found), batch.masks), len(self.objects))
        masks = torch.cat([true[:half], found[half:]])
        slots, outputs, views = self.run(batch.images, masks)
        if self.settings.supervision != "supervised":
            return self.encoders.redraw_loss(
                slots[:, list(self.objects)], slots[:, list(self.frames)], views
            )
        targets = (slot_vectors(self.layout, batch.factors) - self.center) / self.spread
        return slot_loss(self.layout, outputs, targets, self.settings.pose_weight)


@dataclass(frozen=True)
class Views:
    """What the encoders of a batch see, colours from -0.5 to 0.5 and 0 where hidden."""

    crops: Float[Tensor, "images objects 4 crop crop"]  # colour and mask
    poses: Float[Tensor, "images objects 3"]  # where the crops were, see `moments`
    rest: Float[Tensor, "images 4 height width"]  # the image without objects, and where it is free


class Encoders(nn.Module):
    """One encoder per kind of object, one for the frame, and the heads of all slots."""

    def __init__(
        self,
        width: int,
        image_hw: tuple[int, int],
        *,
        frames: int,
        kind_of: list[int],
        outputs: int,
    ) -> None:
        super().__init__()
        self.kind_of, self.frames = kind_of, frames  # of every object; how many other slots
        kinds = len(set(kind_of))
        self.things = nn.ModuleList(Trunk(4, width, width, extra=3) for _ in range(kinds))
        self.frame = Trunk(4, width, width * max(frames, 1))
        self.head = nn.ModuleList(
            nn.Linear(width, outputs) for _ in range(kinds + frames if outputs else 0)
        )
        self.redraw = nn.ModuleList(
            []
            if outputs
            else [Grow(width, 4, 32, (CROP, CROP)), Grow(width * max(frames, 1), 3, 32, image_hw)]
        )

    def forward(self, views: Views) -> tuple[Tensor, Tensor]:
        """Return object slots and frame slots."""
        things = torch.stack(
            [
                self.things[kind](views.crops[:, k], views.poses[:, k])
                for k, kind in enumerate(self.kind_of)
            ],
            dim=1,
        )
        frames = self.frame(views.rest).unflatten(1, (max(self.frames, 1), -1))
        return things, frames[:, : self.frames]

    def heads(self, things: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs of every slot's head; nothing without labels."""
        if not self.head:
            return things[:, :, :0], frames[:, :, :0]
        count = len(self.things)
        found = [self.head[kind](things[:, k]) for k, kind in enumerate(self.kind_of)]
        rest = [self.head[count + k](frames[:, k]) for k in range(self.frames)]
        nothing = found[0][:, None][:, :0]
        return torch.stack(found, dim=1), torch.stack(rest, dim=1) if rest else nothing

    def redraw_loss(self, things: Tensor, frames: Tensor, views: Views) -> Float[Tensor, ""]:
        """Return 100 times the error of redrawn crops and frame, plus that of the outlines."""
        # noise on the slots keeps what differs by less than it from counting, as a prior would
        things, frames = (s + 0.1 * torch.randn_like(s) for s in (things, frames))
        drawn = self.redraw[0](things.flatten(0, 1))
        seen = views.crops.flatten(0, 1)
        total: Tensor = 100 * (drawn[:, :3] - seen[:, :3]).square().mean()
        total = total + 20 * functional.binary_cross_entropy_with_logits(
            drawn[:, 3:], seen[:, 3:].clamp(0, 1)
        )
        if self.frames:
            rest = self.redraw[1](frames.flatten(1))
            error = (rest - views.rest[:, :3]).square() * views.rest[:, 3:]
            total = total + 100 * error.mean()
        return total + 1e-3 * (things.square().mean() + frames.square().mean())


class SegmentEncoder:
    """A fitted model as a submission: one pass, slots behind predicted masks."""

    def __init__(self, model: SegmentModel) -> None:
        self.model = model.eval()
        self.slot_dim = model.settings.width

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Check the image size and move there."""
        check_image_size(spec, tuple(self.model.image_hw))
        self.model.to(device)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return slots ``(B, K, width)``, predicted masks, and the factors that heads read."""
        model = self.model
        found = model.segment(images)
        slots, outputs, _ = model.run(images, found)
        masks = torch.zeros(len(images), model.layout.count, *images.shape[2:], device=slots.device)
        masks[:, list(model.objects)] = found
        if model.frames:
            masks[:, model.frames[0]] = 1 - found.sum(1)
        factors = None
        if model.settings.supervision == "supervised":
            guess = activate(model.layout, outputs)
            factors = factors_of(model.layout, guess, model.center, model.spread)
        return SlotOutput(slots=slots, factors=factors, masks=masks)


class UNet(nn.Module):
    """Image to one logit per object and pixel, against the background's 0."""

    def __init__(self, objects: int, width: int) -> None:
        super().__init__()
        w = width
        self.down = nn.ModuleList(
            [_conv(3, w, 3, 1), _conv(w, 2 * w, 3, 2), _conv(2 * w, 2 * w, 3, 2)]
        )
        self.deep = _conv(2 * w, 2 * w, 3, 2)
        self.up = nn.ModuleList([_conv(4 * w, 2 * w, 3, 1), _conv(4 * w, w, 3, 1)])
        self.last = _conv(2 * w, w, 3, 1)
        self.out = nn.Conv2d(w, objects, 1)

    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images objects height width"]:
        """Return the logits, float32."""
        grid, kept = (images - 0.5) * 4.0, []
        for layer in self.down:
            grid = layer(grid)
            kept.append(grid)
        grid = self.deep(grid)
        for layer, beside in zip((*self.up, self.last), reversed(kept), strict=True):
            # by the size of what stands beside it, so that odd edges work
            grid = functional.interpolate(grid, beside.shape[2:], mode="nearest")
            grid = layer(torch.cat([grid, beside], dim=1))
        logits: Tensor = self.out(grid)
        return logits.float()


class Trunk(nn.Module):
    """Convolutions to one vector; numbers can be given beside the picture."""

    def __init__(self, channels: int, width: int, outputs: int, extra: int = 0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            _conv(channels, width // 2, 5, 2),
            _conv(width // 2, width, 3, 2),
            _conv(width, width, 3, 2),
            _conv(width, width, 3, 1),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
        )
        self.out = nn.Sequential(
            nn.Linear(16 * width + extra, 2 * width), nn.GELU(), nn.Linear(2 * width, outputs)
        )

    def forward(self, pictures: Tensor, beside: Tensor | None = None) -> Tensor:
        """Return the vectors."""
        found = self.net(pictures * 4.0)
        vectors: Tensor = self.out(found if beside is None else torch.cat([found, beside], dim=1))
        return vectors


def _conv(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
    )


def owners(
    masks: Int[Tensor, "images height width"], objects: int
) -> Float[Tensor, "images objects height width"]:
    """Return one mask of 0 and 1 per object."""
    return torch.stack([(masks == k + 1).float() for k in range(objects)], dim=1)


def shares(
    logits: Float[Tensor, "images objects height width"],
) -> Float[Tensor, "images objects height width"]:
    """Return the probability that a pixel belongs to each object."""
    return functional.pad(logits, (0, 0, 0, 0, 1, 0)).softmax(1)[:, 1:]


def logit(masks: Float[Tensor, "images objects height width"]) -> Tensor:
    """Return logits that stand for hard masks."""
    return (masks - 0.5) * 20


def crop(
    images: Float[Tensor, "n 3 height width"], masks: Float[Tensor, "n 1 height width"]
) -> tuple[Float[Tensor, "n 4 crop crop"], Float[Tensor, "n 3"]]:
    """Cut objects out along their masks, at the masks' centre and size.

    Colours run from -0.5 to 0.5 and are 0 outside the mask. An empty mask gives an empty crop of
    the whole image.
    """
    poses = moments(masks[:, 0] + 1e-6)
    half = (poses[:, 2].exp() * MARGIN).clamp(0.1, 1.0)
    ways = poses.new_zeros(len(images), 2, 3)
    ways[:, 0, 0] = ways[:, 1, 1] = half
    ways[:, :, 2] = poses[:, :2]
    grid = functional.affine_grid(ways, [len(images), 4, CROP, CROP], align_corners=False)
    cut = torch.cat([(images - 0.5) * masks, masks], dim=1)
    return functional.grid_sample(cut, grid, align_corners=False), poses


def normalised(crops: Float[Tensor, "n 4 crop crop"]) -> Float[Tensor, "n 4 crop crop"]:
    """Return crops whose colours have mean 0 and a common spread inside the mask."""
    colours, inside = torch.split(crops, [3, 1], dim=1)
    area = inside.sum((2, 3), keepdim=True).clamp_min(1)
    moved = (colours - (colours * inside).sum((2, 3), keepdim=True) / area) * inside
    spread = (moved.square().sum((1, 2, 3), keepdim=True) / (3 * area)).sqrt()
    return torch.cat([moved / (spread + 0.03) * 0.12, inside], dim=1)
