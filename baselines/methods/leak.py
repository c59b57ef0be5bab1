"""Control: the structured decoder whose per-slot branches see all slots.

Layers, compositing, placement and training are those of the slot autoencoder; only the inputs of
the branches differ, so it is as good in combination and free to tie a slot's look to its company.
What it loses against the slot autoencoder out of combination is due to slot structure alone.
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

_STRUCTURE = (
    "Control: the posed-patch decoder of the slot autoencoder, whose branches see all slots."
)


@dataclass(frozen=True)
class Leak(SlotAutoencoder):
    """The structured decoder with leaking branches."""

    card: ClassVar[MethodCard] = MethodCard(
        id="leak",
        name="Leaking slot autoencoder",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + _STRUCTURE,
    )

    kind: DecoderKind = "leak"


@dataclass(frozen=True)
class LeakReplay(SlotReplay):
    """The same with replay."""

    card: ClassVar[MethodCard] = MethodCard(
        id="leak-replay",
        name="Leaking slot autoencoder with replay",
        inference="replay",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + _STRUCTURE + REPLAY_NOTE,
    )

    base: SlotAutoencoder = Leak()


@dataclass(frozen=True)
class LeakLearned(SlotAutoencoder):
    """The leaking decoder, its background pictures learned from scratch."""

    card: ClassVar[MethodCard] = MethodCard(
        id="leak-learned",
        name="Leaking slot autoencoder, background learned",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + _STRUCTURE + " Background pictures start at random, not in closed form.",
    )

    kind: DecoderKind = "leak"
    closed_form: bool = False


SIZES: dict[str, Mapping[str, Any]] = {
    "Leak": stage_sizes(Leak),
    "LeakLearned": stage_sizes(LeakLearned),
    "LeakReplay": replay_sizes(LeakReplay, Leak),
}
