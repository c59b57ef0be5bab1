"""A harmless submission on images drawn by code, for bad submissions to start from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.results.result import Result
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission
from recombine.leaderboard.submissions.bundle import MethodFile, write_bundle
from recombine.renderer.scenes.factors import Factor, Schema, Slot
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jaxtyping import Int, UInt8
    from torch import Tensor

    from recombine.renderer.core.types import Array

SIDE = 8
VALUES = ("one", "two", "three", "four")
CELLS = tuple(product(range(4), range(4)))
SHOWN = tuple(cell for cell in CELLS if sum(cell) % 4 < 2)
COPIES = (("id_train", 20, SHOWN), ("id_val", 6, SHOWN), ("test", 6, CELLS))


@dataclass(frozen=True)
class DrawnData:
    """Sixteen combinations of a bright row and a colour; never a result about anything."""

    preset: str = "drawn"
    version: str = "1.0"
    resolution: int = SIDE

    @property
    def identity(self) -> str:
        """Return what the images show."""
        return self.root

    @property
    def root(self) -> str:
        """Return the hash of the images."""
        return hashlib.sha256(self.images(np.arange(len(self))).tobytes()).hexdigest()

    @property
    def certificate(self) -> Mapping[str, Any]:
        """Return that nothing was certified."""
        return {"checks": []}

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Return no provenance."""
        return {}

    @property
    def schema(self) -> Schema:
        """Return two categorical factors, one per slot."""
        slots = tuple(
            Slot(slot, (Factor(name, "categorical", values=VALUES),))
            for slot, name in (("object", "row"), ("background", "colour"))
        )
        return Schema(slots, ("object.row", "background.colour"))

    @cached_property
    def rows(self) -> list[tuple[tuple[int, int], str, int]]:
        """Return cell, split and block of every image."""
        out = []
        for split, copies, cells in COPIES:
            for copy in range(copies):
                for cell in cells:
                    test = "id_test" if cell in SHOWN else "ooc_test"
                    out.append((cell, test if split == "test" else split, copy))
        return out

    @property
    def cells(self) -> Int[Array, "images factors"]:
        """Return the value codes of every image."""
        return np.array([cell for cell, _, _ in self.rows], np.int64)

    @property
    def blocks(self) -> Int[Array, " images"]:
        """Return the block of every image."""
        return np.array([block for _, _, block in self.rows], np.int64)

    @property
    def latents(self) -> Mapping[str, Array]:
        """Return every factor of every image."""
        return {"object.row": self.cells[:, 0], "background.colour": self.cells[:, 1]}

    def __len__(self) -> int:
        return len(self.rows)

    def indices(self, split: str, *, rung: int = 0) -> Int[Array, " n"]:
        """Return the images of a split."""
        del rung
        return np.flatnonzero(np.array([name == split for _, name, _ in self.rows]))

    def images(self, indices: Any) -> UInt8[Array, "n height width 3"]:
        """Draw images."""
        out = np.full((len(indices), SIDE, SIDE, 3), 20, np.uint8)
        for image, index in zip(out, indices, strict=True):
            row, colour = self.rows[int(index)][0]
            image[2 * row, : SIDE // 2] += 150
            image[:, SIDE // 2 :] += np.array([60 * (colour & 1), 60 * (colour >> 1), 60], np.uint8)
            image[SIDE - 1] += np.uint8(int(index) % 40)
        return out

    def masks(self, indices: Any) -> UInt8[Array, "n height width"]:
        """Return which half belongs to which slot."""
        out = np.zeros((len(indices), SIDE, SIDE), np.uint8)
        out[:, :, : SIDE // 2] = 1
        return out

    def check(self) -> None:
        """Nothing is stored that could be broken."""


class Halves:
    """An honest encoder: the pixels of either half."""

    slot_dim = SIDE * SIDE // 2 * 3
    card = MethodCard(id="halves", name="Halves", data="open")

    def setup(self, spec: object, device: object) -> None:
        """Nothing to prepare."""

    def encode(self, images: Tensor) -> SlotOutput:
        """Return background and object pixels."""
        import torch

        half = SIDE // 2
        parts = [images[..., half:].flatten(1), images[..., :half].flatten(1)]
        return SlotOutput(slots=torch.stack(parts, dim=1))


@dataclass(frozen=True)
class World:
    """What attacks start from."""

    data: DrawnData  # the dataset
    result: Path  # an honest result file
    predictions: Path  # the honest predictions file
    bundle: Path  # both in a bundle


METHOD = MethodFile(authors=("nobody",), licence="Apache-2.0")


def make_world(folder: Path) -> World:
    """Score the honest encoder and bundle it."""
    data = DrawnData()
    options = RunOptions(batch_size=32, readout_labels=100)
    (result,) = score_submission(
        Halves(), data, seeds=(0,), out_dir=folder / "runs", options=options
    )
    path = result.save(folder / "result.json")
    (predictions,) = (folder / "runs").rglob("*.safetensors")
    bundle = write_bundle(
        folder / "submissions", [path], {file_sha256(predictions): predictions}, METHOD
    )
    return World(data, path, predictions, bundle.folder)


def resealed(path: Path, target: Path, **over: Any) -> Path:
    """Change a result as a careful forger does: with a matching result id."""
    plain = json.loads(path.read_text()) | over
    fields = {k: v for k, v in plain.items() if k not in ("schema_version", "result_id")}
    return Result.sealed(**fields).save(target)
