"""Autoencoders whose decoder adds up one picture per slot, with or without a bilinear term.

Additive decoders have no interaction between slots (first order in Brady et al., arXiv
2411.07784) and cannot draw occlusion; the bilinear term adds interaction of second order. A
softmax over alpha masks would not be additive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from recombine.baselines.methods.replay import NOTE as REPLAY_NOTE
from recombine.baselines.methods.replay import SlotReplay, replay_sizes
from recombine.baselines.methods.slotwise import NOTE, SOURCE, SlotAutoencoder, stage_sizes
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recombine.baselines.methods.slotmodel import DecoderKind

_SOURCE = SOURCE + "; arXiv 2307.02598 (additive decoders)"
_STRUCTURE = "No placement: pictures are grown by transposed convolutions. "


@dataclass(frozen=True)
class AdditiveDecoder(SlotAutoencoder):
    """A sum of one picture per slot."""

    card: ClassVar[MethodCard] = MethodCard(
        id="additive",
        name="Additive autoencoder",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        note=NOTE + _STRUCTURE + "Additive decoder.",
    )

    kind: DecoderKind = "additive"


@dataclass(frozen=True)
class AdditiveDecoderReplay(SlotReplay):
    """The same with replay."""

    card: ClassVar[MethodCard] = MethodCard(
        id="additive-replay",
        name="Additive autoencoder with replay",
        inference="replay",
        supervision="supervised",
        source=_SOURCE,
        note=NOTE + _STRUCTURE + "Additive decoder." + REPLAY_NOTE,
    )

    base: SlotAutoencoder = AdditiveDecoder()


@dataclass(frozen=True)
class BilinearDecoder(SlotAutoencoder):
    """A sum of one picture per slot plus a low-rank bilinear term per pair of slots."""

    card: ClassVar[MethodCard] = MethodCard(
        id="bilinear",
        name="Additive autoencoder with bilinear term",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        note=NOTE
        + _STRUCTURE
        + "Additive decoder plus a bilinear term of rank 16 per pair of slots.",
    )

    kind: DecoderKind = "bilinear"


@dataclass(frozen=True)
class BilinearDecoderReplay(SlotReplay):
    """The same with replay."""

    card: ClassVar[MethodCard] = MethodCard(
        id="bilinear-replay",
        name="Additive autoencoder with bilinear term with replay",
        inference="replay",
        supervision="supervised",
        source=_SOURCE,
        note=NOTE
        + _STRUCTURE
        + "Additive decoder plus a bilinear term of rank 16 per pair of slots."
        + REPLAY_NOTE,
    )

    base: SlotAutoencoder = BilinearDecoder()


SIZES: dict[str, Mapping[str, Any]] = {
    "AdditiveDecoder": stage_sizes(AdditiveDecoder),
    "AdditiveDecoderReplay": replay_sizes(AdditiveDecoderReplay, AdditiveDecoder),
    "BilinearDecoder": stage_sizes(BilinearDecoder),
    "BilinearDecoderReplay": replay_sizes(BilinearDecoderReplay, BilinearDecoder),
}
