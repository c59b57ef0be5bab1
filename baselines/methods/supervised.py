"""Supervised slot encoder: cross-entropy and pose regression, no generation anywhere.

The non-generative reference: a convolutional encoder with one learned query per slot (a query
transformer) is trained on the factor labels of in-combination images and answers in one pass.
Training stands in `recombine.baselines.methods.supervision`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recombine.baselines.methods.supervision import SlotSupervision, supervised_sizes
from recombine.benchmark.protocol.contract import MethodCard


@dataclass(frozen=True)
class Supervised(SlotSupervision):
    """The supervised reference."""

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised",
        name="Supervised slot encoder",
        inference="direct",
        supervision="supervised",
        source="arXiv 2512.08854, Section 5 (supervised encoder arm)",
        note="Reimplementation; details of the paper's Appendix B unseen. Convolutional encoder "
        "from scratch, one learned query per slot, labels of all factors.",
    )


SIZES: dict[str, dict[str, Supervised]] = {"Supervised": supervised_sizes(Supervised)}
