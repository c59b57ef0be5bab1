"""Variational autoencoders on inferred slots: one row per decoder, with and without replay.

No labels, but for the rows that say so; the *weak* rows see instance masks. Model, losses and
search stand in `recombine.baselines.methods.variational`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from recombine.baselines.methods.variational import Vae
from recombine.baselines.training.loop import Schedule
from recombine.baselines.training.search import SearchSettings
from recombine.benchmark.protocol.contract import MethodCard, Supervision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recombine.baselines.methods.slotmodel import DecoderKind


def card_of_row(
    slug: str,
    name: str,
    what: str,
    *,
    replay: bool = False,
    supervision: Supervision = "unsupervised",
) -> MethodCard:
    """Return the card of one row of this file."""
    return MethodCard(
        id=slug + "-replay" * replay,
        name=name + " with replay" * replay,
        inference="replay" if replay else "direct",
        supervision=supervision,
        source="arXiv 2512.08854, Eq. 4.3 (search) and Eq. 4.4 (replay); arXiv 1312.6114 (VAE)",
        note="Reimplementation; details of the paper's Appendix B unseen. Inferred slots, "
        f"convolutional encoder from scratch. {what}",
    )


@dataclass(frozen=True)
class VaeUnstructured(Vae):
    """One convolutional decoder of all slots."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae", "VAE", "One convolutional decoder of all slots."
    )
    kind: DecoderKind = "unstructured"


@dataclass(frozen=True)
class VaeUnstructuredReplay(VaeUnstructured):
    """The same with replay."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae", "VAE", "One convolutional decoder of all slots.", replay=True
    )
    replayed: int = 48


@dataclass(frozen=True)
class VaeBroadcast(Vae):
    """Spatial-broadcast decoder per slot with alpha compositing."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-broadcast",
        "VAE, spatial broadcast",
        "Spatial-broadcast decoder per slot with alpha compositing.",
    )
    kind: DecoderKind = "broadcast"


@dataclass(frozen=True)
class VaeBroadcastReplay(VaeBroadcast):
    """The same with replay."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-broadcast",
        "VAE, spatial broadcast",
        "Spatial-broadcast decoder per slot with alpha compositing.",
        replay=True,
    )
    replayed: int = 48


@dataclass(frozen=True)
class VaeMasks(Vae):
    """Spatial-broadcast decoder per slot; alpha masks trained on instance masks."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-broadcast-masks",
        "VAE, spatial broadcast, masks",
        "Spatial-broadcast decoder per slot; alpha masks trained on instance masks.",
        supervision="weak",
    )
    kind: DecoderKind = "broadcast"


@dataclass(frozen=True)
class VaeMasksReplay(VaeMasks):
    """The same with replay."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-broadcast-masks",
        "VAE, spatial broadcast, masks",
        "Spatial-broadcast decoder per slot; alpha masks trained on instance masks.",
        replay=True,
        supervision="weak",
    )
    replayed: int = 48


@dataclass(frozen=True)
class VaeLabels(Vae):
    """Spatial-broadcast decoder per slot; masks and labels act on the slots."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-broadcast-labels",
        "VAE, spatial broadcast, labels",
        "Spatial-broadcast decoder per slot; alpha masks trained on instance masks, labels act on "
        "the slots through a linear readout.",
        supervision="supervised",
    )
    kind: DecoderKind = "broadcast"
    label_weight: float = 1.0


@dataclass(frozen=True)
class VaeLabelsReplay(VaeLabels):
    """The same with replay."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-broadcast-labels",
        "VAE, spatial broadcast, labels",
        "Spatial-broadcast decoder per slot; alpha masks trained on instance masks, labels act on "
        "the slots through a linear readout.",
        replay=True,
        supervision="supervised",
    )
    replayed: int = 48


_CONTROL = (
    "Control: one convolutional decoder of all slots, labels act on the slots through a linear "
    "readout."
)


@dataclass(frozen=True)
class VaeUnstructuredLabels(Vae):
    """One convolutional decoder of all slots; labels act on the slots."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-labels", "VAE, labels", _CONTROL, supervision="supervised"
    )
    kind: DecoderKind = "unstructured"
    label_weight: float = 1.0


