"""Autoencoder with a slot-wise decoder, inverted by search, with or without replay.

The decoder draws every object as a small picture placed at the object's position and size, over a
full-size picture of the background; see `recombine.baselines.nn.decoders.Compositor`. Training,
search and replay stand in `recombine.baselines.methods.slotwise` and `recombine.baselines.methods.replay`.
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

_STRUCTURE = "Posed-patch decoder with alpha compositing."


@dataclass(frozen=True)
class Autoencoder(SlotAutoencoder):
    """The structured decoder, trained from in-combination slots."""

    card: ClassVar[MethodCard] = MethodCard(
        id="autoencoder",
        name="Slot autoencoder",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + _STRUCTURE,
    )


@dataclass(frozen=True)
class AutoencoderReplay(SlotReplay):
    """The same with replay."""

    card: ClassVar[MethodCard] = MethodCard(
        id="autoencoder-replay",
        name="Slot autoencoder with replay",
        inference="replay",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + _STRUCTURE + REPLAY_NOTE,
    )

    base: SlotAutoencoder = Autoencoder()


@dataclass(frozen=True)
class AutoencoderLearned(SlotAutoencoder):
    """The structured decoder, its background pictures learned from scratch."""

    card: ClassVar[MethodCard] = MethodCard(
        id="autoencoder-learned",
        name="Slot autoencoder, background learned",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + _STRUCTURE + " Background pictures start at random, not in closed form.",
    )

    closed_form: bool = False


SIZES: dict[str, Mapping[str, Any]] = {
    "Autoencoder": stage_sizes(Autoencoder),
    "AutoencoderLearned": stage_sizes(AutoencoderLearned),
    "AutoencoderReplay": replay_sizes(AutoencoderReplay, Autoencoder),
}
