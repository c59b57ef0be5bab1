"""Autoencoders on known slots with different decoders, with and without replay.

`DECODERS` is the table of rows: what is drawn, and what each row is there for. Training and search
are those of `SlotAutoencoder`; with replay the encoder then goes on training on decoded
recombinations of training slots, anchored by real images.

* patch: every object is a small picture placed at its position and size, over a full-size picture
  of the background; see `recombine.baselines.nn.decoders.Compositor`.
* broadcast: the usual decoder of object-centric learning. Small ones stay blurry for long, so
  expect less from search than with a placed patch.
* additive, bilinear: pictures of slots add up. There is no interaction between slots (first order
  in Brady et al., arXiv 2411.07784), so no occlusion; the bilinear term adds the second order. A
  softmax over alpha masks would not be additive.
* attention: the decoder of arXiv 2512.08854 (from Brady et al., *Interaction Asymmetry*), but with
  4 x 4 pixels per query and an embedding of the slot's role. The regulariser's weight is derived in
  `recombine.baselines.nn.attention_decoder`.
* factored: for splits that recombine factors of one slot (`object-texture`), where a decoder with
  slot structure only may draw each seen pair of shape and material by heart, and replay of whole
  slots repeats the seen pairs. Expect about half without, and most of it back with both (drawn
  data).
* leak (control): as patch, but every branch sees all slots, so it is as good in combination and
  free to tie a slot's look to its company. What it loses is due to slot structure alone.
* unstructured (control): one network of all slots. With replay it is also the control "an encoder
  an encoder trained on as many generated images, from a decoder free to interact everywhere".

The rows differ in more than their decoder: `patch`, `broadcast`, `factored` and `leak` composite,
so their opacity learns from instance masks, and a patch is placed by them; the others cannot use
them so. Rows without masks (``mask_weight=0``) differ from one another in their decoder and in
nothing else, and each from its row with masks in what masks give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from recombine.baselines.generative.slot_autoencoder import NOTE, PAPER, SOURCE, SlotAutoencoder
from recombine.baselines.nn.losses import recombine, recombine_factors
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Schedule,
    Sizes,
    autocast,
    budget_share,
    deadline_of,
    seeded,
)
from recombine.baselines.training.slot_encoder import first_count, first_images, train_anchored
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from recombine.baselines.generative.slot_autoencoder import SlotModel
    from recombine.baselines.nn.build import DecoderKind
    from recombine.baselines.training.search import Inversion
    from recombine.baselines.training.slot_encoder import Draw
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData


class Decoder(NamedTuple):
    """What a row's card says about its decoder."""

    id: str
    name: str
    note: str
    source: str = ""  # beside the common one
    role: Literal["method", "control"] = "method"


_ADDITIVE = "; arXiv 2307.02598 (additive decoders)"
_GROWN = "No placement: pictures are grown by transposed convolutions. Additive decoder"
DECODERS: dict[DecoderKind, Decoder] = {
    "patch": Decoder(
        "autoencoder", "Slot autoencoder", "Posed-patch decoder with alpha compositing."
    ),
    "broadcast": Decoder(
        "broadcast",
        "Spatial-broadcast autoencoder",
        "Spatial-broadcast decoder per slot with alpha compositing.",
        "; arXiv 1901.07017 (spatial broadcast), 1901.11390 (mixture)",
    ),
    "additive": Decoder("additive", "Additive autoencoder", f"{_GROWN}.", _ADDITIVE),
    "bilinear": Decoder(
        "bilinear",
        "Additive autoencoder with bilinear term",
        f"{_GROWN} plus a bilinear term of rank 16 per pair of slots.",
        _ADDITIVE,
    ),
    "attention": Decoder(
        "cross-attention",
        "Cross-attention autoencoder",
        "Cross-attention decoder, 4 x 4 pixels per query, interaction regulariser in closed form.",
        "; arXiv 2411.07784 (decoder and regulariser)",
    ),
    "factored": Decoder(
        "factored",
        "Factored slot autoencoder",
        "Posed-patch decoder, factorised inside the object slot: outline and shading from form, "
        "colour from material and hue.",
    ),
    "leak": Decoder(
        "leak",
        "Leaking slot autoencoder",
        "Control: the posed-patch decoder of the slot autoencoder, whose branches see all slots.",
        role="control",
    ),
    "unstructured": Decoder(
        "unstructured",
        "Unstructured autoencoder",
        "Control: one convolutional decoder on the concatenated slots.",
        role="control",
    ),
}


