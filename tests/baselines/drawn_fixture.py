"""A small drawn stand-in for rendered data: four shapes in front of four patterned grounds.

It is drawn with NumPy in milliseconds and is *not* rendered data; it only shows that the
learners learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from recombine.benchmark.protocol.contract import SplitSpec
from recombine.benchmark.serving.data import Batch, batch_hash

FACTORS = {
    "object.shape": "categorical[4]",
    "object.x": "float[m]",
    "object.y": "float[m]",
    "object.yaw": "angle[rad]",
    "object.scale": "float[m]",
    "object.hue": "angle[rad]",
    "background.environment": "categorical[4]",
}


def _inside(shape: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    if shape == 0:
        return np.maximum(abs(u), abs(v)) < 0.8
    if shape == 1:
        return (abs(u) < 0.28) | (abs(v) < 0.28)
    if shape == 2:
        return (v > -0.6) & (v < 0.9 - 1.7 * abs(u))
    return (np.hypot(u, v) < 1.0) & (np.hypot(u, v) > 0.45)


def _ground(environment: int, px: int) -> np.ndarray:
    r, c = np.mgrid[:px, :px] / px
    pattern = [
        np.sin(r * 25),
        np.sin(c * 25),
        np.sign(np.sin(r * 20) * np.sin(c * 20)),
        2 * r - 1,
    ][environment]
    base = np.array([[0.5, 0.6, 0.4], [0.6, 0.45, 0.35], [0.4, 0.45, 0.6], [0.6, 0.6, 0.6]])
    return np.clip(base[environment] + 0.12 * pattern[..., None], 0, 1)


def draw(factors: dict[str, float], px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return image (H, W, 3) in [0, 1] and mask (H, W)."""
    image = _ground(int(factors["background.environment"]), px)
    r, c = (np.mgrid[:px, :px] * 2 + 1) / px - 1
    size = factors["object.scale"] * (1 - 0.25 * factors["object.y"])
    u, v = c - 0.8 * factors["object.x"], r + 0.8 * factors["object.y"]
    shade = np.exp(-((u - 0.1) ** 2 + (v - size) ** 2 * 4) / size**2 * 2)
    image = image * (1 - 0.4 * shade[..., None])
    angle = factors["object.yaw"] / 8
    ru, rv = u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)
    inside = _inside(int(factors["object.shape"]), ru / size, -rv / size)
    hue = factors["object.hue"] + np.array([0, 2.1, 4.2])
    image[inside] = 0.5 + 0.4 * np.cos(hue)
    return image, inside.astype(np.int64)


@dataclass
class DrawnData:
    """The form of `recombine.benchmark.serving.data.TrainData`, from arrays in memory."""

    images: torch.Tensor
    factors: dict[str, torch.Tensor]
    masks: torch.Tensor | None
    spec: SplitSpec
    images_served: int = field(default=0)

    def __len__(self) -> int:
        return len(self.images)

    def _batch(self, rows: Any) -> Batch:
        return Batch(
            self.images[rows],
            {k: v[rows] for k, v in self.factors.items()},
            None if self.masks is None else self.masks[rows],
        )

    def arrays(self) -> Batch:
        self.images_served += len(self)
        return self._batch(slice(None))

    def fingerprint(self) -> str:
        return batch_hash(self._batch(slice(None)))

    def count_again(self, n_images: int) -> None:
        self.images_served += n_images

    def batches(self, batch_size: int, *, seed: int, drop_last: bool = False) -> Iterator[Batch]:
        order = np.random.default_rng(seed).permutation(len(self))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            if drop_last and len(rows) < min(batch_size, len(order)):
                return
            self.images_served += len(rows)
            yield self._batch(torch.from_numpy(rows))


def drawn(n: int, *, px: int, seed: int, offsets: tuple[int, ...] = (0, 1)) -> DrawnData:
    """Draw n images whose environment is the shape plus one of the offsets, modulo 4."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(4, size=n)
    factors = {
        "object.shape": shape,
        "object.x": rng.uniform(-0.5, 0.5, n),
        "object.y": rng.uniform(-0.5, 0.5, n),
        "object.yaw": rng.uniform(0, 2 * np.pi, n),
        "object.scale": rng.uniform(0.3, 0.45, n),
        "object.hue": rng.uniform(0, 2 * np.pi, n),
        "background.environment": (shape + rng.choice(offsets, n)) % 4,
    }
    pairs = [draw({k: v[i] for k, v in factors.items()}, px) for i in range(n)]
    images = np.stack([p[0] for p in pairs]).transpose(0, 3, 1, 2)
    images = np.clip(images + rng.normal(0, 0.01, images.shape), 0, 1)
    tensors = {
        k: torch.from_numpy(v.astype(np.int64 if v.dtype.kind == "i" else np.float32))
        for k, v in factors.items()
    }
    return DrawnData(
        torch.from_numpy(images.astype(np.float32)),
        tensors,
        torch.from_numpy(np.stack([p[1] for p in pairs])),
        SplitSpec((px, px), 2, FACTORS),
    )


@dataclass
class ListLog:
    """A RunLog that remembers."""

    generated: int = 0
    tried: list[tuple[dict[str, Any], float]] = field(default_factory=list)
    scalars: list[tuple[str, float, int]] = field(default_factory=list)

    def count_generated(self, n_images: int) -> None:
        self.generated += n_images

    def config_tried(self, config: Any, id_val_score: float) -> None:
        self.tried.append((dict(config), id_val_score))

    def scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))
