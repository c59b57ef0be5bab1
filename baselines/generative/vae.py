"""Variational autoencoders with slots that nobody names: model, training, replay, search.

    z ~ q(z | x) = N(mu(x), s(x)^2),   L = 100 * mean squared error + (200 v / P) * KL(q || N(0, 1))

with P values per image and decoder variance v: 200 v / P times the negative ELBO (Kingma and
Welling 2014, arXiv 1312.6114). The interaction regulariser and, in the *weak* row, a mask loss are
added where the decoder has them; the *supervised* rows add the loss of a linear readout of mu.

    search:  z* = argmin_z |f(z) - x|^2 from z = mu(x), Adam, best iterate
    replay:  z~_k drawn from { mu_k(x) : x in ID } independently per slot, x~ = f(z~) + noise,
             L = |(mu(x~) - z~) / s|^2 + |(mu(x) - mu_0(x)) / s|^2 with the frozen mu_0

Search and replay are Eq. 4.3 and 4.4 of arXiv 2512.08854. Errors of replay count in units of s, the
standard deviation of every column of the drawn slots (at least .05), so that a column counts by
what it tells and not by its scale. The second term anchors the encoder on real images, so that a
readout fitted in combination stays valid; it and the pixel noise of .02 are ours. The best decoder
variance depends on the data: sweep it (Reizinger et al., arXiv 2206.02416) before believing one
value.

Another encoder or decoder is a subclass with one method, `Vae.encoder_network` or
`Vae.decoder_network`.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from recombine.baselines.nn.attention_decoder import warm_up
from recombine.baselines.nn.build import DecoderKind, build_decoder
from recombine.baselines.nn.compositing import squared_error
from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.nn.losses import (
    mask_loss,
    matched_masks,
    recombine,
    slot_loss,
    spread_of,
    standard_error,
)
from recombine.baselines.nn.slots import (
    Columns,
    SlotLayout,
    check_image_size,
    layout_of,
    slot_vectors,
    standard,
)
from recombine.baselines.training.device import generator_of, on_device
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
from recombine.baselines.training.search import Inversion, SearchSettings
from recombine.baselines.training.slot_encoder import first_count, first_images
from recombine.benchmark.protocol.contract import MethodCard, Supervision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

# Settings that play no part in the stage before replay.
LATER = (
    "replayed", "replay", "noise", "candidates", "selection_images", "size", "cache_dir",
)  # fmt: skip
SERVED = "images-served"  # key of what a cached stage had been served
CODE_CANDIDATES = (SearchSettings(pose_rate=0.03), SearchSettings(pose_rate=0.1))


class Row(NamedTuple):
    """What a row's card says about its decoder and labels."""

    id: str
    name: str
    note: str
    role: Literal["method", "control"] = "method"


ROWS: dict[tuple[DecoderKind, Supervision], Row] = {
    ("unstructured", "unsupervised"): Row("vae", "VAE", "One convolutional decoder of all slots."),
    ("broadcast", "unsupervised"): Row(
        "vae-broadcast",
        "VAE, spatial broadcast",
        "Spatial-broadcast decoder per slot with alpha compositing.",
    ),
    ("broadcast", "weak"): Row(
        "vae-broadcast-masks",
        "VAE, spatial broadcast, masks",
        "Spatial-broadcast decoder per slot; alpha masks trained on instance masks.",
    ),
    ("broadcast", "supervised"): Row(
        "vae-broadcast-labels",
        "VAE, spatial broadcast, labels",
        "Spatial-broadcast decoder per slot; alpha masks trained on instance masks, labels act on "
        "the slots through a linear readout.",
    ),
    ("additive", "unsupervised"): Row("vae-additive", "VAE, additive", "Additive decoder."),
    ("bilinear", "unsupervised"): Row(
        "vae-bilinear",
        "VAE, additive and bilinear",
        "Additive decoder plus a bilinear term of rank 16 per pair of slots.",
    ),
    ("attention", "unsupervised"): Row(
        "vae-cross-attention",
        "VAE, cross-attention",
        "Cross-attention decoder with the interaction regulariser.",
    ),
    ("unstructured", "supervised"): Row(
        "vae-labels",
        "VAE, labels",
        "Control: one convolutional decoder of all slots, labels act on the slots through a linear "
        "readout.",
        role="control",
    ),
}


_SCHEDULE = Schedule(steps=900, batch_size=32, rate=2e-3, weight_decay=0.001)
_REPLAY = Schedule(steps=300, batch_size=16, rate=1e-3)


