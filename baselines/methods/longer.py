"""Controls of compute and size: the supervised encoder trained longer, and a larger one.

Generative rows spend more compute on training (a decoder, then replay) and have more parameters.
`SupervisedLonger` gets three times the optimiser steps, `SupervisedLarger` about as many
parameters as encoder and decoder of the slot autoencoder together. On drawn data longer training
makes the encoder slightly *worse* out of combination: it learns the shortcut better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from recombine.baselines.methods.supervision import SlotSupervision, supervised_sizes
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOURCE = "arXiv 2512.08854, Section 5 (supervised encoder arm)"


@dataclass(frozen=True)
class SupervisedLonger(SlotSupervision):
    """Three times the optimiser steps of the supervised reference."""

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised-longer",
        name="Supervised slot encoder, trained longer",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        note="Control: the supervised slot encoder with three times the training steps.",
    )


@dataclass(frozen=True)
class SupervisedLarger(SlotSupervision):
    """A wider and deeper encoder."""

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised-larger",
        name="Supervised slot encoder, larger",
        inference="direct",
        supervision="supervised",
        source=_SOURCE,
        note="Control: a wider and deeper supervised slot encoder with about the parameters of "
        "encoder and decoder of the slot autoencoder together.",
    )

    width: int = 128
    layers: int = 3


_LARGER = supervised_sizes(SupervisedLarger)
SIZES: dict[str, Mapping[str, Any]] = {
    "SupervisedLonger": supervised_sizes(SupervisedLonger, times=3),
    "SupervisedLarger": {
        "tiny": SupervisedLarger(width=48, layers=2, schedule=_LARGER["tiny"].schedule),
        "cpu": _LARGER["cpu"],
        "gpu": SupervisedLarger(width=512, layers=8, schedule=_LARGER["gpu"].schedule),
    },
}
