"""Control: a convolutional decoder on concatenated slots, without any slot structure.

Its replay row is at the same time the control "an encoder trained on as many generated images":
same images made, same anchoring, a decoder free to interact everywhere.
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

_STRUCTURE = "Control: one convolutional decoder on the concatenated slots."


@dataclass(frozen=True)
class UnstructuredDecoder(SlotAutoencoder):
    """The unstructured decoder."""

    card: ClassVar[MethodCard] = MethodCard(
        id="unstructured",
        name="Unstructured autoencoder",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + _STRUCTURE,
    )

    kind: DecoderKind = "unstructured"


@dataclass(frozen=True)
class UnstructuredDecoderReplay(SlotReplay):
    """The same with replay."""

    card: ClassVar[MethodCard] = MethodCard(
        id="unstructured-replay",
        name="Unstructured autoencoder with replay",
        inference="replay",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + _STRUCTURE + REPLAY_NOTE,
    )

    base: SlotAutoencoder = UnstructuredDecoder()


SIZES: dict[str, Mapping[str, Any]] = {
    "UnstructuredDecoder": stage_sizes(UnstructuredDecoder),
    "UnstructuredDecoderReplay": replay_sizes(UnstructuredDecoderReplay, UnstructuredDecoder),
}
