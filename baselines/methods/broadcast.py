"""Autoencoder with a spatial-broadcast decoder per slot, mixed by a softmax over alpha masks.

The usual decoder of object-centric learning (Watters et al. 2019; Burgess et al. 2019). Small
ones stay blurry for long, so expect less from search than with a placed patch.
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

_SOURCE = SOURCE + "; arXiv 1901.07017 (spatial broadcast), 1901.11390 (mixture)"
_STRUCTURE = "Spatial-broadcast decoder per slot with alpha compositing."


@dataclass(frozen=True)
class BroadcastDecoder(SlotAutoencoder):
    """Spatial broadcast with alpha compositing."""

    card: ClassVar[MethodCard] = MethodCard(
        id="broadcast",
        name="Spatial-broadcast autoencoder",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        note=NOTE + _STRUCTURE,
    )

    kind: DecoderKind = "broadcast"


@dataclass(frozen=True)
class BroadcastDecoderReplay(SlotReplay):
    """The same with replay."""

    card: ClassVar[MethodCard] = MethodCard(
        id="broadcast-replay",
        name="Spatial-broadcast autoencoder with replay",
        inference="replay",
        supervision="supervised",
        source=_SOURCE,
        note=NOTE + _STRUCTURE + REPLAY_NOTE,
    )

    base: SlotAutoencoder = BroadcastDecoder()


SIZES: dict[str, Mapping[str, Any]] = {
    "BroadcastDecoder": stage_sizes(BroadcastDecoder),
    "BroadcastDecoderReplay": replay_sizes(BroadcastDecoderReplay, BroadcastDecoder),
}
