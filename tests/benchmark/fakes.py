"""A dataset in memory with the attributes of `renderer.reader.Dataset`, and methods to score.

Images are 8 x 8. The left half shows the object: a bright pixel row per shape and a brightness
for x; the right half shows the background's colour. A method that reads pixels sees everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.renderer.core.errors import IntegrityError
from recombine.renderer.scenes.factors import Factor, Schema, Slot

SCHEMA = Schema(
    (
        Slot(
            "object",
            (
                Factor("shape", "categorical", values=("teapot", "star", "pawn", "knot")),
                Factor("x", "continuous", low=-0.5, high=0.5, unit="m"),
                Factor("hue", "periodic"),
            ),
        ),
        Slot(
            "background",
            (
                Factor(
                    "environment", "categorical", values=("meadow", "parquet", "slate", "studio")
                ),
            ),
        ),
    ),
    ("object.shape", "background.environment"),
)
ALL = [(s, e) for s in range(4) for e in range(4)]
ID = [cell for cell in ALL if sum(cell) % 4 < 2]


def _rows(train, val, test):
    """Return (cell, split, block) of every image; a test block holds all 16 cells."""
    rows, block = [], 0
    for split, blocks, cells in (("id_train", train, ID), ("id_val", val, ID), ("test", test, ALL)):
        for _ in range(blocks):
            names = {c: ("id_test" if c in ID else "ooc_test") for c in cells}
            rows += [(c, names[c] if split == "test" else split, block) for c in cells]
            block += 1
    return rows


@dataclass
class FakeDataset:
    """See the module; ``broken`` makes the certificate fail."""

    train: int = 20
    val: int = 5
    test: int = 6
    broken: bool = False
    root: str = "5eed" * 16
    preset: str = "smoke"
    version: str = "1.0"
    resolution: int = 8
    schema: Schema = SCHEMA
    certificate: dict = field(default_factory=lambda: {"checks": []})
    manifest: dict = field(default_factory=lambda: {"provenance": {"blender": "4.5"}})

    def __post_init__(self):
        rows = _rows(self.train, self.val, self.test)
        self.cells = np.array([cell for cell, _, _ in rows], np.int64)
        self.splits = np.array([split for _, split, _ in rows])
        self.blocks = np.array([block for _, _, block in rows], np.int64)
        rng = np.random.default_rng(7)
        per_block = rng.uniform(size=(self.blocks.max() + 1, 2))[self.blocks]
        self.latents = {
            "object.shape": self.cells[:, 0],
            "object.x": per_block[:, 0] - 0.5,
            "object.hue": per_block[:, 1] * 2 * np.pi,
            "background.environment": self.cells[:, 1],
        }

    def __len__(self):
        return len(self.cells)

    def indices(self, split, *, rung=0):
        return np.flatnonzero(self.splits == split)

    def images(self, indices):
        return np.stack([self._draw(int(i)) for i in indices])

    def masks(self, indices):
        out = np.zeros((len(indices), 8, 8), np.uint8)
        out[:, :, :4] = 1
        return out

    def check(self):
        if self.broken:
            raise IntegrityError("fake: the certificate fails")

    def _draw(self, i):
        image = np.full((8, 8, 3), 20.0)
        shape, environment = self.cells[i]
        image[2 * shape, :4] += 120
        image[7, :4, 0] += 100 * (self.latents["object.x"][i] + 0.5)
        image[7, :4, 1] += 50 + 50 * np.cos(self.latents["object.hue"][i])
        image[7, :4, 2] += 50 + 50 * np.sin(self.latents["object.hue"][i])
        image[:, 4:, :] += 60 * np.array([environment & 1, environment >> 1, 1])
        noise = np.random.default_rng(i).uniform(-5, 5, image.shape)
        return (image + noise).clip(0, 255).astype(np.uint8)


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
