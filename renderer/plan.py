"""The plan of a dataset: every latent and seed, drawn and stored before anything is rendered.

A block is one nuisance vector rendered for a set of whole orbits of cells. Blocks make the
nuisances of ID-test and OOC-test identical, not merely equal in law, so the gap between the
two is a paired statistic.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.arrays import Array
from recombine.renderer.cells import Cell
from recombine.renderer.factors import Factor, Schema
from recombine.renderer.placement import draw_allowed
from recombine.renderer.presets import Preset
from recombine.renderer.scene import RenderSettings, Scene, scene_hash, scene_of
from recombine.renderer.seeds import keyed_rng, keyed_seed
from recombine.renderer.splits import SPLITS

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

PLAN_FORMAT = "recombine.plan/1"
CYCLES_SEED_BITS = 31


@dataclass(frozen=True)
class Plan:
    """All latents of a dataset.

    Attributes
    ----------
    config : mapping
        Name, version, schema, constants, split, sizes and render settings as plain data.
    schema : Schema
        The schema inside ``config``.
    settings : RenderSettings
        The settings inside ``config``.
    latents : mapping of str to array of shape (N,)
        Codes (int64) of categorical factors, radians or units (float64) of the others.
    split, rungs : uint8 arrays of shape (N,)
        Index into `SPLITS`; bit r is set where the image trains rung r.
    block, cycles_seed, tries : int64 arrays of shape (N,)
        Matched block; seed of the path tracer; how many nuisance vectors were drawn until one
        could stand.
    """

    config: Mapping[str, Any]
    schema: Schema
    settings: RenderSettings
    latents: Mapping[str, Array]
    split: UInt8[Array, " N"]
    rungs: UInt8[Array, " N"]
    block: Int64[Array, " N"]
    cycles_seed: Int64[Array, " N"]
    tries: Int64[Array, " N"]

    def __len__(self) -> int:
        return len(self.split)

    @property
    def dataset(self) -> str:
        """Return ``name/version``."""
        return f"{self.config['name']}/{self.config['version']}"

    def scene(self, index: int) -> Scene:
        """Return the scene of one image."""
        return scene_of(
            self.schema,
            self.config["constants"],
            {k: v[index] for k, v in self.latents.items()},
            int(self.cycles_seed[index]),
        )

    def spec_hash(self, index: int) -> str:
        """Return the hash of everything that decides the pixels of one image."""
        return scene_hash(self.scene(index), self.settings)

    def digest(self) -> str:
        """Return the sha256 (hex) of the configuration and every column."""
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        columns = {**self.latents, "split": self.split, "rungs": self.rungs}
        columns |= {"block": self.block, "cycles_seed": self.cycles_seed, "tries": self.tries}
        for name in sorted(columns):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(columns[name]).tobytes())
        return digest.hexdigest()


def make_plan(preset: Preset) -> Plan:
    """Draw every latent of a preset from keyed seeds.

    Parameters
    ----------
    preset : Preset
        The recipe.

    Returns
    -------
    Plan
        Images ordered by split, then block, then cell.
    """
    rows = list(_rows(preset))
    keys = preset.schema.keys
    columns: dict[str, Array] = {}
    for key in keys:
        categorical = preset.schema.factor(key).kind == "categorical"
        columns[key] = np.array([r.latents[key] for r in rows], np.int64 if categorical else float)
    return Plan(
        config=_config(preset),
        schema=preset.schema,
        settings=preset.settings,
        latents=columns,
        split=np.array([SPLITS.index(r.split) for r in rows], np.uint8),
        rungs=np.array([r.rungs for r in rows], np.uint8),
        block=np.array([r.block for r in rows], np.int64),
        cycles_seed=np.array([r.cycles_seed for r in rows], np.int64),
        tries=np.array([r.tries for r in rows], np.int64),
    )


@dataclass(frozen=True)
class _Row:
    split: str
    rungs: int
    block: int
    latents: Mapping[str, float]
    cycles_seed: int
    tries: int


def _config(preset: Preset) -> dict[str, Any]:
    config = {
        "format": PLAN_FORMAT,
        "name": preset.name,
        "version": preset.version,
        "schema": preset.schema.to_dict(),
        "constants": dict(preset.constants),
        "split": preset.split.to_dict(),
        "sizes": asdict(preset.sizes),
        "settings": asdict(preset.settings),
        "separation": preset.separation,
    }
    # Through JSON, so that a plan read back from disk equals a fresh one (tuples become lists).
    return dict(json.loads(json.dumps(config)))


def _rows(preset: Preset) -> Iterator[_Row]:
    shape, split = preset.schema.cell_shape, preset.split
    narrow, ooc = split.id_cells(shape), split.ooc_cells(shape)
    ladder = [split.id_cells(shape, r) for r in range(len(split.ladder))]
    blocks = preset.sizes.rung_blocks(split, shape)

    for b in range(preset.sizes.train):
        # A wider rung has more cells and, at constant N, fewer blocks.
        widest = max(r for r, n in enumerate(blocks) if b < n)
        for cell in ladder[widest]:
            member = (1 << r for r, n in enumerate(blocks) if b < n and cell in ladder[r])
            yield _row(preset, "id_train", b, cell, sum(member))
    for b in range(preset.sizes.val):
        for cell in narrow:
            yield _row(preset, "id_val", b, cell, 0)
    for name, cells in (("id_test", narrow), ("ooc_test", ooc)):
        for b in range(preset.sizes.test):
            for cell in cells:
                yield _row(preset, name, b, cell, 0)


# Test parts share one stream: that is what makes their blocks matched.
_STREAM = {"id_train": "train", "id_val": "val", "id_test": "test", "ooc_test": "test"}
_FIRST_BLOCK = {"train": 0, "val": 1_000_000, "test": 2_000_000}


def _row(preset: Preset, split: str, number: int, cell: Cell, rungs: int) -> _Row:
    stream = _STREAM[split]
    identity = (preset.name, preset.version)
    rng = keyed_rng(*identity, f"nuisance/{stream}", number)
    latents, tries = _nuisances(preset, rng, f"{preset.name}, {stream} block {number}")
    latents |= dict(zip(preset.schema.recombined, cell, strict=True))
    seed = keyed_seed(*identity, f"cycles/{stream}", number, bits=CYCLES_SEED_BITS)
    return _Row(split, rungs, _FIRST_BLOCK[stream] + number, latents, seed, tries)


def _nuisances(preset: Preset, rng: np.random.Generator, who: str) -> tuple[dict[str, float], int]:
    def draw() -> dict[str, float]:
        return {k: _draw(preset.schema.factor(k), rng) for k in preset.schema.nuisances}

    if preset.separation is None:
        return draw(), 1
    objects = [s.name for s in preset.schema.slots if s.name.startswith("object")]
    return draw_allowed(draw, objects, preset.separation, who)


def _draw(factor: Factor, rng: np.random.Generator) -> float:
    if factor.kind == "categorical":
        return int(rng.integers(factor.size))
    if factor.kind == "periodic":
        return float(rng.random() * 2 * math.pi)
    return float(factor.low + rng.random() * (factor.high - factor.low))
