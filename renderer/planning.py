"""Drawing the plan of a dataset: every latent and seed, before anything is rendered."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recombine.renderer.arrays import Array
from recombine.renderer.cells import Cell
from recombine.renderer.factors import Factor
from recombine.renderer.placement import draw_allowed
from recombine.renderer.plan import CYCLES_SEED_BITS, PLAN_FORMAT, Plan
from recombine.renderer.presets import Preset
from recombine.renderer.seeds import keyed_rng, keyed_seed
from recombine.renderer.splits import SPLITS


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
    # A re-indexed preset keeps the seeds of the one it is made from.
    identity = (preset.name.partition("--")[0], preset.version)
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
