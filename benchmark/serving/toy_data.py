"""Built-in images for contract checks, drawn by a few lines of code.

They are no stand-in for rendered data: a plain shape on a plain ground, without light, shadow or
texture. They only have the form of a dataset, so that a submission can be tried in seconds on a
machine without one. No score is ever computed on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.factors import Factor, Schema, Slot

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt8

    from recombine.renderer.core.types import Array

SHAPES = ("disc", "square", "diamond", "cross")
GROUNDS = ("red", "green", "blue", "grey")
GROUND_COLOURS = ((150, 60, 60), (60, 140, 70), (60, 70, 150), (120, 120, 120))
SCHEMA = Schema(
    (
        Slot(
            "object",
            (
                Factor("shape", "categorical", values=SHAPES),
                Factor("x", "continuous", low=-0.5, high=0.5, unit="m"),
                Factor("hue", "periodic"),
            ),
        ),
        Slot("background", (Factor("environment", "categorical", values=GROUNDS),)),
    ),
    ("object.shape", "background.environment"),
)
ID_CELLS = tuple((s, e) for s in range(4) for e in range(4) if (s + e) % 4 < 2)


@dataclass(frozen=True)
class BuiltinImages:
    """A dataset of drawn images, all in-combination, with the interface of a rendered one.

    Every call gives the same images. Image i of a split shows cell i mod 8.

    Attributes
    ----------
    resolution : int
        Image height and width in pixels, at least 16.
    train, val : int
        Images of "id_train" and "id_val".
    """

    resolution: int = 64
    train: int = 64
    val: int = 32
    preset: str = "builtin"
    version: str = "1.0"
    root: str = "b1" * 32
    schema: Schema = SCHEMA
    certificate: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.train + self.val

    def indices(self, split: str, *, rung: int = 0) -> Int[Array, " n"]:
        """Return the images of "id_train" or "id_val"; there are no test images and no rungs."""
        del rung
        start, stop = {"id_train": (0, self.train), "id_val": (self.train, len(self))}[split]
        return np.arange(start, stop)

    @property
    def cells(self) -> Int[Array, "images recombined"]:
        """Return the codes of shape and environment."""
        cells: Array = np.array(ID_CELLS, np.int64)[np.arange(len(self)) % len(ID_CELLS)]
        return cells

    @property
    def blocks(self) -> Int[Array, " images"]:
        """Return the block of every image: eight images, one per cell, share position and hue."""
        blocks: Array = np.arange(len(self)) // len(ID_CELLS)
        return blocks

    @property
    def latents(self) -> dict[str, Array]:
        """Return all factors. Positions and hues are low-discrepancy sequences, not random."""
        golden = (self.blocks * 0.6180339887498949) % 1.0
        plastic = (self.blocks * 0.7548776662466927) % 1.0
        return {
            "object.shape": self.cells[:, 0],
            "object.x": golden - 0.5,
            "object.hue": plastic * 2 * np.pi,
            "background.environment": self.cells[:, 1],
        }

    def images(self, indices: Any) -> UInt8[Array, "n height width 3"]:
        """Return some images."""
        return np.stack([self._draw(int(i))[0] for i in indices])

    def masks(self, indices: Any) -> UInt8[Array, "n height width"]:
        """Return the masks of some images: 0 background, 1 object."""
        return np.stack([self._draw(int(i))[1].astype(np.uint8) for i in indices])

    def check(self) -> None:
        """Refuse to be scored.

        Raises
        ------
        InvalidInputError
            Always.
        """
        raise InvalidInputError(
            "built-in images: they are for `recombine submission check` only and are never scored; "
            "render a dataset with `recombine render smoke --out runs/smoke`"
        )

    def _draw(self, i: int) -> tuple[UInt8[Array, "height width 3"], Bool[Array, "height width"]]:
        values = {key: column[i] for key, column in self.latents.items()}
        axis = (np.arange(self.resolution) + 0.5) / self.resolution - 0.5
        y, x = np.meshgrid(axis, axis, indexing="ij")
        inside = _inside(int(values["object.shape"]), x - 0.6 * values["object.x"], y)
        ground = np.array(GROUND_COLOURS[int(values["background.environment"])], np.float64)
        image = ground * (1.0 + 0.3 * y)[..., None]
        image[inside] = _colour(float(values["object.hue"]))
        return image.clip(0, 255).astype(np.uint8), inside


def _inside(
    shape: int, x: Float[Array, "height width"], y: Float[Array, "height width"]
) -> Bool[Array, "height width"]:
    size = 0.2
    if SHAPES[shape] == "disc":
        return x**2 + y**2 < size**2
    if SHAPES[shape] == "square":
        return np.maximum(abs(x), abs(y)) < 0.8 * size
    if SHAPES[shape] == "diamond":
        return abs(x) + abs(y) < 1.1 * size
    return (np.minimum(abs(x), abs(y)) < 0.35 * size) & (np.maximum(abs(x), abs(y)) < size)


def _colour(hue: float) -> Float[Array, " 3"]:
    phases = hue + np.array([0.0, 2.0, 4.0]) * np.pi / 3
    colour: Array = 150.0 + 100.0 * np.cos(phases)
    return colour
