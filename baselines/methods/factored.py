"""Structured inside the slot: form and surface drawn apart, recombined factor by factor.

For splits that recombine factors of one slot (`object-texture`): a decoder with slot structure
only may draw each seen pair of shape and material by heart, and replay of whole slots repeats the
seen pairs. Expect about half without, and most of it back with both (drawn data).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from recombine.baselines.methods.replay import SlotReplay, replay_sizes
from recombine.baselines.methods.slotwise import NOTE, SOURCE, SlotAutoencoder, stage_sizes
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recombine.baselines.methods.slotmodel import DecoderKind

_STRUCTURE = (
    "Posed-patch decoder, factorised inside the object slot: outline and shading from form, "
    "colour from material and hue."
)


@dataclass(frozen=True)
class FactoredDecoder(SlotAutoencoder):
    """The factored decoder."""

    card: ClassVar[MethodCard] = MethodCard(
        id="factored",
        name="Factored slot autoencoder",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + _STRUCTURE,
    )

    kind: DecoderKind = "factored"


@dataclass(frozen=True)
class FactorReplay(SlotReplay):
    """The same with replay of recombined factors."""

    card: ClassVar[MethodCard] = MethodCard(
        id="factor-replay",
        name="Factored slot autoencoder with factor-level replay",
        inference="replay",
        supervision="supervised",
        source=SOURCE,
        note=NOTE
        + _STRUCTURE
        + " Replay draws every factor from the bank independently, inside slots too, and keeps a "
        "quarter of real images in every batch.",
    )

    base: SlotAutoencoder = FactoredDecoder()
    within: bool = True


SIZES: dict[str, Mapping[str, Any]] = {
    "FactoredDecoder": stage_sizes(FactoredDecoder),
    "FactorReplay": replay_sizes(FactorReplay, FactoredDecoder),
}
