"""Variational autoencoders with slots that nobody names: model, training, replay.

    z ~ q(z | x) = N(mu(x), s(x)^2),   L = 100 * mean squared error + (200 v / P) * KL(q || N(0, 1))

with P values per image and decoder variance v: 200 v / P times the negative ELBO (Kingma and
Welling 2014, arXiv 1312.6114). The interaction regulariser and, in the *weak* row, a mask loss are
added where the decoder has them; the *supervised* row adds the loss of a linear readout of mu.

    search:  z* = argmin_z |f(z) - x|^2 from z = mu(x), Adam, best iterate
    replay:  z~_k drawn from { mu_k(x) : x in ID } independently per slot, x~ = f(z~),
             L = |mu(x~) - z~|^2 + |mu(x) - mu_0(x)|^2 with the frozen mu_0

Search and replay are Eq. 4.3 and 4.4 of arXiv 2512.08854. The second replay term anchors the
encoder on real images, so that a readout fitted in combination stays valid; it is ours. The best
decoder variance depends on the data: sweep it (Reizinger et al., arXiv 2206.02416) before
believing one value.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recombine.baselines.methods.latents import (
    LATENT_CANDIDATES,
    Labels,
    LatentEncoder,
    LatentInversion,
    divergence,
    select_latent_search,
)
from recombine.baselines.methods.slotmodel import DecoderKind, build_decoder, first_count
from recombine.baselines.methods.slotwise import deadline_of
from recombine.baselines.nn.compositing import squared_error
from recombine.baselines.nn.losses import mask_loss, matched_masks, recombine
from recombine.baselines.nn.slots import layout_of
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Precision,
    Schedule,
    autocast,
    budget_share,
    endless,
    seeded,
    train,
)
from recombine.baselines.training.slot_encoder import first_images

if TYPE_CHECKING:
    from recombine.baselines.training.search import SearchSettings
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

_TRAIN = Schedule(steps=900, batch_size=32, rate=2e-3, weight_decay=0.001)
_REPLAY = Schedule(steps=300, batch_size=16, rate=1e-3)


@dataclass(frozen=True)
class Vae:
    """Settings of a variational autoencoder on inferred slots; a row is a subclass with a card."""

    # the decoder; see `recombine.baselines.methods.slotmodel.build_decoder`
    kind: DecoderKind = "unstructured"
    dim: int = 16  # latents per slot
    width: int = 64  # size of the encoder
    layers: int = 2  # size of the encoder
    decoder_width: int = 32  # channels of the decoder's networks
    # v, the decoder's variance per pixel value; 0 for an autoencoder without a prior
    variance: float = 0.005
    mask_weight: float = 0.5  # weight of the mask cross-entropy, where masks are served
    # weight of the supervised loss on a linear readout of the posterior means; 0 for none
    label_weight: float = 0.0
    schedule: Schedule = _TRAIN  # training of encoder and decoder
    replayed: int = 0  # replayed images per step of the replay stage; 0 for none
    replay: Schedule = _REPLAY  # the replay stage; its batch size counts real images
    # search settings to choose from by recovery of foreign slots
    candidates: tuple[SearchSettings, ...] = LATENT_CANDIDATES
    selection_images: int = 96  # validation images for that choice
    precision: Precision = "bf16"  # arithmetic of the networks
    size: str = "cpu"  # named size that these settings came from

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> LatentInversion:
        """Train encoder and decoder, replay if asked to, then choose search settings."""
        replay = self.replay.images + min(len(data), 2048) if self.replayed else 0
        labelled = min(len(data), 2048) if self.label_weight > 0 else 0
        share = budget_share(budget, self.schedule.images + replay + labelled)
        deadline = deadline_of(budget)
        with seeded(seed) as generator:
            model = VaeModel(self, data)
            if model.labels is not None:
                first = first_images(data, first_count(data, share), seed)
                model.labels.standardise(first.factors)
            schedule = self.schedule.within(share)
            batches = endless(data, schedule.batch_size, schedule.steps, seed)
            train(model, model.loss, batches, schedule, log=log, name="vae", deadline=deadline)
            if self.replayed:
                self._replay(
                    model, data, generator, share=share, seed=seed, log=log, deadline=deadline
                )
            return select_latent_search(
                model.encoder,
                model.decoder,
                val,
                seed=seed,
                log=log,
                candidates=self.candidates,
                images=self.selection_images,
            )

    def _replay(
        self,
        model: VaeModel,
        data: TrainData,
        generator: torch.Generator,
        *,
        share: float,
        seed: int,
        log: RunLog,
        deadline: float | None,
    ) -> None:
        encoder, decoder = model.encoder, model.decoder.requires_grad_(False)
        frozen = copy.deepcopy(encoder).eval().requires_grad_(False)
        first = first_images(data, first_count(data, share), seed)
        with torch.no_grad():
            bank = torch.cat([frozen.guess(part) for part in torch.split(first.images, 256)])

        def loss(batch: Batch) -> Tensor:
            drawn = recombine(bank, self.replayed, generator)
            with torch.no_grad(), autocast(self.precision, drawn.device.type):
                made = decoder(drawn).image.clamp(0, 1)
                anchor = frozen.guess(batch.images)
            log.count_generated(len(made))
            wanted = torch.cat([anchor, drawn])
            found = encoder.guess(torch.cat([batch.images, made]))
            return (found - wanted).square().mean()

        schedule = self.replay.within(share)
        batches = endless(data, schedule.batch_size, schedule.steps, seed + 10_000)
        train(encoder, loss, batches, schedule, log=log, name="replay", deadline=deadline)


class VaeModel(nn.Module):
    """Encoder and decoder of one variational autoencoder."""

    def __init__(self, settings: Vae, data: TrainData) -> None:
        super().__init__()
        spec = data.spec
        self.settings = settings
        self.encoder = LatentEncoder(
            spec.max_slots,
            settings.dim,
            spec.image_hw,
            width=settings.width,
            layers=settings.layers,
            precision=settings.precision,
        )
        layout, known = self.encoder.layout, layout_of(spec)
        self.labels = Labels(known, settings.dim) if settings.label_weight > 0 else None
        self.decoder = build_decoder(
            settings.kind,
            layout,
            spec.image_hw,
            settings.decoder_width,
            light=False,
            objects=known.posed,
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch; see the module."""
        settings = self.settings
        mean, log_variance = self.encoder.posterior(batch.images)
        slots = mean
        if settings.variance > 0:
            slots = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        with autocast(settings.precision, batch.images.device.type):
            layers = self.decoder(slots)
        total = 100 * squared_error(layers.image, batch.images).mean()
        beta = 200 * settings.variance / batch.images[0].numel()
        total = total + beta * divergence(mean, log_variance)
        if layers.penalty is not None:
            total = total + layers.penalty
        if batch.masks is not None and layers.opacity is not None:
            masks = matched_masks(layers.opacity.detach(), batch.masks)
            total = total + settings.mask_weight * mask_loss(layers.opacity, masks)
        if self.labels is not None:
            total = total + settings.label_weight * self.labels.loss(mean, batch.factors)
        return total