@dataclass(frozen=True)
class VaeUnstructuredLabelsReplay(VaeUnstructuredLabels):
    """The same with replay."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-labels", "VAE, labels", _CONTROL, replay=True, supervision="supervised"
    )
    replayed: int = 48


@dataclass(frozen=True)
class VaeAdditive(Vae):
    """Additive decoder."""

    card: ClassVar[MethodCard] = card_of_row("vae-additive", "VAE, additive", "Additive decoder.")
    kind: DecoderKind = "additive"


@dataclass(frozen=True)
class VaeAdditiveReplay(VaeAdditive):
    """The same with replay."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-additive", "VAE, additive", "Additive decoder.", replay=True
    )
    replayed: int = 48


@dataclass(frozen=True)
class VaeBilinear(Vae):
    """Additive decoder plus a bilinear term of rank 16 per pair of slots."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-bilinear",
        "VAE, additive and bilinear",
        "Additive decoder plus a bilinear term of rank 16 per pair of slots.",
    )
    kind: DecoderKind = "bilinear"


@dataclass(frozen=True)
class VaeBilinearReplay(VaeBilinear):
    """The same with replay."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-bilinear",
        "VAE, additive and bilinear",
        "Additive decoder plus a bilinear term of rank 16 per pair of slots.",
        replay=True,
    )
    replayed: int = 48


@dataclass(frozen=True)
class VaeAttention(Vae):
    """Cross-attention decoder with the interaction regulariser."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-cross-attention",
        "VAE, cross-attention",
        "Cross-attention decoder with the interaction regulariser.",
    )
    kind: DecoderKind = "attention"


@dataclass(frozen=True)
class VaeAttentionReplay(VaeAttention):
    """The same with replay."""

    card: ClassVar[MethodCard] = card_of_row(
        "vae-cross-attention",
        "VAE, cross-attention",
        "Cross-attention decoder with the interaction regulariser.",
        replay=True,
    )
    replayed: int = 48


def _sizes(row: type[Vae]) -> dict[str, Vae]:
    with_replay = row().replayed > 0
    tiny = Schedule(steps=8, batch_size=16, rate=2e-3)
    return {
        "tiny": row(
            dim=8,
            width=32,
            layers=1,
            decoder_width=8,
            schedule=tiny,
            replay=Schedule(steps=4, batch_size=4),
            replayed=12 * with_replay,
            candidates=(SearchSettings(pose_rate=0.1, steps=3),),
            selection_images=16,
        ),
        "cpu": row(),
        "gpu": row(
            dim=32,
            width=256,
            layers=4,
            decoder_width=128,
            schedule=Schedule(
                steps=50_000, batch_size=128, rate=5e-4, weight_decay=0.001, compile=True
            ),
            replay=Schedule(steps=20_000, batch_size=64, rate=5e-4, compile=True),
            replayed=192 * with_replay,
            selection_images=512,
        ),
    }


_ROWS: tuple[type[Vae], ...] = (
    VaeUnstructured,
    VaeUnstructuredReplay,
    VaeBroadcast,
    VaeBroadcastReplay,
    VaeMasks,
    VaeMasksReplay,
    VaeLabels,
    VaeLabelsReplay,
    VaeUnstructuredLabels,
    VaeUnstructuredLabelsReplay,
    VaeAdditive,
    VaeAdditiveReplay,
    VaeBilinear,
    VaeBilinearReplay,
    VaeAttention,
    VaeAttentionReplay,
)
SIZES: dict[str, Mapping[str, Any]] = {row.__name__: _sizes(row) for row in _ROWS}
