"""Controls of search: where it starts.

* `RandomStart` ignores the encoder: what the decoder alone can do. From a random start search
  almost never finds the scene, so most of search's success is the encoder's good start.
* `MultiStart` searches from the encoder's guess and from altered copies of it, and keeps the one
  with the lowest pixel error: several times the compute for the failures that are stuck.

Starts are the same for every image (or made from its guess), so that images stay independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from recombine.baselines.methods.slotwise import (
    NOTE,
    SOURCE,
    SlotAutoencoder,
    deadline_of,
    stage_sizes,
)
from recombine.baselines.nn.slots import activate
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import budget_share, seeded
from recombine.baselines.training.search import Inversion
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float
    from torch import Tensor

    from recombine.baselines.training.search import SearchState
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData

_BASE = SlotAutoencoder()
JITTER = 0.5  # Standard deviations of a start's continuous factors around the guess.


@dataclass(frozen=True)
class MultiStart:
    """Settings of search from several starts; ``fit`` trains the slot autoencoder."""

    card: ClassVar[MethodCard] = MethodCard(
        id="multi-start",
        name="Slot autoencoder, several starts",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + "Control: posed-patch decoder, search from the guess and from altered copies; "
        "every step counts all starts, and the lowest pixel error is kept.",
    )

    # training, and the choice of search settings (made with one start)
    base: SlotAutoencoder = _BASE
    starts: int = 4  # searches per image
    random: bool = False  # start anywhere, not at the encoder's guess
    size: str = "cpu"  # named size that these settings came from

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> ManyStarts:
        """Train as `SlotAutoencoder.fit` does and return the inverter with other starts."""
        share = budget_share(budget, self.base.images(data))
        with seeded(seed) as generator:
            model = self.base.stage(
                data, seed=seed, share=share, log=log, deadline=deadline_of(budget)
            )
            inversion = self.base.inversion(model, val, seed=seed, log=log)
            layout = model.recognition.layout
            noise = torch.randn(self.starts, layout.count, layout.dim, generator=generator)
        return ManyStarts(inversion, noise, random=self.random)


@dataclass(frozen=True)
class RandomStart(MultiStart):
    """The same from one random start."""

    card: ClassVar[MethodCard] = MethodCard(
        id="random-start",
        name="Slot autoencoder, random start",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        note=NOTE + "Control: posed-patch decoder, search from a random scene in place of the "
        "encoder's guess; before any step it answers that scene.",
    )

    starts: int = 1
    random: bool = True


class ManyStarts(Inversion):
    """An inversion that searches from several starts per image."""

    def __init__(
        self, inversion: Inversion, noise: Float[Tensor, "starts slots dim"], *, random: bool
    ) -> None:
        super().__init__(
            inversion.recognition, inversion.decoder, inversion.settings, inversion.precision
        )
        self.noise, self.random = noise, random

    def setup(self, spec: Any, device: torch.device) -> None:
        """Check and move, as `Inversion.setup` does."""
        super().setup(spec, device)
        self.noise = self.noise.to(device)

    @torch.no_grad()
    def init(self, images: Float[Tensor, "images 3 height width"]) -> SearchState:
        """Return the state of S searches per image, start by start."""
        drawn = activate(self.layout, 3 * self.noise)
        if self.random:
            starts = drawn[:, None].expand(-1, len(images), -1, -1)
        else:
            guess = self.recognition.guess(images)
            starts = torch.stack([guess, *(self._altered(guess, s) for s in self.noise[1:])])
        return self.start(starts.flatten(0, 1))

    def _altered(self, guess: Tensor, noise: Tensor) -> Tensor:
        """Return guesses with other classes and moved continuous factors."""
        out = guess.clone()
        for k, slot in enumerate(self.layout.slots):
            for c in slot:
                if c.kind == "categorical":
                    turn = 1 + int(noise[k, c.start].abs() * 997) % max(c.width - 1, 1)
                    out[:, k, c.span] = out[:, k, c.span].roll(turn, dims=1)
                else:
                    out[:, k, c.span] += JITTER * noise[k, c.span]
        return out

    def step(
        self, images: Float[Tensor, "images 3 height width"], state: SearchState
    ) -> SearchState:
        """Make one step of every search."""
        return super().step(images.repeat(len(self.noise), 1, 1, 1), state)

    def read(self, state: SearchState) -> SlotOutput:
        """Return the slots of the best search per image; of the first before any step."""
        errors = state.error.view(len(self.noise), -1)
        best = state.best.view(len(self.noise), -1, *state.best.shape[1:])
        chosen = errors.argmin(dim=0)
        slots = best[chosen, torch.arange(best.shape[1], device=best.device)]
        return SlotOutput(slots=slots, masks=self.masks(slots))


def _sizes(row: type[MultiStart]) -> dict[str, MultiStart]:
    return {size: row(base=base) for size, base in stage_sizes(SlotAutoencoder).items()}


SIZES: dict[str, Mapping[str, MultiStart]] = {
    "MultiStart": _sizes(MultiStart),
    "RandomStart": _sizes(RandomStart),
}