@dataclass(frozen=True)
class Autoencoder(SlotAutoencoder):
    """A row of `DECODERS`, trained from in-combination slots."""

    @property
    def card(self) -> MethodCard:
        """Return the card of the decoder's row."""
        row, learned, bare = DECODERS[self.kind], not self.closed_form, self.mask_weight == 0
        return MethodCard(
            id=row.id + "-learned" * learned + "-no-masks" * bare,
            name=row.name + ", background learned" * learned + ", no masks" * bare,
            inference="direct",
            supervision="supervised",
            source=SOURCE + row.source,
            paper=PAPER,
            note=NOTE
            + row.note
            + " Background pictures start at random, not in closed form." * learned
            + " The decoder learns without masks." * bare,
            role=row.role,
            generative=True,
        )


_REPLAY = Schedule(steps=300, batch_size=16)


@dataclass(frozen=True)
class Replay:
    """The same, its encoder then trained on its own decoded recombinations."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {"replay": Schedule(steps=8, batch_size=4), "replayed": 12},
        "cpu": {},
        "gpu": {"replay": Schedule(steps=20_000, batch_size=64, compile=True), "replayed": 192},
    }

    base: Autoencoder = Autoencoder()  # stage 1 and search
    # optimiser settings of the replay stage; ``batch_size`` counts the *real* images
    replay: Schedule = _REPLAY
    # replayed images per step, beside the real ones that keep the encoder anchored
    replayed: int = 48
    noise: float = 0.02  # standard deviation of the pixel noise on replayed images
    within: bool = False  # recombine factors inside slots too, not only whole slots
    size: str = "cpu"  # named size that these settings came from

    @property
    def card(self) -> MethodCard:
        """Return the card of the decoder's row with replay."""
        plain = self.base.card
        if self.within:
            return replace(
                plain,
                id="factor-replay",
                name=plain.name + " with factor-level replay",
                inference="replay",
                note=plain.note + " Replay draws every factor from the bank independently, inside "
                "slots too, and keeps a quarter of real images in every batch.",
            )
        return replace(
            plain,
            id=plain.id + "-replay",
            name=plain.name + " with replay",
            inference="replay",
            note=plain.note + " Replay draws each slot from the bank of training slots "
            "independently and keeps a quarter of real images in every batch.",
        )

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> Inversion:
        """Train stage 1, replay its recombinations, then choose search settings."""
        share = budget_share(budget, self.base.images(data) + self.replay.images + len(data))
        deadline = deadline_of(budget)
        with seeded(seed):
            model = self.base.stage(data, seed=seed, share=share, log=log, deadline=deadline)
        with seeded(seed + 1) as generator:
            draw = self._draw(model, data, generator, share=share, seed=seed)
            schedule = self.replay.within(share)
            train_anchored(
                model.recognition, draw, data, schedule, seed=seed, log=log, deadline=deadline
            )
            return self.base.inversion(model, val, seed=seed, log=log)

    def _draw(
        self,
        model: SlotModel,
        data: TrainData,
        generator: torch.Generator,
        *,
        share: float,
        seed: int,
    ) -> Draw:
        """Return the source of replayed images with their slots."""
        recognition, decoder = model.recognition, model.decoder.eval().requires_grad_(False)
        first = first_images(data, first_count(data, share), seed)
        bank, layout = recognition.targets(first.factors), recognition.layout

        def draw() -> tuple[Tensor, Tensor]:
            if self.within:
                drawn = recombine_factors(layout, bank, self.replayed, generator)
            else:
                drawn = recombine(bank, self.replayed, generator, layout.groups)
            with torch.no_grad(), autocast(self.base.precision, drawn.device.type):
                decoded = decoder(drawn).image
            return (decoded + self.noise * torch.randn_like(decoded)).clamp(0, 1), drawn

        return draw
