"""Autoencoder on known slots, with any decoder, read directly and after search.

An encoder learns the factors of in-combination images, and a decoder learns to draw these images
from their true slots (the weakly supervised regime: latents are given). The result is an inverter,
so the harness reads it without search (0 steps) and with search. Rows that are compared for their
decoder differ in `SlotAutoencoder.kind`. All of them give pixels near objects more weight, but only
decoders that composite or place objects learn from instance masks besides, by a cross-entropy and
by the fit of the placement. With ``mask_weight=0`` none does any of this, and the decoder is the
only difference.

Another decoder is one subclass with one method, `SlotAutoencoder.decoder_network`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from recombine.baselines.nn.attention_decoder import warm_up
from recombine.baselines.nn.build import DecoderKind, build_decoder
from recombine.baselines.nn.compositing import squared_error
from recombine.baselines.nn.decoders import Compositor, initialise
from recombine.baselines.nn.losses import mask_loss, object_weights
from recombine.baselines.nn.slots import layout_of
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Precision,
    Schedule,
    Sizes,
    autocast,
    budget_share,
    cached_stage,
    deadline_of,
    endless,
    seeded,
    stage_identity,
    train,
)
from recombine.baselines.training.search import CANDIDATES, Inversion, SearchSettings, select_search
from recombine.baselines.training.slot_encoder import (
    Recognition,
    first_count,
    first_images,
    train_recognition,
)

if TYPE_CHECKING:
    from recombine.baselines.nn.slots import SlotLayout
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

SOURCE = "arXiv 2512.08854, Eq. 4.3 (search) and Eq. 4.4 (replay)"
PAPER = "https://arxiv.org/abs/2512.08854"
NOTE = (
    "Reimplementation; details of the paper's Appendix B unseen. Weakly supervised slots: the "
    "decoder is trained from the true latents of in-combination images (not a VAE), convolutional "
    "encoder from scratch. "
)


# Settings that play no part in stage 1.
LATER = ("candidates", "selection_images", "size", "cache_dir")
_ENCODER = Schedule(steps=300)
_DECODER = Schedule(steps=500, batch_size=32, rate=5e-3, weight_decay=0.001)


@dataclass(frozen=True)
class SlotAutoencoder:
    """Settings of an autoencoder on known slots; ``fit`` trains it."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {
            "width": 32,
            "layers": 1,
            "decoder_width": 8,
            "encoder": Schedule(steps=12, batch_size=16),
            "decoder": Schedule(steps=12, batch_size=16, rate=5e-3, weight_decay=0.001),
            "candidates": (SearchSettings(steps=3),),
            "selection_images": 16,
        },
        "cpu": {},
        "gpu": {
            "width": 256,
            "layers": 4,
            "decoder_width": 128,
            "encoder": Schedule(steps=20_000, batch_size=256, compile=True),
            "decoder": Schedule(
                steps=30_000, batch_size=128, rate=1e-3, weight_decay=0.001, compile=True
            ),
            "selection_images": 512,
        },
    }

    kind: DecoderKind = "patch"  # the decoder; see `build_decoder`
    width: int = 64  # of the encoder
    layers: int = 2  # of the encoder
    pose_weight: float = 0.3  # of continuous factors in the encoder's loss
    decoder_width: int = 32  # channels of the decoder's networks
    # weight of pixels near an object in the decoder's loss, where masks are served
    object_weight: float = 4.0
    # weight of the mask cross-entropy against 100 times the squared pixel error, for decoders that
    # composite; 0 trains any decoder without masks: no pixel weights, no placement from them
    mask_weight: float = 0.5
    light: bool = True  # the background tints the objects, in decoders that place them
    closed_form: bool = True  # background pictures start at their least-squares solution
    encoder: Schedule = _ENCODER
    decoder: Schedule = _DECODER
    precision: Precision = "bf16"  # arithmetic of the networks
    # search settings to choose from by ID recovery
    candidates: tuple[SearchSettings, ...] = CANDIDATES
    selection_images: int = 96  # validation images for that choice
    size: str = "cpu"  # named size that these settings came from; set by `load_baseline`
    # where the trained stage is stored and found again. Not part of the method's identity
    cache_dir: Path | None = field(default=None, compare=False)

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> Inversion:
        """Train encoder and decoder, then choose search settings on validation images."""
        share = budget_share(budget, self.images(data))
        with seeded(seed):
            model = self.stage(data, seed=seed, share=share, log=log, deadline=deadline_of(budget))
            return self.inversion(model, val, seed=seed, log=log)

    def decoder_network(
        self, layout: SlotLayout, image_hw: tuple[int, int], objects: tuple[int, ...]
    ) -> nn.Module:
        """Return the untrained decoder of slots to `Layers`; rows with their own override this."""
        return build_decoder(
            self.kind, layout, image_hw, self.decoder_width, light=self.light, objects=objects
        )

    def images(self, data: TrainData) -> int:
        """Return how many real images stage 1 sees, with repetition."""
        return self.encoder.images + self.decoder.images + len(data)

    def stage(
        self,
        data: TrainData,
        *,
        seed: int,
        share: float,
        log: RunLog,
        deadline: float | None = None,
    ) -> SlotModel:
        """Return stage 1, trained here or read from ``cache_dir``."""
        model = SlotModel(self, data)

        def build() -> dict[str, Tensor]:
            model.train_stage(data, seed=seed, share=share, log=log, deadline=deadline)
            return model.state_dict()

        # A run that may be cut short by the clock is not reproducible, so it is not shared.
        cache_dir = self.cache_dir if deadline is None else None
        identity: dict[str, Any] = {}
        if cache_dir is not None:
            identity = stage_identity(self, LATER, data, seed=seed, share=share)
        before = data.images_served
        tensors, cached = cached_stage(cache_dir, identity, build, log)
        if cached:
            model.load_state_dict(tensors)
            data.count_again(self._served(data, share) - (data.images_served - before))
        return model

    def _served(self, data: TrainData, share: float) -> int:
        size = min(self.encoder.batch_size, len(data)), min(self.decoder.batch_size, len(data))
        steps = self.encoder.within(share).steps, self.decoder.within(share).steps
        return size[0] * steps[0] + size[1] * steps[1] + first_count(data, share)

    def inversion(self, model: SlotModel, val: TrainData, *, seed: int, log: RunLog) -> Inversion:
        """Return the inverter of a trained model, its search settings chosen on ``val``."""
        settings = select_search(
            model.recognition,
            model.decoder,
            val,
            precision=self.precision,
            seed=seed,
            log=log,
            candidates=self.candidates,
            images=self.selection_images,
        )
        return Inversion(model.recognition, model.decoder, settings, self.precision)


