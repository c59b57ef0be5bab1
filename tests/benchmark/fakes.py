"""The toy dataset at its smallest, with a certificate that can fail, and methods to score.

Images are 8 x 8, so a method that reads pixels sees everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.serving.toy_data import ToyDataset
from recombine.renderer.core.errors import IntegrityError


@dataclass(eq=False)
class FakeDataset(ToyDataset):
    """``broken`` makes the certificate fail; under a preset's name, as rendered data are."""

    resolution: int = 8
    preset: str = "smoke"
    broken: bool = False

    def check(self):
        if self.broken:
            raise IntegrityError("fake: the certificate fails")


def halves(images):
    """Return (B, 2, 96): the object's half and the background's half of the pixels."""
    left, right = images[..., :4].flatten(1), images[..., 4:].flatten(1)
    return torch.stack([left, right], dim=1)


class Pixels:
    """Sees every factor, in- and out-of-combination alike. Background first, to need matching."""

    slot_dim = 96
    card = MethodCard(id="pixels", name="Pixels", data="open")

    def setup(self, spec, device):
        self.spec = spec

    def encode(self, images):
        return SlotOutput(slots=halves(images).flip(1))


class Segmenter(Pixels):
    """Sees every factor, and says which half of the image belongs to which slot."""

    card = MethodCard(id="segmenter", name="Segmenter", data="open")

    def encode(self, images):
        slots = halves(images)
        masks = torch.zeros(len(images), 2, *images.shape[2:])
        masks[:, 0, :, :4], masks[:, 1, :, 4:] = 0.75, 1.0
        return SlotOutput(slots=slots, presence=torch.full((len(images), 2), 0.5), masks=masks)


class Memoriser(Pixels):
    """Knows the combination by number: perfect on seen ones, useless on new ones."""

    slot_dim = 16
    card = MethodCard(id="memoriser", name="Memoriser", data="open")

    def encode(self, images):
        parts = halves(images)
        rows = parts[:, 0].unflatten(1, (3, 8, 4)).mean(dim=(1, 3))
        shape = rows[:, [0, 2, 4, 6]].argmax(1)
        colour = parts[:, 1].unflatten(1, (3, 32)).mean(2)
        environment = (colour[:, 0] > 0.2).long() + 2 * (colour[:, 1] > 0.2).long()
        one_hot = torch.nn.functional.one_hot(4 * shape + environment, 16).float()
        return SlotOutput(slots=one_hot[:, None].repeat(1, 2, 1))


class Constant(Pixels):
    """Knows nothing."""

    slot_dim = 2
    card = MethodCard(id="constant", name="Constant", data="open")

    def encode(self, images):
        return SlotOutput(slots=torch.zeros(len(images), 2, 2))


class Approach:
    """Search that moves from the memoriser's answer to the pixels, a third of the way per step."""

    slot_dim = 112

    def __init__(self):
        self.memory = Memoriser()

    def setup(self, spec, device):
        self.calls = 0

    def init(self, images):
        with torch.no_grad():
            known = self.memory.encode(images).slots
            return {"known": known, "seen": torch.zeros(len(images), 2, 96)}

    def step(self, images, state):
        seen = state["seen"].requires_grad_(True)
        loss = 0.5 * (seen - halves(images)).square().sum()
        (gradient,) = torch.autograd.grad(loss, seen)
        return {**state, "seen": (seen - gradient / 3).detach()}

    def read(self, state):
        return SlotOutput(slots=torch.cat([state["known"], state["seen"]], dim=2))

    def decode(self, slots):
        return torch.zeros(len(slots), 3, 8, 8)


@dataclass(frozen=True)
class Trained:
    """A learner that looks at one epoch, counts, and returns the search method."""

    width: int = 4

    @property
    def card(self):
        return MethodCard(id="approach", name="Approach", supervision="supervised")

    def fit(self, data, val, *, seed, budget, log):
        for batch in data.batches(32, seed=seed):
            assert set(batch.factors) == set(data.spec.factors)
            log.count_generated(len(batch.images))
            log.scalar("loss", 1.0, 0)
        log.config_tried({"width": self.width}, 0.5)
        log.config_tried({"width": 2 * self.width}, 0.6)
        return Approach()


@dataclass(frozen=True)
class Noisy:
    """A learner whose slots are pixels plus noise that is fixed per seed and image content."""

    noise: float = 0.3

    def fit(self, data, val, *, seed, budget, log):
        return NoisyPixels(self.noise, seed)


class NoisyPixels(Pixels):
    def __init__(self, noise, seed):
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(192, 192, generator=generator) * noise

    def encode(self, images):
        slots = halves(images)
        noise = torch.sin(1000 * slots.flatten(1) @ self.weight)
        return SlotOutput(slots=(slots + 0.7 * noise.unflatten(1, (2, 96))).contiguous())
