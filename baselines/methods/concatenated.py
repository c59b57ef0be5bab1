"""Control: several narrow encoders trained apart, their slots put side by side.

k encoders of width d / k with different seeds have together the width of one, so a gain is not due
to a wider representation; it says what an ensemble of representations adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from recombine.baselines.methods.supervision import SlotSupervision, supervised_sizes
from recombine.baselines.nn.object_masks import aligned
from recombine.baselines.nn.slots import activate
from recombine.baselines.training.device import on_device
from recombine.baselines.training.slot_encoder import RecognitionEncoder
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, TrainBudget

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec
    from recombine.benchmark.serving.data import TrainData

PARTS = 4


@dataclass(frozen=True)
class Concatenated(SlotSupervision):
    """Settings of the narrow encoders; ``fit`` trains all of them, each as long as the one."""

    card: ClassVar[MethodCard] = MethodCard(
        id="concatenated",
        name="Supervised slot encoders, concatenated",
        inference="direct",
        supervision="supervised",
        source="Zhang and Bottou 2022, arXiv 2212.07346 (concatenated representations)",
        note="Control: four supervised slot encoders of a quarter of the width, trained apart "
        "with different seeds, slots concatenated.",
    )

    width: int = 16

    @on_device
    def fit(  # type: ignore[override]
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> ConcatenatedEncoder:
        """Train every part on its share of the budget; see `SlotSupervision.fit`."""
        images, seconds = budget.max_images_seen, budget.max_seconds
        share = TrainBudget(
            max_images_seen=None if images is None else images // PARTS,
            max_seconds=None if seconds is None else seconds / PARTS,
        )
        parts = [
            super(Concatenated, self).fit(data, val, seed=seed + 7919 * part, budget=share, log=log)
            for part in range(PARTS)
        ]
        return ConcatenatedEncoder(parts)


class ConcatenatedEncoder:
    """Fitted encoders that answer side by side."""

    def __init__(self, parts: list[RecognitionEncoder]) -> None:
        self.parts = parts
        self.slot_dim = sum(part.slot_dim for part in parts)

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Set every part up; see `RecognitionEncoder.setup`."""
        for part in self.parts:
            part.setup(spec, device)

    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return the slots of all parts, ``(B, K, sum of widths)``."""
        with torch.no_grad():
            answers = [part.model.run(images) for part in self.parts]
        layout = self.parts[0].model.layout
        guesses = [activate(layout, outputs) for _, outputs in answers]
        slots = []
        for (own, _), guess in zip(answers, guesses, strict=True):
            order = aligned(layout, guess, guesses[0])[:, :, None].expand_as(own)
            slots.append(own.gather(1, order))
        masks = self.parts[0].model.outlines(guesses[0])
        return SlotOutput(slots=torch.cat(slots, dim=2), masks=masks)


SIZES: dict[str, dict[str, Concatenated]] = {
    "Concatenated": {
        **supervised_sizes(Concatenated),
        "tiny": Concatenated(
            width=8, layers=1, schedule=supervised_sizes(Concatenated)["tiny"].schedule
        ),
        "gpu": Concatenated(
            width=64, layers=4, schedule=supervised_sizes(Concatenated)["gpu"].schedule
        ),
    }
}