@dataclass(frozen=True)
class Vae:
    """Settings of a variational autoencoder on inferred slots; its card is one of `ROWS`."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {
            "dim": 8,
            "width": 32,
            "layers": 1,
            "decoder_width": 8,
            "schedule": Schedule(steps=8, batch_size=16, rate=2e-3),
            "replay": Schedule(steps=4, batch_size=4),
            "candidates": (SearchSettings(pose_rate=0.1, steps=3),),
            "selection_images": 16,
        },
        "cpu": {},
        "gpu": {
            "dim": 32,
            "width": 256,
            "layers": 4,
            "decoder_width": 128,
            "schedule": Schedule(
                steps=50_000, batch_size=128, rate=5e-4, weight_decay=0.001, compile=True
            ),
            "replay": Schedule(steps=20_000, batch_size=64, rate=5e-4, compile=True),
            "selection_images": 512,
        },
    }

    kind: DecoderKind = "unstructured"  # the decoder; see `build_decoder`
    dim: int = 16  # codes per slot
    width: int = 64  # of the encoder
    layers: int = 2  # of the encoder
    decoder_width: int = 32  # channels of the decoder's networks
    # v, the decoder's variance per pixel value; 0 for an autoencoder without a prior
    variance: float = 0.005
    mask_weight: float = 0.5  # weight of the mask cross-entropy, where masks are served
    # weight of the supervised loss on a linear readout of the posterior means; 0 for none
    label_weight: float = 0.0
    # training of encoder and decoder
    schedule: Schedule = _SCHEDULE
    replayed: int = 0  # replayed images per step of the replay stage; 0 for none
    # the replay stage; its batch size counts real images
    replay: Schedule = _REPLAY
    noise: float = 0.02  # standard deviation of the pixel noise on replayed images
    # search settings to choose from by recovery of foreign slots
    candidates: tuple[SearchSettings, ...] = CODE_CANDIDATES
    selection_images: int = 96  # validation images for that choice
    precision: Precision = "bf16"  # arithmetic of the networks
    size: str = "cpu"  # named size that these settings came from
    # what is served beside images. Said by the card, so it is no setting
    supervision: Supervision = field(default="unsupervised", compare=False)
    # where the trained stage is stored and found again. Not part of the method's identity
    cache_dir: Path | None = field(default=None, compare=False)

    @property
    def card(self) -> MethodCard:
        """Return the card of the row, with or without replay."""
        row, replay = ROWS[self.kind, self.supervision], self.replayed > 0
        return MethodCard(
            id=row.id + "-replay" * replay,
            name=row.name + " with replay" * replay,
            inference="replay" if replay else "direct",
            supervision=self.supervision,
            source="arXiv 2512.08854, Eq. 4.3 (search) and Eq. 4.4 (replay); arXiv 1312.6114 (VAE)",
            paper="https://arxiv.org/abs/2512.08854",
            note="Reimplementation; details of the paper's Appendix B unseen. Inferred slots, "
            f"convolutional encoder from scratch. {row.note}",
            role=row.role,
            generative=True,
        )

    def encoder_network(self, slots: int, outputs: int, image_hw: tuple[int, int]) -> nn.Module:
        """Return the untrained encoder: images to a pair whose second is ``(B, K, outputs)``."""
        return SlotEncoder(slots, outputs, width=self.width, image_hw=image_hw, layers=self.layers)

    def decoder_network(
        self, layout: SlotLayout, image_hw: tuple[int, int], objects: tuple[int, ...]
    ) -> nn.Module:
        """Return the untrained decoder of slots to `Layers`; rows with their own override this."""
        return build_decoder(
            self.kind, layout, image_hw, self.decoder_width, light=False, objects=objects
        )

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> CodeInversion:
        """Train encoder and decoder, replay if asked to, then choose search settings."""
        replay = self.replay.images + min(len(data), 2048) if self.replayed else 0
        labelled = min(len(data), 2048) if self.label_weight > 0 else 0
        share = budget_share(budget, self.schedule.images + replay + labelled)
        deadline = deadline_of(budget)
        with seeded(seed):
            model = self.stage(data, share=share, seed=seed, log=log, deadline=deadline)
        with seeded(seed + 1) as generator:  # the same draws, whether stage 1 was cached or not
            if self.replayed:
                self._replay(
                    model, data, generator, share=share, seed=seed, log=log, deadline=deadline
                )
            return select_code_search(
                model.encoder,
                model.decoder,
                val,
                seed=seed,
                log=log,
                candidates=self.candidates,
                images=self.selection_images,
            )

    def stage(
        self,
        data: TrainData,
        *,
        share: float,
        seed: int,
        log: RunLog,
        deadline: float | None = None,
    ) -> VaeModel:
        """Return the model before replay, trained here or read from ``cache_dir``."""
        model, schedule, before = self.model(data), self.schedule.within(share), data.images_served

        def build() -> dict[str, Tensor]:
            self.prepare(model, data, share=share, seed=seed)
            warm_up(model.decoder, schedule.steps)
            batches = endless(data, schedule.batch_size, schedule.steps, seed)
            train(model, model.loss, batches, schedule, log=log, name="vae", deadline=deadline)
            return {**model.state_dict(), SERVED: torch.tensor(data.images_served - before)}

        # A run that may be cut short by the clock is not reproducible, so it is not shared.
        cache_dir = self.cache_dir if deadline is None else None
        identity: dict[str, Any] = {}
        if cache_dir is not None:
            identity = stage_identity(self, LATER, data, seed=seed, share=share)
        tensors, cached = cached_stage(cache_dir, identity, build, log)
        if cached:
            data.count_again(int(tensors.pop(SERVED)))
            model.load_state_dict(tensors)
        return model.eval()

    def model(self, data: TrainData) -> VaeModel:
        """Return the untrained model; rows with another one override this."""
        return VaeModel(self, data)

    def prepare(self, model: VaeModel, data: TrainData, *, share: float, seed: int) -> None:
        """Set what is not learned step by step, from some training images."""
        if model.labels is not None:
            first = first_images(data, first_count(data, share), seed)
            model.labels.standardise(first.factors)

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
        spread = spread_of(bank)

        def loss(batch: Batch) -> Tensor:
            drawn = recombine(bank, self.replayed, generator)
            with torch.no_grad(), autocast(self.precision, drawn.device.type):
                made = decoder(drawn).image
                made = (made + self.noise * torch.randn_like(made)).clamp(0, 1)
                anchor = frozen.guess(batch.images)
            log.count_generated(len(made))
            wanted = torch.cat([anchor, drawn])
            found = encoder.guess(torch.cat([batch.images, made]))
            return standard_error(found, wanted, spread)

        schedule = self.replay.within(share)
        batches = endless(data, schedule.batch_size, schedule.steps, seed + 10_000)
        train(encoder, loss, batches, schedule, log=log, name="replay", deadline=deadline)


@dataclass(frozen=True)
class VaeReplay(Vae):
    """The same, its encoder then trained on decoded recombinations of codes."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {**Vae.SIZES["tiny"], "replayed": 12},
        "cpu": Vae.SIZES["cpu"],
        "gpu": {**Vae.SIZES["gpu"], "replayed": 192},
    }

    replayed: int = 48


