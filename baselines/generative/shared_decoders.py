"""Autoencoders on inferred slots with one decoder for all slots: the arm of arXiv 2512.08854.

`ROWS` is the table of rows. Loss, search and replay are those of
`recombine.baselines.generative.vae`; what differs is that no network but the start of a slot tells
it from another.

* paper-vae: a variational autoencoder with the cross-attention decoder of Brady et al. (arXiv
  2411.07784, which the paper uses) and a query transformer as encoder. The regulariser's weight
  grows over the first fifth of the training; its value is derived in
  `recombine.baselines.nn.attention_decoder`.
* paper-vae-slot-attention: slot attention as encoder, its gradient that of the last round.
* paper-vae-cnn (control): one convolutional network of the concatenated slots as decoder.
* slot-attention-unsupervised: slot attention (Locatello et al. 2020, arXiv 2006.15055) with a
  spatial-broadcast decoder, no prior. Learned starts and the gradient of the last round follow
  Jia et al. (arXiv 2210.08990).

Roles. Every slot starts from a learned vector of its own, in the query transformer and in slot
attention alike, so the encoder is free to give slot k the same role in all images, and the scorer
reads it by one assignment for all images. Nothing in the loss asks for that where the decoder is
shared: it draws the same image whichever slot holds what. Where objects are alike, no start can
tell which is the first; these rows say how their decoder divides the pixels, and the scorer matches
slots to such objects on masks. The convolutional control draws slot k with weights of its own, so
roles are fixed there, and it has no masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from recombine.baselines.generative.vae import Row, Vae
from recombine.baselines.nn.attention_decoder import SharedCrossAttention
from recombine.baselines.nn.conv_decoders import BroadcastMixture
from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.nn.slot_attention import SlotAttention
from recombine.baselines.training.loop import Schedule, Sizes
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from torch import nn

    from recombine.baselines.nn.build import DecoderKind
    from recombine.baselines.nn.slots import SlotLayout

EncoderKind = Literal["queries", "slot-attention"]
_PAPER = "https://arxiv.org/abs/2512.08854"
_VAE = "arXiv 2512.08854, Eq. 4.3 (search) and Eq. 4.4 (replay); arXiv 2411.07784 (VAE, decoder)"
_UNSEEN = "Reimplementation; details of the paper's Appendix B unseen. Inferred slots. "
ROWS: dict[tuple[DecoderKind, EncoderKind], Row] = {
    ("attention", "queries"): Row(
        "paper-vae",
        "VAE of the paper",
        f"{_UNSEEN}Query transformer; one cross-attention decoder for all slots, interaction "
        "regulariser with warm-up.",
    ),
    ("attention", "slot-attention"): Row(
        "paper-vae-slot-attention",
        "VAE of the paper, slot attention",
        f"{_UNSEEN}Slot attention with learned starts and implicit gradient; one cross-attention "
        "decoder for all slots, interaction regulariser with warm-up.",
    ),
    ("unstructured", "queries"): Row(
        "paper-vae-cnn",
        "VAE of the paper, convolutional decoder",
        f"{_UNSEEN}Control: query transformer; one convolutional decoder of concatenated slots.",
        role="control",
    ),
    ("broadcast", "slot-attention"): Row(
        "slot-attention-unsupervised",
        "Slot attention, unsupervised",
        "Reimplementation. Learned starts and implicit gradient, one spatial-broadcast decoder for "
        "all slots, no prior.",
    ),
}
_SCHEDULE = Schedule(steps=2500, batch_size=32, rate=1e-3, weight_decay=0.001)
_REPLAY = Schedule(steps=300, batch_size=16, rate=5e-4)


@dataclass(frozen=True)
class SharedVae(Vae):
    """A row of `ROWS`; ``layers`` counts layers of queries or rounds of slot attention."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {**Vae.SIZES["tiny"], "heads": 4, "query_width": 16, "slot_width": 24},
        "cpu": {},
        "gpu": {
            **Vae.SIZES["gpu"],
            "layers": 5,
            "query_width": 180,
            "slot_width": 516,
            "patch": 1,
            "schedule": Schedule(
                steps=50_000, batch_size=64, rate=5e-4, weight_decay=0.001, compile=True
            ),
        },
    }

    kind: DecoderKind = "attention"
    schedule: Schedule = _SCHEDULE
    replay: Schedule = _REPLAY
    network: EncoderKind = "queries"  # the encoder
    heads: int = 12  # of the cross-attention decoder
    query_width: int = 64  # of a pixel's query
    slot_width: int = 192  # of a slot, embedded
    patch: int = 4  # edge of the square of pixels that one query draws; the source has 1
    stride: int = 4  # pixels between tokens of slot attention

    @property
    def card(self) -> MethodCard:
        """Return the card of the row, with or without replay."""
        row, replay = ROWS[self.kind, self.network], self.replayed > 0
        plain = self.kind == "broadcast"
        coarse = f" {self.patch} x {self.patch} pixels per query." * (self.kind == "attention")
        return MethodCard(
            id=row.id + "-replay" * replay,
            name=row.name + " with replay" * replay,
            inference="replay" if replay else "direct",
            source="arXiv 2006.15055; arXiv 2210.08990 (learned starts, gradient)"
            if plain
            else _VAE,
            paper="https://arxiv.org/abs/2006.15055" if plain else _PAPER,
            note=f"{row.note}{coarse} Sees {self.schedule.images:,} images, sources 32 million: "
            "under-trained.",
            role=row.role,
            generative=True,
        )

    def encoder_network(self, slots: int, outputs: int, image_hw: tuple[int, int]) -> nn.Module:
        """Return the untrained encoder, alike for all slots but for their starts."""
        if self.network == "queries":
            return SlotEncoder(
                slots, outputs, width=self.width, image_hw=image_hw, layers=self.layers, shared=True
            )
        return SlotAttention(
            slots,
            outputs,
            width=self.width,
            image_hw=image_hw,
            iterations=3,
            stride=self.stride,
            implicit=True,
            shared=True,
        )

    def decoder_network(
        self, layout: SlotLayout, image_hw: tuple[int, int], objects: tuple[int, ...]
    ) -> nn.Module:
        """Return the untrained decoder."""
        if self.kind == "attention":
            return SharedCrossAttention(
                layout.dim,
                image_hw,
                queries=self.query_width,
                slots=self.slot_width,
                heads=self.heads,
                patch=self.patch,
            )
        if self.kind == "broadcast":
            alike = (tuple(range(layout.count)),)
            return BroadcastMixture(alike, layout.dim, image_hw, self.decoder_width)
        return super().decoder_network(layout, image_hw, objects)


@dataclass(frozen=True)
class SharedVaeReplay(SharedVae):
    """The same, its encoder then trained on decoded recombinations of codes."""

    SIZES: ClassVar[Sizes] = {
        "tiny": {**SharedVae.SIZES["tiny"], "replayed": 12},
        "cpu": SharedVae.SIZES["cpu"],
        "gpu": {**SharedVae.SIZES["gpu"], "replayed": 192},
    }

    replayed: int = 48
