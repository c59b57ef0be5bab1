"""Autoencoder with a slot-wise decoder, inverted by search, with or without replay.

Stage 1 (shared): an encoder learns the factors of in-combination images, and a decoder learns to
draw these images from their true slots (the weakly supervised regime: latents are given).
`Autoencoder` stops there. `AutoencoderReplay` goes on: it recombines slots of different
training images, decodes them with the frozen decoder and trains the encoder on the results.
Both return an inverter, so the harness reads them without search (0 steps) and with search.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from recombine.baselines.blend import squared_error
from recombine.baselines.decoders import Compositor, initialise
from recombine.baselines.inverter import CANDIDATES, Inversion, SearchSettings, select_search
from recombine.baselines.loop import (
    Precision,
    Schedule,
    autocast,
    budget_share,
    cached_stage,
    endless,
    fingerprint,
    seeded,
    train,
)
from recombine.baselines.losses import mask_loss, object_weights, recombine
from recombine.baselines.recognition import Recognition, first_images, train_recognition
from recombine.baselines.slots import layout_of, slot_vectors, standard
from recombine.benchmark.protocol import MethodCard

if TYPE_CHECKING:
    from recombine.benchmark.data import Batch, TrainData
    from recombine.benchmark.protocol import RunLog, TrainBudget

_SOURCE = "arXiv 2512.08854, Eq. 4.3 (search) and Eq. 4.4 (replay)"
_NOTE = (
    "Reimplementation; details of the paper's Appendix B unseen. Weakly supervised slots: the "
    "decoder is trained from the true latents of in-combination images (not a VAE), convolutional "
    "encoder from scratch, posed-patch decoder with alpha compositing."
)

_ENCODER = Schedule(steps=300)
_DECODER = Schedule(steps=500, batch_size=32, rate=5e-3, weight_decay=0.001)
_REPLAY = Schedule(steps=300, batch_size=16)


@dataclass(frozen=True)
class Autoencoder:
    """Settings of the autoencoder; ``fit`` trains it.

    Attributes
    ----------
    width, layers, pose_weight
        The encoder; see `recombine.baselines.recognition.Recognition`.
    decoder_width : int
        Channels of the decoder's patch network.
    object_weight : float
        Weight of pixels near an object in the decoder's loss, where masks are served.
    mask_weight : float
        Weight of the mask cross-entropy against 100 times the squared pixel error; 0 trains
        without masks.
    light : bool
        Let the background scale the objects' colours; see
        `recombine.baselines.decoders.Compositor`. Environments of real renders differ in
        exposure; without it, objects keep the exposure of the environments they were seen in.
        Chosen on in-combination images alone: it lowers the decoder's error on an ID cell that
        its training left out.
    encoder, decoder : Schedule
        Optimiser settings of the two halves.
    precision : {"bf16", "float32"}
        Arithmetic of the networks.
    candidates : tuple of SearchSettings
        Search settings to choose from by ID recovery.
    selection_images : int
        Validation images for that choice.
    cache_dir : Path, optional
        Where the trained stage is stored and found again. Not part of the method's identity.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="autoencoder",
        name="Slot autoencoder",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        note=_NOTE,
    )

    width: int = 64
    layers: int = 2
    pose_weight: float = 0.3
    decoder_width: int = 32
    object_weight: float = 4.0
    mask_weight: float = 0.5
    light: bool = True
    encoder: Schedule = _ENCODER
    decoder: Schedule = _DECODER
    precision: Precision = "bf16"
    candidates: tuple[SearchSettings, ...] = CANDIDATES
    selection_images: int = 96
    cache_dir: Path | None = field(default=None, compare=False)

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> Inversion:
        """Train encoder and decoder, then choose search settings on validation images.

        Parameters
        ----------
        data : TrainData
            Images with factors, and masks where the track serves them.
        val : TrainData
            In-combination validation images with factors, for `select_search` only.
        seed : int
            Seed of weights and order.
        budget : TrainBudget
            Schedules are cut to the image budget; training stops at the time budget.
        log : RunLog
            Gets loss curves and the search settings tried.

        Returns
        -------
        Inversion
            The fitted inverter.
        """
        share = budget_share(budget, self.images(data))
        deadline = None if budget.max_seconds is None else time.monotonic() + budget.max_seconds
        with seeded(seed):
            model = self.stage(data, seed=seed, share=share, log=log, deadline=deadline)
            return self.inversion(model, val, seed=seed, log=log)

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
    ) -> AutoencoderModel:
        """Return stage 1, trained here or read from ``cache_dir``.

        Parameters
        ----------
        data : TrainData
            Served images. When the stage comes from the cache its images are served all the
            same, so that they are counted for the entry that uses them.
        seed : int
            Seed of weights and order.
        share : float
            Part of the schedules that the image budget allows.
        log : RunLog
            Gets the loss curves.
        deadline : float, optional
            `time.monotonic` value after which training stops early.

        Returns
        -------
        AutoencoderModel
            Trained encoder and decoder.
        """
        model = AutoencoderModel(self, data)

        def build() -> dict[str, Tensor]:
            model.train_stage(self, data, seed=seed, share=share, log=log, deadline=deadline)
            return model.state_dict()

        # A run that may be cut short by the clock is not reproducible, so it is not shared.
        cache_dir = self.cache_dir if deadline is None else None
        identity = {} if cache_dir is None else self._identity(data, seed, share)
        before = data.images_served
        tensors, found = cached_stage(cache_dir, identity, build)
        if found:
            model.load_state_dict(tensors)
            _count_again(data, self._served(data, share) - (data.images_served - before))
        return model

    def _served(self, data: TrainData, share: float) -> int:
        size = min(self.encoder.batch_size, len(data)), min(self.decoder.batch_size, len(data))
        steps = self.encoder.within(share).steps, self.decoder.within(share).steps
        return size[0] * steps[0] + size[1] * steps[1] + _first(data, share)

    def _identity(self, data: TrainData, seed: int, share: float) -> dict[str, Any]:
        settings = asdict(self)
        for name in ("candidates", "selection_images", "cache_dir"):
            del settings[name]
        return {"settings": settings, "data": fingerprint(data), "seed": seed, "share": share}

    def inversion(
        self, model: AutoencoderModel, val: TrainData, *, seed: int, log: RunLog
    ) -> Inversion:
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


