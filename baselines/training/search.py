"""Search: inverting a decoder, one Adam step on the pixel error per call."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from recombine.baselines.nn.compositing import squared_error
from recombine.baselines.nn.slots import activate, check_spec, smooth
from recombine.baselines.training.device import generator_of
from recombine.baselines.training.loop import Precision, autocast
from recombine.benchmark.protocol.contract import SlotOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor, nn

    from recombine.baselines.nn.slots import SlotLayout
    from recombine.baselines.training.slot_encoder import Recognition
    from recombine.benchmark.protocol.contract import RunLog, SplitSpec
    from recombine.benchmark.serving.data import Batch, TrainData


@dataclass(frozen=True)
class SearchSettings:
    """How slots are searched."""

    rate: float = 0.4  # adam's step on log-probabilities
    pose_rate: float = 0.03  # adam's step on angles and standardised continuous factors
    # share of the uniform distribution in the categorical start; see
    # `recombine.baselines.nn.slots.smooth`
    mix: float = 0.2
    # length of the cosine from full steps to a tenth of them; later steps stay there
    steps: int = 30
    entropy: float = 0.0


CANDIDATES: tuple[SearchSettings, ...] = (
    SearchSettings(),
    SearchSettings(pose_rate=0.12),
    SearchSettings(rate=0.8, pose_rate=0.12, mix=0.5),
)


@dataclass
class SearchState:
    """The state of a search over B images; no entry depends on another image."""

    variables: Tensor  # ``(B, K, D)`` log-probabilities, angle vectors and standardised values
    first: Tensor  # adam's moments, shaped alike
    second: Tensor  # adam's moments, shaped alike
    done: int  # steps made
    best: Tensor  # ``(B, K, D)`` slots of the lowest pixel error so far
    error: Tensor  # ``(B,)`` that error; infinite before the first step


class Inversion:
    """A decoder inverted from an encoder's guess.

    Slots are read as the best iterate per image. A step measures the error at the slots it starts
    from, so the slots after the very last step are not among the candidates.
    """

    def __init__(
        self,
        recognition: Any,
        decoder: nn.Module,
        settings: SearchSettings,
        precision: Precision,
    ) -> None:
        self.recognition = recognition.eval().requires_grad_(False)
        self.decoder = decoder.eval().requires_grad_(False)
        self.settings = settings
        self.precision: Precision = precision
        self.layout = recognition.layout
        self.slot_dim = self.layout.dim
        self._rates = _rates(self.layout, settings)

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Check that the images are of the kind trained on, and move there."""
        check_spec(spec, self.layout, self.recognition.image_hw)
        self.move(device)

    def move(self, device: torch.device) -> None:
        """Move encoder, decoder and step sizes to a device."""
        self.recognition.to(device)
        self.decoder.to(device)
        self._rates = self._rates.to(device)

    @torch.no_grad()
    def init(self, images: Float[Tensor, "images 3 height width"]) -> SearchState:
        """Return the encoder's guess, its class probabilities mixed with the uniform."""
        return self.start(self.recognition.guess(images))

    def start(self, slots: Float[Tensor, "images slots dim"]) -> SearchState:
        """Return the state of a search that begins at given slots."""
        variables = smooth(self.layout, slots, self.settings.mix)
        return SearchState(
            variables=variables,
            first=torch.zeros_like(variables),
            second=torch.zeros_like(variables),
            done=0,
            best=slots.clone(),
            error=torch.full((len(slots),), torch.inf, device=slots.device),
        )

    def step(
        self, images: Float[Tensor, "images 3 height width"], state: SearchState
    ) -> SearchState:
        """Make one Adam step on every image's own pixel error."""
        with torch.enable_grad():
            variables = state.variables.detach().requires_grad_()
            slots = activate(self.layout, variables)
            errors = squared_error(self._image(slots), images)
            if self.settings.entropy:
                errors = errors + self.settings.entropy * class_entropy(self.layout, slots)
            (gradient,) = torch.autograd.grad(errors.sum(), variables)
        better = errors.detach() < state.error
        best = torch.where(better[:, None, None], slots.detach(), state.best)
        done = state.done + 1
        first = 0.9 * state.first + 0.1 * gradient
        second = 0.99 * state.second + 0.01 * gradient.square()
        move = (first / (1 - 0.9**done)) / ((second / (1 - 0.99**done)).sqrt() + 1e-12)
        scale = _cosine(state.done, self.settings.steps)
        return replace(
            state,
            variables=variables.detach() - scale * self._rates * move,
            first=first,
            second=second,
            done=done,
            best=best,
            error=torch.minimum(errors.detach(), state.error),
        )

    def read(self, state: SearchState) -> SlotOutput:
        """Return the best slots so far, ``(B, K, D)``; exchangeable ones with masks."""
        return SlotOutput(slots=state.best, masks=self.masks(state.best))

    def masks(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images slots height width"] | None:
        """Return where the slots lie in the image, if that is needed to tell them apart."""
        masks: Tensor | None = self.recognition.outlines(slots)
        return masks

    @torch.no_grad()
    def decode(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Return the images of slots, clamped to [0, 1]."""
        return self._image(slots).clamp(0, 1)

    def _image(self, slots: Tensor) -> Tensor:
        with autocast(self.precision, slots.device.type):
            image: Tensor = self.decoder(slots).image
        return image


def class_entropy(
    layout: SlotLayout, slots: Float[Tensor, "images slots dim"]
) -> Float[Tensor, " images"]:
    """Return the entropy of the class probabilities in nats, summed over categorical factors."""
    total = slots.new_zeros(len(slots))
    for k, slot in enumerate(layout.slots):
        for c in slot:
            if c.kind == "categorical":
                total = total + torch.special.entr(slots[:, k, c.span].clamp_min(1e-9)).sum(1)
    return total


def _rates(layout: SlotLayout, settings: SearchSettings) -> Float[Tensor, "slots dim"]:
    rates = torch.zeros(layout.count, layout.dim)
    for k, slot in enumerate(layout.slots):
        for c in slot:
            rates[k, c.span] = settings.rate if c.kind == "categorical" else settings.pose_rate
    return rates


def _cosine(step: int, steps: int) -> float:
    share = torch.pi * min(step / max(steps, 1), 1.0)
    return 0.1 + 0.45 * (1 + float(torch.cos(torch.tensor(share))))


def wrong_start(
    layout: SlotLayout,
    slots: Float[Tensor, "images slots dim"],
    generator: torch.Generator,
    jitter: float = 0.5,
) -> tuple[Float[Tensor, "images slots dim"], Tensor]:
    """Make one slot of every image confidently wrong, as an encoder is on unseen combinations."""
    able = [k for k, slot in enumerate(layout.slots) if any(c.kind == "categorical" for c in slot)]
    chosen = torch.tensor(able)[torch.randint(len(able), (len(slots),), generator=generator)]
    out = slots.clone()
    for k in able:
        rows = (chosen == k).nonzero()[:, 0]
        for c in layout.slots[k]:
            if c.kind == "categorical":
                shift = torch.randint(1, max(c.width, 2), (len(rows),), generator=generator)
                code = (slots[rows, k, c.span].argmax(1) + shift) % c.width
                out[rows, k, c.span] = torch.nn.functional.one_hot(code, c.width).to(out.dtype)
            elif c.kind == "float":
                out[rows, k, c.span] += jitter * torch.randn(len(rows), 1, generator=generator)
    return out, chosen


def id_recovery(inversion: Inversion, batch: Batch, seed: int) -> float:
    """Return the share of in-combination images that a search from a wrong start gets right."""
    # Plain in-combination accuracy cannot tell good search settings from useless ones, because the
    # encoder's start is already right there. Starting from a wrong value asks the search to do what
    # it must do out of combination, with in-combination images only.
    generator = generator_of(seed)
    guess = inversion.recognition.guess(batch.images)
    truth = inversion.recognition.targets(batch.factors)
    wrong, _ = wrong_start(
        inversion.layout, _with_labels(inversion.layout, guess, truth), generator
    )
    state = inversion.start(wrong)
    for _ in range(inversion.settings.steps):
        state = inversion.step(batch.images, state)
    right = torch.ones(len(truth), dtype=torch.bool)
    for k, slot in enumerate(inversion.layout.slots):
        for c in slot:
            if c.kind == "categorical":
                right &= state.best[:, k, c.span].argmax(1) == truth[:, k, c.span].argmax(1)
    return float(right.float().mean())


def _with_labels(layout: SlotLayout, guess: Tensor, truth: Tensor) -> Tensor:
    """Return the guess with true categorical values, so that a wrong value is really wrong."""
    out = guess.clone()
    for k, slot in enumerate(layout.slots):
        for c in slot:
            if c.kind == "categorical":
                out[:, k, c.span] = truth[:, k, c.span]
    return out


@torch.no_grad()
def select_search(
    recognition: Recognition,
    decoder: nn.Module,
    val: TrainData,
    *,
    precision: Precision,
    seed: int,
    log: RunLog,
    candidates: Sequence[SearchSettings] = CANDIDATES,
    images: int = 96,
) -> SearchSettings:
    """Choose search settings by ID recovery on in-combination validation images."""
    batch = next(iter(val.batches(min(images, len(val)), seed=seed)))
    scores = []
    for settings in candidates:
        score = id_recovery(Inversion(recognition, decoder, settings, precision), batch, seed)
        log.config_tried(asdict(settings), score)
        scores.append(score)
    return candidates[scores.index(max(scores))]
