"""Controls of search on the slot autoencoder: what it moves, and where it starts.

* `BestOfClasses` uses no gradients: a step takes one categorical factor, decodes the guess with
  each of its values and keeps the lowest pixel error; the next step takes the next factor
  (coordinate descent). With one recombined factor per slot two steps are the whole search. It tells
  how much of gradient search is the choice of a class and how much the repair of the pose.
* `RandomStart` ignores the encoder: what the decoder alone can do. From a random start search
  almost never finds the scene, so most of search's success is the encoder's good start.
* `MultiStart` searches from the encoder's guess and from altered copies of it, and keeps the one
  with the lowest pixel error: several times the compute for the failures that are stuck.

Starts are the same for every image (or made from its guess), so that images stay independent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from recombine.baselines.generative.slot_autoencoder import NOTE, PAPER, SOURCE, SlotAutoencoder
from recombine.baselines.nn.compositing import squared_error
from recombine.baselines.nn.slots import activate
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import Sizes, budget_share, deadline_of, seeded
from recombine.baselines.training.search import Inversion
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from recombine.baselines.training.search import SearchState
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData

_BASE = SlotAutoencoder()
JITTER = 0.5  # Standard deviations of a start's continuous factors around the guess.


def _card(slug: str, name: str, what: str) -> MethodCard:
    return MethodCard(
        id=slug,
        name=f"Slot autoencoder, {name}",
        inference="direct",
        supervision="supervised",
        source=SOURCE,
        paper=PAPER,
        note=f"{NOTE}Control: posed-patch decoder{what}",
        role="control",
        generative=True,
    )


@dataclass(frozen=True)
class BestOfClasses:
    """Settings of the search over classes; ``fit`` trains the slot autoencoder."""

    card: ClassVar[MethodCard] = _card(
        "best-of-classes",
        "best of classes",
        "; a step decodes every value of one categorical factor at the encoder's pose and keeps "
        "the lowest pixel error, without gradients.",
    )
    SIZES: ClassVar[Sizes] = {"tiny": {}, "cpu": {}, "gpu": {}}

    # training. Its gradient search settings are not used, so none are compared
    base: SlotAutoencoder = _BASE
    size: str = "cpu"  # named size that these settings came from

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> ClassSearch:
        """Train stage 1 as `SlotAutoencoder.fit` does; nothing is selected on ``val``."""
        del val
        base, deadline = self.base, deadline_of(budget)
        share = budget_share(budget, base.images(data))
        with seeded(seed):
            model = base.stage(data, seed=seed, share=share, log=log, deadline=deadline)
        return ClassSearch(model.recognition, model.decoder, base.candidates[0], base.precision)


class ClassSearch(Inversion):
    """Coordinate descent over categorical factors; see the module."""

    @torch.no_grad()
    def step(
        self, images: Float[Tensor, "images 3 height width"], state: SearchState
    ) -> SearchState:
        """Take the best value of the next categorical factor, every image on its own."""
        factors = [
            (k, c)
            for k, slot in enumerate(self.layout.slots)
            for c in slot
            if c.kind == "categorical"
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


@dataclass(frozen=True)
class MultiStart:
    """Settings of search from several starts; ``fit`` trains the slot autoencoder."""

    card: ClassVar[MethodCard] = _card(
        "multi-start",
        "several starts",
        ", search from the guess and from altered copies; every step counts all starts, and the "
        "lowest pixel error is kept.",
    )
    SIZES: ClassVar[Sizes] = {"tiny": {}, "cpu": {}, "gpu": {}}

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
        base, deadline = self.base, deadline_of(budget)
        share = budget_share(budget, base.images(data))
        with seeded(seed) as generator:
            model = base.stage(data, seed=seed, share=share, log=log, deadline=deadline)
            inversion = base.inversion(model, val, seed=seed, log=log)
            layout = model.recognition.layout
            noise = torch.randn(self.starts, layout.count, layout.dim, generator=generator)
        return ManyStarts(inversion, noise, random=self.random)


@dataclass(frozen=True)
class RandomStart(MultiStart):
    """The same from one random start."""

    card: ClassVar[MethodCard] = _card(
        "random-start",
        "random start",
        ", search from a random scene in place of the encoder's guess; before any step it answers "
        "that scene.",
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