class VaeModel(nn.Module):
    """Encoder and decoder of one variational autoencoder."""

    def __init__(self, settings: Vae, data: TrainData) -> None:
        super().__init__()
        spec = data.spec
        self.settings = settings
        slots, known = spec.max_slots, layout_of(spec)
        self.encoder = CodeEncoder(
            settings.encoder_network(slots, 2 * settings.dim, spec.image_hw),
            code_layout(slots, settings.dim),
            spec.image_hw,
            settings.precision,
        )
        self.labels = Labels(known, settings.dim) if settings.label_weight > 0 else None
        self.decoder = settings.decoder_network(self.encoder.layout, spec.image_hw, known.posed)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch; see the module."""
        return self.loss_at(batch, *self.encoder.posterior(batch.images))

    def loss_at(self, batch: Batch, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return the loss of a batch whose posterior is known."""
        settings = self.settings
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


def code_layout(slots: int, dim: int) -> SlotLayout:
    """Return a layout of unnamed continuous columns, so that one search serves all models."""
    # Every slot keeps its role, be it by its decoder's networks or by its start in the encoder.
    columns = tuple((Columns(f"slot{k}.code{k}", "float", 0, dim),) for k in range(slots))
    return SlotLayout(tuple(f"slot{k}" for k in range(slots)), columns)


