"""Controls of compute and width: several supervised encoders, averaged or put side by side.

* `Ensemble` looks several times, at the operations of a search: encoders of different seeds answer
  about altered views of an image, and their answers are averaged. Views are shifts by whole pixels
  and changes of brightness, the same for every image. Members and views are set so that an image
  costs about thirty steps of search; it is measured as for every row.
* `Concatenated` puts the slots of k encoders of width d / k side by side: together they have the
  width of one, so a gain is not due to a wider representation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from recombine.baselines.methods.supervised import Supervised
from recombine.baselines.nn.object_masks import aligned
from recombine.baselines.nn.slots import activate
from recombine.baselines.training.loop import Sizes
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, TrainBudget

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from recombine.baselines.training.slot_encoder import RecognitionEncoder
    from recombine.benchmark.protocol.contract import RunLog, SplitSpec
    from recombine.benchmark.serving.data import TrainData


@dataclass(frozen=True)
class _Several(Supervised):
    """A supervised encoder, trained several times with different seeds."""

    def _fit_all(
        self,
        count: int,
        data: TrainData,
        val: TrainData,
        *,
        seed: int,
        budget: TrainBudget,
        log: RunLog,
    ) -> list[RecognitionEncoder]:
        """Train every one on its share of the budget; see `Supervised.fit`."""
        images, seconds = budget.max_images_seen, budget.max_seconds
        share = TrainBudget(
            max_images_seen=None if images is None else images // count,
            max_seconds=None if seconds is None else seconds / count,
        )
        return [
            Supervised.fit(self, data, val, seed=seed + 7919 * member, budget=share, log=log)
            for member in range(count)
        ]


@dataclass(frozen=True)
class Ensemble(_Several):
    """Settings of the ensemble; ``fit`` trains every member as long as the single encoder."""

    card: ClassVar[MethodCard] = MethodCard(
        id="ensemble",
        name="Supervised slot encoders, ensemble with test-time augmentation",
        inference="direct",
        supervision="supervised",
        source="",
        note="Control: three supervised slot encoders answer about 9 shifted and brightened "
        "views each, at about the operations of 30 steps of search; answers are averaged.",
        role="control",
    )
    SIZES: ClassVar[Sizes] = {
        **Supervised.SIZES,
        "tiny": {**Supervised.SIZES["tiny"], "members": 2, "views": 3},
    }

    members: int = 3  # encoders
    views: int = 9  # views of an image per encoder; the first is the image itself

    def fit(  # type: ignore[override]
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> EnsembleEncoder:
        """Train every member."""
        members = self._fit_all(self.members, data, val, seed=seed, budget=budget, log=log)
        return EnsembleEncoder(members, self.views)


class EnsembleEncoder:
    """Fitted encoders whose answers about altered views are averaged."""

    def __init__(self, members: list[RecognitionEncoder], views: int) -> None:
        self.members, self.views = members, views
        self.slot_dim = members[0].model.layout.dim

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Set every member up; see `RecognitionEncoder.setup`."""
        for member in self.members:
            member.setup(spec, device)

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


@dataclass(frozen=True)
class Concatenated(_Several):
    """Settings of the narrow encoders; ``fit`` trains all of them, each as long as the one."""

    card: ClassVar[MethodCard] = MethodCard(
        id="concatenated",
        name="Supervised slot encoders, concatenated",
        inference="direct",
        supervision="supervised",
        source="Zhang and Bottou 2022, arXiv 2212.07346 (concatenated representations)",
        paper="https://arxiv.org/abs/2212.07346",
        note="Control: four supervised slot encoders of a quarter of the width, trained apart "
        "with different seeds, slots concatenated.",
        role="control",
    )
    PARTS: ClassVar[int] = 4
    SIZES: ClassVar[Sizes] = {
        "tiny": {**Supervised.SIZES["tiny"], "width": 8},
        "cpu": Supervised.SIZES["cpu"],
        "gpu": {**Supervised.SIZES["gpu"], "width": 64},
    }

    width: int = 16

    def fit(  # type: ignore[override]
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> ConcatenatedEncoder:
        """Train every part."""
        return ConcatenatedEncoder(
            self._fit_all(self.PARTS, data, val, seed=seed, budget=budget, log=log)
        )


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