_BASE = Autoencoder()


@dataclass(frozen=True)
class AutoencoderReplay:
    """Settings of the autoencoder with replay; ``fit`` trains it.

    Attributes
    ----------
    base : Autoencoder
        Stage 1 and search.
    replay : Schedule
        Optimiser settings of the replay stage; ``batch_size`` counts the *real* images.
    replayed : int
        Replayed images per step, beside the real ones that keep the encoder anchored.
    noise : float
        Standard deviation of the pixel noise on replayed images.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="autoencoder-replay",
        name="Slot autoencoder with replay",
        inference="replay",
        supervision="supervised",
        source=_SOURCE,
        note=_NOTE + " Replay draws each slot from the bank of training slots independently and "
        "keeps a quarter of real images in every batch.",
    )

    base: Autoencoder = _BASE
    replay: Schedule = _REPLAY
    replayed: int = 48
    noise: float = 0.02

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> Inversion:
        """Train stage 1, replay its recombinations, then choose search settings.

        Parameters
        ----------
        data, val, seed, budget, log
            As for `Autoencoder.fit`; generated images are counted through ``log``.

        Returns
        -------
        Inversion
            The fitted inverter with the replayed encoder.
        """
        share = budget_share(budget, self.base.images(data) + self.replay.images + len(data))
        deadline = None if budget.max_seconds is None else time.monotonic() + budget.max_seconds
        with seeded(seed):
            model = self.base.stage(data, seed=seed, share=share, log=log, deadline=deadline)
        with seeded(seed + 1) as generator:
            self._replay(model, data, generator, share=share, log=log, seed=seed, deadline=deadline)
            return self.base.inversion(model, val, seed=seed, log=log)

    def _replay(
        self,
        model: AutoencoderModel,
        data: TrainData,
        generator: torch.Generator,
        *,
        share: float,
        log: RunLog,
        seed: int,
        deadline: float | None,
    ) -> None:
        recognition, decoder = model.recognition, model.decoder.eval().requires_grad_(False)
        first = first_images(data, _first(data, share), seed)
        bank = recognition.targets(first.factors)

        def loss(batch: Batch) -> Tensor:
            drawn = recombine(bank, self.replayed, generator)
            with torch.no_grad(), autocast(self.base.precision, drawn.device.type):
                decoded = decoder(drawn).image
            decoded = (decoded + self.noise * torch.randn_like(decoded)).clamp(0, 1)
            log.count_generated(len(drawn))
            images = torch.cat([batch.images, decoded])
            return recognition.loss(images, torch.cat([recognition.targets(batch.factors), drawn]))

        schedule = self.replay.within(share)
        batches = endless(data, schedule.batch_size, schedule.steps, seed + 10_000)
        train(recognition, loss, batches, schedule, log=log, name="replay", deadline=deadline)


class AutoencoderModel(nn.Module):
    """Encoder and decoder of one autoencoder.

    Parameters
    ----------
    settings : Autoencoder
        Sizes.
    data : TrainData
        Gives image size and factors.
    """

    def __init__(self, settings: Autoencoder, data: TrainData) -> None:
        super().__init__()
        layout = layout_of(data.spec)
        self.recognition = Recognition(
            layout,
            data.spec.image_hw,
            width=settings.width,
            layers=settings.layers,
            pose_weight=settings.pose_weight,
            precision=settings.precision,
        )
        self.decoder = Compositor(
            layout, data.spec.image_hw, settings.decoder_width, light=settings.light
        )

    def train_stage(
        self,
        settings: Autoencoder,
        data: TrainData,
        *,
        seed: int,
        share: float,
        log: RunLog,
        deadline: float | None = None,
    ) -> None:
        """Train both halves; the arguments are those of `Autoencoder.stage`."""
        recognition = self.recognition
        first = first_images(data, _first(data, share), seed)
        recognition.center, recognition.spread = standard(
            recognition.layout, slot_vectors(recognition.layout, first.factors)
        )
        train_recognition(
            recognition,
            data,
            settings.encoder.within(share),
            seed=seed,
            log=log,
            deadline=deadline,
        )
        masks = first.masks if settings.mask_weight > 0 else None
        initialise(self.decoder, recognition.targets(first.factors), first.images, masks)
        schedule = settings.decoder.within(share)
        train(
            self.decoder,
            lambda batch: decoder_loss(self.decoder, recognition, batch, settings),
            endless(data, schedule.batch_size, schedule.steps, seed + 5_000),
            schedule,
            log=log,
            name="decoder",
            deadline=deadline,
        )


def decoder_loss(
    decoder: Compositor, recognition: Recognition, batch: Batch, settings: Autoencoder
) -> Tensor:
    """Return 100 times the pixel error at the true slots, plus the mask loss.

    Parameters
    ----------
    decoder : Compositor
        Slots to images.
    recognition : Recognition
        Gives the true slot vectors of labels.
    batch : Batch
        Labelled images, with or without masks.
    settings : Autoencoder
        Weights and precision.

    Returns
    -------
    Tensor
        Scalar; without masks the pixel error is unweighted.
    """
    with autocast(settings.precision, batch.images.device.type):
        layers = decoder(recognition.targets(batch.factors))
    if batch.masks is None or settings.mask_weight == 0:
        return 100 * squared_error(layers.image, batch.images).mean()
    weights = object_weights(batch.masks, settings.object_weight)
    error = 100 * squared_error(layers.image, batch.images, weights).mean()
    return error + settings.mask_weight * mask_loss(layers.opacity, batch.masks)


def _first(data: TrainData, share: float) -> int:
    """Return the images of the closed-form fits: at most 2,048, within the budget."""
    return max(1, min(2048, int(share * len(data))))


def _count_again(data: TrainData, images: int) -> None:
    """Serve images without using them, so that a reused stage is counted in full."""
    left = images
    while left > 0:
        for batch in data.batches(min(left, len(data)), seed=0, drop_last=True):
            left -= len(batch.images)
            break


_TINY = Autoencoder(
    width=48,
    layers=1,
    decoder_width=16,
    encoder=Schedule(steps=120, batch_size=32),
    decoder=Schedule(steps=150, batch_size=32, rate=5e-3, weight_decay=0.001),
    candidates=(SearchSettings(steps=20), SearchSettings(pose_rate=0.12, steps=20)),
    selection_images=32,
)
SIZES: dict[str, dict[str, Autoencoder | AutoencoderReplay]] = {
    "Autoencoder": {"tiny": _TINY, "cpu": Autoencoder()},
    "AutoencoderReplay": {
        "tiny": AutoencoderReplay(
            base=_TINY, replay=Schedule(steps=150, batch_size=8), replayed=24
        ),
        "cpu": AutoencoderReplay(),
    },
}