class CodeEncoder(nn.Module):
    """Image to a Gaussian per slot: the posterior of a variational autoencoder."""

    def __init__(
        self,
        network: nn.Module,
        layout: SlotLayout,
        image_hw: tuple[int, int],
        precision: Precision,
    ) -> None:
        super().__init__()
        self.network, self.layout, self.image_hw = network, layout, tuple(image_hw)
        self.precision: Precision = precision

    def posterior(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images slots dim"], Float[Tensor, "images slots dim"]]:
        """Return mean and log-variance; the latter within +-8."""
        precision: Precision = self.precision if self.training else "float32"
        with autocast(precision, images.device.type):
            mean, spread = self.network(images)[1].chunk(2, dim=2)
        return mean, 8 * torch.tanh((spread - 4) / 8)

    def guess(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return the posterior means."""
        return self.posterior(images)[0]


def divergence(
    mean: Float[Tensor, "images slots dim"], log_variance: Float[Tensor, "images slots dim"]
) -> Float[Tensor, ""]:
    """Return the KL divergence from a standard normal, summed over codes, mean over images."""
    terms = mean.square() + log_variance.exp() - 1 - log_variance
    return 0.5 * terms.sum(dim=(1, 2)).mean()


class Labels(nn.Module):
    """A linear readout of posterior means, through which labels act on the slots."""

    center: Tensor
    spread: Tensor

    def __init__(self, layout: SlotLayout, dim: int) -> None:
        super().__init__()
        self.layout = layout
        self.weight = nn.Parameter(torch.randn(layout.count, layout.dim, dim) * dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(layout.count, layout.dim))
        self.register_buffer("center", torch.zeros(layout.count, layout.dim))
        self.register_buffer("spread", torch.ones(layout.count, layout.dim))

    def standardise(self, factors: Mapping[str, Tensor]) -> None:
        """Set the scale of continuous columns from labels of training images."""
        self.center, self.spread = standard(self.layout, slot_vectors(self.layout, factors))

    def loss(
        self, means: Float[Tensor, "images slots dim"], factors: Mapping[str, Tensor]
    ) -> Float[Tensor, ""]:
        """Return the supervised loss of the readout; see `slot_loss`."""
        outputs = torch.einsum("bkd,kod->bko", means, self.weight) + self.bias
        targets = (slot_vectors(self.layout, factors) - self.center) / self.spread
        return slot_loss(self.layout, outputs, targets, pose_weight=0.3)


class CodeInversion(Inversion):
    """A decoder of inferred slots, inverted from the posterior mean by plain Adam."""

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Check the image size and move to the device."""
        check_image_size(spec, self.recognition.image_hw)
        self.move(device)

    @torch.no_grad()
    def masks(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images slots height width"] | None:
        """Return how the decoder divides pixels among slots; None if it does not say."""
        decoder: Any = self.decoder
        layers = decoder(slots)
        opacity = layers.opacity
        if opacity is None:
            found: Tensor | None = layers.shares
            return found
        shares = nn.functional.pad(opacity.float(), (0, 0, 0, 0, 1, 0)).softmax(1)
        out = shares.new_zeros(*slots.shape[:2], *shares.shape[2:])
        out[:, decoder.others[0]] = shares[:, 0]
        out[:, decoder.objects] = shares[:, 1:]
        return out


def code_recovery(
    inversion: CodeInversion, images: Float[Tensor, "images 3 height width"], seed: int
) -> float:
    """Return how often a search from a foreign slot finds back: ID recovery without labels."""
    # One slot of every image starts as that of another image. After the search it should be nearer
    # to its own posterior mean than to that of any other image.
    generator = generator_of(seed)
    with torch.no_grad():
        own = inversion.recognition.guess(images)
    n, rows = len(own), torch.arange(len(own))
    slot = torch.randint(own.shape[1], (n,), generator=generator)
    start = own.clone()
    start[rows, slot] = own.roll(1, dims=0)[rows, slot]
    state = inversion.start(start)
    for _ in range(inversion.settings.steps):
        state = inversion.step(images, state)
    found = state.best[rows, slot]
    banks = own[:, slot].transpose(0, 1)  # for every image the slot in question of all images
    nearest = (banks - found[:, None]).square().sum(2).argmin(1)
    return float((nearest == rows).float().mean())


def select_code_search(
    encoder: CodeEncoder,
    decoder: nn.Module,
    val: TrainData,
    *,
    seed: int,
    log: RunLog,
    candidates: Sequence[SearchSettings] = CODE_CANDIDATES,
    images: int = 96,
) -> CodeInversion:
    """Return the inverter whose settings recover foreign slots best on validation images."""
    batch = next(iter(val.batches(min(images, len(val)), seed=seed)))
    tried = [CodeInversion(encoder, decoder, c, encoder.precision) for c in candidates]
    scores = []
    for inversion in tried:
        scores.append(code_recovery(inversion, batch.images, seed))
        log.config_tried(asdict(inversion.settings), scores[-1])
    return tried[scores.index(max(scores))]
