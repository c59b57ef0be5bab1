"""Slot attention with set matching; see `recombine.baselines.nn.slot_attention`.

Source: Locatello et al. 2020, arXiv 2006.15055, the set prediction of Section 4.2. Objects are
matched to the labels by the cheapest assignment; the background keeps its slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from recombine.baselines.methods.supervised import Supervised
from recombine.baselines.nn.slot_attention import SlotAttention
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from torch import nn

    from recombine.baselines.nn.slots import SlotLayout


@dataclass(frozen=True)
class SlotAttentionEncoder(Supervised):
    """Supervised slot attention; ``layers`` counts the rounds of attention."""

    card: ClassVar[MethodCard] = MethodCard(
        id="slot-attention",
        name="Supervised slot attention",
        inference="direct",
        supervision="supervised",
        source="arXiv 2006.15055, Algorithm 1",
        paper="https://arxiv.org/abs/2006.15055",
        note="Set matching of objects by the cheapest assignment; slots start from learned "
        "vectors, so that their roles are fixed.",
    )

    layers: int = 3

    def encoder(self, layout: SlotLayout, image_hw: tuple[int, int]) -> nn.Module:
        """Return the untrained slot attention."""
        return SlotAttention(
            layout.count, layout.dim, width=self.width, image_hw=image_hw, iterations=self.layers
        )