class SlotModel(nn.Module):
    """Encoder and decoder of one autoencoder, and how the two are trained."""

    def __init__(self, settings: SlotAutoencoder, data: TrainData) -> None:
        super().__init__()
        self.settings = settings
        layout, image_hw = layout_of(data.spec), data.spec.image_hw
        self.recognition = Recognition(
            layout,
            image_hw,
            width=settings.width,
            layers=settings.layers,
            pose_weight=settings.pose_weight,
            precision=settings.precision,
        )
        self.decoder = settings.decoder_network(layout, image_hw, layout.posed)

    def train_stage(
        self,
        data: TrainData,
        *,
        seed: int,
        share: float,
        log: RunLog,
        deadline: float | None = None,
    ) -> None:
        """Train both halves; the arguments are those of `SlotAutoencoder.stage`."""
        settings, recognition = self.settings, self.recognition
        first = first_images(data, first_count(data, share), seed)
        recognition.standardise(first)
        schedule = settings.encoder.within(share)
        train_recognition(recognition, data, schedule, seed=seed, log=log, deadline=deadline)
        if isinstance(self.decoder, Compositor):
            masks = first.masks if settings.mask_weight > 0 else None
            targets = recognition.targets(first.factors)
            initialise(self.decoder, targets, first.images, masks, background=settings.closed_form)
        schedule = settings.decoder.within(share)
        warm_up(self.decoder, schedule.steps)
        batches = endless(data, schedule.batch_size, schedule.steps, seed + 5_000)
        loss, name = self.decoder_loss, "decoder"
        train(self.decoder, loss, batches, schedule, log=log, name=name, deadline=deadline)

    def decoder_loss(self, batch: Batch) -> Tensor:
        """Return 100 times the pixel error at the true slots, plus mask loss and penalty."""
        settings = self.settings
        with autocast(settings.precision, batch.images.device.type):
            layers = self.decoder(self.recognition.targets(batch.factors))
        masks = batch.masks if settings.mask_weight > 0 else None
        weights = None if masks is None else object_weights(masks, settings.object_weight)
        error = 100 * squared_error(layers.image, batch.images, weights).mean()
        if masks is not None and layers.opacity is not None:
            error = error + settings.mask_weight * mask_loss(layers.opacity, masks)
        return error if layers.penalty is None else error + layers.penalty
