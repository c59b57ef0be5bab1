"""Drawing the plan of a dataset: every latent and seed, before anything is rendered."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.seeds import keyed_seed
from recombine.renderer.core.types import Array
from recombine.renderer.planning.assets import check_assets
from recombine.renderer.planning.blocks import block_of
from recombine.renderer.planning.plan import CYCLES_SEED_BITS, PLAN_FORMAT, Plan
from recombine.renderer.presets.base import Preset
from recombine.renderer.splits.cells import Cell
from recombine.renderer.splits.geometry import SPLITS, Draw


def make_plan(preset: Preset) -> Plan:
    """Draw every latent of a preset from keyed seeds.

    Parameters
    ----------
    preset : Preset
        The recipe; one with a secret gives the plan of its hidden test set.

    Returns
    -------
    Plan
        Images ordered by stream (training, validation, test), then block, then split, then cell,
        then crossed values: ID and OOC images of one block are neighbours, so that no change of
        machine during a render can fall between ID and OOC.

    Raises
    ------
    InvalidInputError
        When an asset is unknown, objects cannot be placed, or sizes do not fill whole blocks.
    """
    check_assets(preset)
    rows = [
        row
        for parts in _streams(preset)
        for number in range(max(len(part.blocks) for part in parts))
        for part in parts
        for row in _rows(preset, part, number)
    ]
    columns: dict[str, Array] = {}
    for key in preset.schema.keys:
        categorical = preset.schema.factor(key).kind == "categorical"
        columns[key] = np.array([r.latents[key] for r in rows], np.int64 if categorical else float)
    return Plan(
        config=config_of(preset),
        schema=preset.schema,
        settings=preset.settings,
        latents=columns,
        split=np.array([SPLITS.index(r.split) for r in rows], np.uint8),
        rungs=np.array([r.rungs for r in rows], np.uint8),
        block=np.array([r.block for r in rows], np.int64),
        cycles_seed=np.array([r.cycles_seed for r in rows], np.int64),
        tries=np.array([r.tries for r in rows], np.int64),
        recipe=preset.recipe,
        assets=preset.assets,
    )


def image_counts(preset: Preset) -> dict[str, int]:
    """Return how many images every split of a preset has, without drawing any latent."""
    crossed = math.prod(preset.schema.factor(k).size for k in preset.schema.crossed)
    return {p.split: crossed * sum(map(len, p.blocks)) for p in _parts(preset)}


@dataclass(frozen=True)
class _Part:
    """Blocks of one split: the stream of nuisances and, per block, draws with their rungs."""

    split: str
    stream: str
    blocks: Sequence[Sequence[tuple[Draw, int]]]


@dataclass(frozen=True)
class _Row:
    split: str
    rungs: int
    block: int
    latents: Mapping[str, float]
    cycles_seed: int
    tries: int


def config_of(preset: Preset) -> dict[str, Any]:
    """Return a preset as plain data: the configuration of its plan."""
    schema = preset.schema
    labels = {k: {v: n for n, v in enumerate(schema.factor(k).values)} for k in schema.recombined}
    config: dict[str, Any] = {
        "format": PLAN_FORMAT,
        "name": preset.name,
        "version": preset.version,
        "schema": schema.to_dict(),
        "constants": dict(preset.constants),
        # Membership is by the labels of value names, so it outlives another order of the list.
        "split": preset.split.to_dict() | {"labels": labels},
        "sizes": asdict(preset.sizes),
        "settings": asdict(preset.settings),
        "tier": preset.settings.tier,
        "separation": preset.separation,
        "arrangement": preset.arrangement,
    }
    if preset.assets:
        config["assets"] = [asset.record() for asset in preset.assets]
    if preset.commitment:
        part = "season" if preset.season else "hidden" if preset.secret else "public"
        config["hidden_test"] = {"part": part, "key_sha256": preset.commitment}
    # Through JSON, so that a plan read back from disk equals a fresh one (tuples become lists).
    return dict(json.loads(json.dumps(config)))


def _streams(preset: Preset) -> list[list[_Part]]:
    """Return the parts that share their blocks' nuisances together."""
    together: dict[str, list[_Part]] = {}
    for part in _parts(preset):
        together.setdefault(part.stream.partition("/")[0], []).append(part)
    return list(together.values())


def _parts(preset: Preset) -> Iterator[_Part]:
    shape, split, sizes = preset.schema.cell_shape, preset.split, preset.sizes

    def part(name: str, stream: str, draws: list[Draw], blocks: int) -> _Part:
        taken = [preset.block_draws(draws, b) for b in range(blocks)]
        return _Part(name, stream, [[(d, 0) for d in block] for block in taken])

    narrow, ooc = split.id_draws(shape), split.ooc_draws(shape)
    own = f"/{preset.secret}" if preset.season else ""
    if preset.season or not preset.secret:
        yield _Part("id_train", f"train{own}", _train_blocks(preset))
        yield part("id_val", f"val{own}", narrow, sizes.val)
    stream = f"hidden/{preset.secret}" if preset.secret else "test"
    # Test parts share one stream: that is what makes their blocks matched.
    yield part("id_test", stream, narrow, sizes.test)
    yield part("ooc_test", stream, ooc, sizes.test)
    held_out = split.ooc_val_draws(shape)
    if held_out and not preset.secret:
        yield part("ooc_val", "val", held_out, sizes.val)


def _train_blocks(preset: Preset) -> list[list[tuple[Draw, int]]]:
    shape, split, sizes = preset.schema.cell_shape, preset.split, preset.sizes
    counts = sizes.rung_blocks(split, shape)
    if sizes.cells and len(counts) > 1:
        raise InvalidInputError(
            f"{preset.name}: blocks of some cells need a ladder of one rung; got {len(counts)}. "
            "Set `cells` to 0."
        )
    ladder = [split.id_draws(shape, r) for r in range(len(counts))]
    members = [set(draws) for draws in ladder]
    blocks = []
    for b in range(sizes.train):
        # A wider rung has more cells and, at constant N, fewer blocks.
        open_rungs = [r for r, n in enumerate(counts) if b < n]
        draws = preset.block_draws(ladder[open_rungs[-1]], b)
        blocks.append([(d, sum(1 << r for r in open_rungs if d in members[r])) for d in draws])
    return blocks


_FIRST_BLOCK = {"train": 0, "val": 1_000_000, "test": 2_000_000}


def _rows(preset: Preset, part: _Part, number: int) -> Iterator[_Row]:
    """Yield the images of one block of a part; none where it has fewer blocks than others."""
    if number >= len(part.blocks):
        return
    kind = part.stream.partition("/")[0]
    first = _FIRST_BLOCK["test" if kind == "hidden" else kind]
    sizes = [range(preset.schema.factor(k).size) for k in preset.schema.crossed]
    crossings = [
        dict(zip(preset.schema.crossed, v, strict=True)) for v in itertools.product(*sizes)
    ]
    block = block_of(preset, part.stream, number)
    seed = keyed_seed(*preset.identity, f"cycles/{part.stream}", number, bits=CYCLES_SEED_BITS)
    for (cell, variant), rungs in part.blocks[number]:
        for crossing in crossings:
            latents = block.latents(_codes(preset, cell) | crossing, variant)
            yield _Row(part.split, rungs, first + number, latents, seed, block.tries)


def _codes(preset: Preset, cell: Cell) -> dict[str, int]:
    return dict(zip(preset.schema.recombined, cell, strict=True))
