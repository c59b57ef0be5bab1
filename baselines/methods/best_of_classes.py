"""Control of search: decode every class at the encoder's pose and keep the best, no gradients.

One step takes one categorical factor, decodes the guess with each of its values and keeps the value
with the lowest pixel error, then the next step takes the next factor (coordinate descent). With one
recombined factor per slot, two steps already are the whole search. It tells how much of gradient
search is the choice of a class and how much the repair of the pose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from recombine.baselines.methods.slotwise import (
    NOTE,
    SOURCE,
    SlotAutoencoder,
    deadline_of,
    stage_sizes,
)
from recombine.baselines.nn.compositing import squared_error
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import budget_share, seeded
from recombine.baselines.training.search import Inversion
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float
    from torch import Tensor

    from recombine.baselines.training.search import SearchState
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData

_BASE = SlotAutoencoder()


@dataclass(frozen=True)
class BestOfClasses:
    """Settings of the search over classes; ``fit`` trains the slot autoencoder."""

    card: ClassVar[MethodCard] = MethodCard(
        id="best-of-classes",
        name="Slot autoencoder, best of classes",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + "Control: posed-patch decoder; a step decodes every value of one categorical "
        "factor at the encoder's pose and keeps the lowest pixel error, without gradients.",
    )

    # training. Its gradient search settings are not used, so none are compared
    base: SlotAutoencoder = _BASE
    size: str = "cpu"  # named size that these settings came from

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> ClassSearch:
        """Train stage 1 as `SlotAutoencoder.fit` does; nothing is selected on ``val``."""
        del val
        share = budget_share(budget, self.base.images(data))
        with seeded(seed):
            model = self.base.stage(
                data, seed=seed, share=share, log=log, deadline=deadline_of(budget)
            )
        settings = self.base.candidates[0]
        return ClassSearch(model.recognition, model.decoder, settings, self.base.precision)


class ClassSearch(Inversion):
    """Coordinate descent over categorical factors; see the module."""

    @torch.no_grad()
    def step(
        self, images: Float[Tensor, "images 3 height width"], state: SearchState
    ) -> SearchState:
        """Take the best value of the next categorical factor, every image on its own."""
        factors = [
            (k, c) for k, slot in enumerate(self.layout.slots) for c in slot if c.kind[0] == "c"
        ]
        if not factors:
            return state
        k, columns = factors[state.done % len(factors)]
        best, error = state.best, state.error
        for value in range(columns.width):
            tried: Tensor = state.best.clone()
            tried[:, k, columns.span] = 0
            tried[:, k, columns.start + value] = 1
            errors = squared_error(self._image(tried), images)
            better = errors < error
            best = torch.where(better[:, None, None], tried, best)
            error = torch.minimum(errors, error)
        return replace(state, best=best, error=error, done=state.done + 1)


SIZES: dict[str, Mapping[str, Any]] = {
    "BestOfClasses": {
        size: BestOfClasses(base=base) for size, base in stage_sizes(SlotAutoencoder).items()
    }
}
