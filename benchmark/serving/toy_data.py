"""A small dataset drawn by a few lines of code, with the form of a rendered one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import UsageError
from recombine.renderer.scenes.factors import Factor, Schema, Slot

if TYPE_CHECKING:
    from jaxtyping import Int, UInt8

    from recombine.renderer.core.types import Array

EDGE = 8  # of the drawing; bigger images repeat its pixels
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
CELLS = tuple((shape, ground) for shape in range(4) for ground in range(4))
ID_CELLS = tuple(cell for cell in CELLS if sum(cell) % 4 < 2)


@dataclass(eq=False)
class ToyDataset:
    """A dataset of drawn images, to try a submission on in seconds, without rendering.

    It has the interface of a rendered dataset and the four splits, but no light, shadow or texture:
    a score on it says whether code works, and nothing else. The left half of an image is the
    object: the place of a bright row tells its shape, the colour of the last row its x and hue. The
    right half is the background, in a colour of its own. So whoever reads the pixels of both halves
    knows every factor, in- and out-of-combination alike. Every call gives the same images.

    Attributes
    ----------
    resolution : int
        Image height and width in pixels, at least 8.
    train, val : int
        Blocks of "id_train" and "id_val": 8 images each, one per in-combination cell, that share
        x and hue.
    test : int
        Blocks of "id_test" and "ooc_test": 16 images each, one per cell.
    preset, version, identity, root : str
        As of a rendered dataset.
    cells : array
        ``(N, 2)`` int64, codes of shape and environment.
    blocks : array
        ``(N,)`` int64.
    latents : dict of str to array
        Factor name to ``(N,)`` values: codes, metres, radians.

    Raises
    ------
    UsageError
        When the resolution is below 8.

    Examples
    --------
    >>> data = ToyDataset(resolution=32)
    >>> data.images(data.indices("ooc_test")).shape
    (48, 32, 32, 3)
    """

    resolution: int = 64
    train: int = 20
    val: int = 5
    test: int = 6
    preset: str = "toy"
    version: str = "1.0"
    identity: str = "1dea" * 16
    root: str = "5eed" * 16
    schema: Schema = SCHEMA
    certificate: Mapping[str, Any] = field(default_factory=lambda: {"checks": []})
    manifest: Mapping[str, Any] = field(default_factory=lambda: {"provenance": {"blender": "4.5"}})

    def __post_init__(self) -> None:
        if self.resolution < EDGE:
            raise UsageError(
                f"ToyDataset: resolution must be at least {EDGE}, got {self.resolution}"
            )
        rows = [("id_train", cell, b) for b in range(self.train) for cell in ID_CELLS]
        rows += [("id_val", cell, self.train + b) for b in range(self.val) for cell in ID_CELLS]
        for block in range(self.train + self.val, self.train + self.val + self.test):
            rows += [("id_test" if c in ID_CELLS else "ooc_test", c, block) for c in CELLS]
        self.splits = np.array([split for split, _, _ in rows])
        self.cells: Int[Array, "images recombined"] = np.array([c for _, c, _ in rows], np.int64)
        self.blocks: Int[Array, " images"] = np.array([block for _, _, block in rows], np.int64)
        shared = np.random.default_rng(7).uniform(size=(self.blocks.max() + 1, 2))[self.blocks]
        self.latents: dict[str, Array] = {
            "object.shape": self.cells[:, 0],
            "object.x": shared[:, 0] - 0.5,
            "object.hue": shared[:, 1] * 2 * np.pi,
            "background.environment": self.cells[:, 1],
        }

    def __len__(self) -> int:
        return len(self.cells)

    def indices(self, split: str, *, rung: int = 0) -> Int[Array, " n"]:
        """Return the images of a split, ascending; there are no rungs.

        Parameters
        ----------
        split : {"id_train", "id_val", "id_test", "ooc_test"}
            Which one.
        rung : int
            Ignored.
        """
        del rung
        return np.flatnonzero(self.splits == split)

    def images(self, indices: Any) -> UInt8[Array, "n height width 3"]:
        """Return some images, ``(n, H, W, 3)`` uint8, sRGB.

        Parameters
        ----------
        indices : sequence of int
            Which ones.
        """
        rows = np.arange(self.resolution) * EDGE // self.resolution
        return np.stack([self._draw(int(i)) for i in indices])[:, rows][:, :, rows]

    def masks(self, indices: Any) -> UInt8[Array, "n height width"]:
        """Return the masks of some images, ``(n, H, W)`` uint8: 0 background, 1 object.

        Parameters
        ----------
        indices : sequence of int
            Which ones.
        """
        out: Array = np.zeros((len(indices), self.resolution, self.resolution), np.uint8)
        out[:, :, np.arange(self.resolution) * EDGE // self.resolution < EDGE // 2] = 1
        return out

    def check(self) -> None:
        """Do nothing: there is nothing that could have been tampered with."""

    def _draw(self, i: int) -> UInt8[Array, "edge edge 3"]:
        image = np.full((EDGE, EDGE, 3), 20.0)
        shape, environment = self.cells[i]
        hue = self.latents["object.hue"][i]
        image[2 * shape, :4] += 120
        image[7, :4, 0] += 100 * (self.latents["object.x"][i] + 0.5)
        image[7, :4, 1] += 50 + 50 * np.cos(hue)
        image[7, :4, 2] += 50 + 50 * np.sin(hue)
        image[:, 4:, :] += 60 * np.array([environment & 1, environment >> 1, 1])
        noise = np.random.default_rng(i).uniform(-5, 5, image.shape)
        pixels: Array = (image + noise).clip(0, 255).astype(np.uint8)
        return pixels
