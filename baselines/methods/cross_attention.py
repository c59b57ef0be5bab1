"""Autoencoder with a cross-attention decoder and the interaction regulariser.

The decoder of arXiv 2512.08854 (from Brady et al., *Interaction Asymmetry*), on known slots: see
`recombine.baselines.nn.attention_decoder`. Differs from the source in drawing 4 x 4 pixels per
query and in an embedding of the slot's role. The regulariser's weight 0.06 is the source's 0.05
times the square of its 12 heads (ours is a mean over heads), for a loss of 100 times the mean
squared error in place of their sum over 64 x 64 x 3 values: 0.05 * 144 * 100 / 12288.
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

_SOURCE = SOURCE + "; arXiv 2411.07784 (decoder and regulariser)"
_STRUCTURE = (
    "Cross-attention decoder, 4 x 4 pixels per query, interaction regulariser in closed form."
)


@dataclass(frozen=True)
class AttentionDecoder(SlotAutoencoder):
    """Cross-attention with the interaction regulariser."""

    card: ClassVar[MethodCard] = MethodCard(
        id="cross-attention",
        name="Cross-attention autoencoder",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        note=NOTE + _STRUCTURE,
    )

    kind: DecoderKind = "attention"


@dataclass(frozen=True)
class AttentionDecoderReplay(SlotReplay):
    """The same with replay."""

    card: ClassVar[MethodCard] = MethodCard(
        id="cross-attention-replay",
        name="Cross-attention autoencoder with replay",
        inference="replay",
        supervision="supervised",
        source=_SOURCE,
        note=NOTE + _STRUCTURE + REPLAY_NOTE,
    )

    base: SlotAutoencoder = AttentionDecoder()


SIZES: dict[str, Mapping[str, Any]] = {
    "AttentionDecoder": stage_sizes(AttentionDecoder),
    "AttentionDecoderReplay": replay_sizes(AttentionDecoderReplay, AttentionDecoder),
}
