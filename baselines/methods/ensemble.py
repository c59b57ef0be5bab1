"""Control of test compute: encoders that look several times, at the operations of a search.

Several supervised encoders of different seeds answer about several altered views of an image, and
their answers are averaged. Views are shifts by whole pixels and changes of brightness, the same
for every image. Its cost per image is measured as for every row; members and views are set so
that it is about that of thirty steps of search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from recombine.baselines.methods.supervision import SlotSupervision, supervised_sizes
from recombine.baselines.nn.object_masks import aligned
from recombine.baselines.training.device import on_device
from recombine.baselines.training.slot_encoder import RecognitionEncoder, check_spec
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, TrainBudget

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec
    from recombine.benchmark.serving.data import TrainData


@dataclass(frozen=True)
class Ensemble(SlotSupervision):
    """Settings of the ensemble; ``fit`` trains every member as long as the single encoder."""

    card: ClassVar[MethodCard] = MethodCard(
        id="ensemble",
        name="Supervised slot encoders, ensemble with test-time augmentation",
        inference="direct",
        supervision="supervised",
        source="",
        note="Control: three supervised slot encoders answer about 9 shifted and brightened "
        "views each, at about the operations of 30 steps of search; answers are averaged.",
    )

    members: int = 3  # encoders
    views: int = 9  # views of an image per encoder; the first is the image itself

    @on_device
    def fit(  # type: ignore[override]
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> EnsembleEncoder:
        """Train every member on its share of the budget; see `SlotSupervision.fit`."""
        images, seconds = budget.max_images_seen, budget.max_seconds
        share = TrainBudget(
            max_images_seen=None if images is None else images // self.members,
            max_seconds=None if seconds is None else seconds / self.members,
        )
        members = [
            super(Ensemble, self).fit(data, val, seed=seed + 7919 * member, budget=share, log=log)
            for member in range(self.members)
        ]
        return EnsembleEncoder(members, self.views)


class EnsembleEncoder:
    """Fitted encoders whose answers about altered views are averaged."""

    def __init__(self, members: list[RecognitionEncoder], views: int) -> None:
        self.members, self.views = members, views
        self.slot_dim = members[0].model.layout.dim

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Set every member up; see `RecognitionEncoder.setup`."""
        for member in self.members:
            check_spec(spec, member.model.layout, member.model.image_hw)
            member.model.to(device)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return the mean slot vectors of all answers, ``(B, K, D)``."""
        layout, outlines = self.members[0].model.layout, self.members[0].model.outlines
        first = self.members[0].model.guess(images)
        answers = []
        for number in range(self.views):
            for member in self.members:
                if number == 0 and member is self.members[0]:
                    answers.append(first)
                    continue
                guess = member.model.guess(view(images, number))
                order = aligned(layout, guess, first)[:, :, None].expand_as(guess)
                answers.append(guess.gather(1, order))
        slots = torch.stack(answers).mean(0)
        return SlotOutput(slots=slots, masks=outlines(slots))


def view(
    images: Float[Tensor, "images 3 height width"], number: int
) -> Float[Tensor, "images 3 height width"]:
    """Return one of a fixed sequence of views; number 0 is the images themselves."""
    if number == 0:
        return images
    reach = max(1, images.shape[2] // 32)
    down, across = (reach * (number // 3**power % 3 - 1) for power in (0, 1))
    padded = torch.nn.functional.pad(images, (reach,) * 4, mode="replicate")
    height, width = images.shape[2:]
    shifted = padded[:, :, reach + down :, reach + across :][:, :, :height, :width]
    return (shifted * (0.9 + 0.1 * ((number + number // 3) % 3))).clamp(0, 1)


SIZES: dict[str, dict[str, Ensemble]] = {
    "Ensemble": {
        **supervised_sizes(Ensemble),
        "tiny": Ensemble(
            width=32,
            layers=1,
            schedule=supervised_sizes(Ensemble)["tiny"].schedule,
            members=2,
            views=3,
        ),
    }
}
