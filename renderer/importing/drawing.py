"""Which images train, validate and test: drawn by keyed seeds from whatever a table holds.

An image is drawn by a hash of its own name, so that neither the order of a table nor its other
rows move it from one split to another.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.seeds import keyed_seed
from recombine.renderer.core.types import Array
from recombine.renderer.importing.labels import Table
from recombine.renderer.importing.recipe import NONE, NUISANCES, Recipe
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.splits.cells import Cell
from recombine.renderer.splits.declaration import DeclaredSplit
from recombine.renderer.splits.geometry import SPLITS

if TYPE_CHECKING:
    from jaxtyping import Int64

ID_TRAIN, ID_VAL, ID_TEST, OOC_TEST = (
    SPLITS.index(name) for name in ("id_train", "id_val", "id_test", "ooc_test")
)
FIRST_BLOCK = {ID_TRAIN: 0, ID_VAL: 10_000_000, ID_TEST: 20_000_000, OOC_TEST: 20_000_000}
UNMATCHED_OOC = 30_000_000
FEWEST_BLOCKS = 8
"""Matched blocks that a table must have for them to be taken unasked."""


@dataclass(frozen=True)
class Row:
    """One image that is taken."""

    row: int  # of the table
    split: int  # index into `SPLITS`
    rungs: int  # bit r is set where it trains rung r
    block: int


@dataclass(frozen=True)
class Drawn:
    """All images that are taken, in the order of the plan, and what is left of the table."""

    rows: tuple[Row, ...]
    matched: bool  # whether ID and OOC test images share blocks
    notes: tuple[str, ...]  # what a reader must know about the draw


def draw(
    table: Table,
    schema: Schema,
    latents: dict[str, Array],
    split: DeclaredSplit,
    recipe: Recipe,
    names: Iterable[str],
) -> Drawn:
    """Draw the splits.

    Raises
    ------
    InvalidInputError
        When a split would be empty, or blocks that were asked for do not match.
    """
    cells = np.stack([latents[key] for key in schema.recombined], axis=1)
    ranks = np.array(
        [keyed_seed(recipe.name, recipe.version, f"import/{name}", 0) for name in names]
    )
    ladder = [side.cells for side in split.ladder]
    used = ladder[-1] | split.held_out.cells
    by_cell: dict[Cell, list[int]] = defaultdict(list)
    for row in np.argsort(ranks, kind="stable").tolist():
        by_cell[tuple(cells[row].tolist())].append(row)
    outside = {cell: rows for cell, rows in by_cell.items() if cell not in used}
    here = {cell: by_cell[cell] for cell in sorted(used) if cell in by_cell}
    notes = [_absent(schema, used - here.keys())]
    if outside:
        lost = sum(map(len, outside.values()))
        notes.append(f"{lost} images of {len(outside)} combinations are on neither side: left out")
    sides = Sides(
        here, ranks, [frozenset(c) for c in ladder], frozenset(split.held_out.cells), recipe
    )
    blocks = _blocks(table, schema, latents, recipe, sides)
    rows, more = _by_block(sides, blocks) if blocks else _by_image(sides)
    for name in ("id_train", "id_val", "id_test", "ooc_test"):
        if not any(row.split == SPLITS.index(name) for row in rows):
            raise InvalidInputError(
                f"{recipe.file_name}: expected images for {name}; the table {table.name} gives "
                f"none: it has {sum(map(len, here.values()))} images on both sides, in "
                f"{len(here)} of {len(used)} combinations. Add images, or declare another split."
            )
    order = sorted(rows, key=lambda r: (r.split, r.block, cells[r.row].tolist()))
    kept = tuple(note for note in (*notes, *more) if note)
    return Drawn(tuple(order), bool(blocks), kept)


@dataclass(frozen=True)
class Sides:
    """The images of both sides, per combination and in the order in which they are drawn."""

    rows: dict[Cell, list[int]]
    ranks: Int64[Array, " N"]  # by which images are drawn, of all rows of the table
    ladder: Sequence[frozenset[Cell]]
    held_out: frozenset[Cell]
    recipe: Recipe


def _absent(schema: Schema, absent: set[Cell] | frozenset[Cell]) -> str:
    if not absent:
        return ""
    names = ["x".join(schema.cell_names(cell)) for cell in sorted(absent)[:3]]
    more = " and more" if len(absent) > 3 else ""
    return f"{len(absent)} declared combinations have no image: {', '.join(names)}{more}"


def _by_image(sides: Sides) -> tuple[list[Row], list[str]]:
    """Draw image by image: where no blocks match, every image is a block of its own."""
    recipe, rows = sides.recipe, list[Row]()
    train: list[tuple[int, int, Cell]] = []
    numbers = {ID_VAL: 0, ID_TEST: 0, OOC_TEST: 0}
    first = {**FIRST_BLOCK, OOC_TEST: UNMATCHED_OOC}

    def take(members: Sequence[int], split: int) -> None:
        for row in members:
            rows.append(Row(row, split, 0, first[split] + numbers[split]))
            numbers[split] += 1

    for cell, everything in sides.rows.items():
        members = everything[: recipe.per_cell]
        if cell in sides.held_out:
            take(members, OOC_TEST)
            continue
        test = val = 0
        if cell in sides.ladder[0]:
            # A combination that ID-test shows was trained on: the first image always trains.
            test = max(1, round(recipe.test * len(members))) if len(members) > 1 else 0
            test = min(test, len(members) - 1)
            val = max(1, round(recipe.val * len(members))) if len(members) - test > 1 else 0
            val = min(val, len(members) - test - 1)
        take(members[:test], ID_TEST)
        take(members[test : test + val], ID_VAL)
        train += [(place, row, cell) for place, row in enumerate(members[test + val :])]
    train.sort(key=lambda item: item[:1])  # each combination once, then each twice, and so on
    bits = _rung_bits([cell for _, _, cell in train], sides.ladder)
    kept = [(row, bit) for (_, row, _), bit in zip(train, bits, strict=True) if bit]
    rows += [Row(row, ID_TRAIN, bit, number) for number, (row, bit) in enumerate(kept)]
    counts = [len(members) for members in sides.rows.values()]
    few, many = min(counts, default=0), min(max(counts, default=0), recipe.per_cell)
    told = [
        "no matched blocks: every image is a block of its own, so ID and OOC are not paired",
        f"{min(few, many)} to {many} images per combination: not balanced" if few < many else "",
    ]
    return rows, told


def _rung_bits(cells: Sequence[Cell], ladder: Sequence[frozenset[Cell]]) -> list[int]:
    """Return which rungs every image trains: all rungs have as many images as the narrowest."""
    bits = [0] * len(cells)
    most = sum(cell in ladder[0] for cell in cells)
    for rung, side in enumerate(ladder):
        members = [place for place, cell in enumerate(cells) if cell in side]
        for place in members[:most]:
            bits[place] |= 1 << rung
    return bits


def _blocks(
    table: Table, schema: Schema, latents: dict[str, Array], recipe: Recipe, sides: Sides
) -> list[dict[Cell, int]]:
    """Return the blocks that show every combination of both sides; none where there are too few."""
    if recipe.blocks == NONE:
        return []
    groups = _groups(table, schema, latents, recipe)
    found: dict[int, dict[Cell, list[int]]] = defaultdict(lambda: defaultdict(list))
    for cell, rows in sides.rows.items():
        for row in sorted(rows):
            found[int(groups[row])][cell].append(row)
    whole = [_one_each(block, sides) for block in found.values() if len(block) == len(sides.rows)]
    usable = sum(map(len, found.values()))
    enough = len(whole) >= FEWEST_BLOCKS and 2 * len(whole) * len(sides.rows) >= usable
    if recipe.blocks and len(whole) < 3:
        raise InvalidInputError(
            f"{recipe.file_name}: expected three blocks or more that show each of "
            f"{len(sides.rows)} combinations; {recipe.blocks!r} gives {len(whole)}. "
            f"Leave `blocks` out, or set it to {NONE!r}."
        )
    if not (recipe.blocks or enough):
        return []
    # As for images: where a block comes follows from the name of one image of it.
    cell = next(iter(sides.rows))
    return sorted(whole, key=lambda block: int(sides.ranks[block[cell]]))[: recipe.per_cell]


def _one_each(block: dict[Cell, list[int]], sides: Sides) -> dict[Cell, int]:
    """Return one image per combination: where there are several, the same one of each."""
    # What a binned factor leaves free is then the same in every combination, in ID as in OOC.
    chosen = int(sides.ranks[min(min(rows) for rows in block.values())])
    return {cell: rows[chosen % len(rows)] for cell, rows in block.items()}


def _groups(
    table: Table, schema: Schema, latents: dict[str, Array], recipe: Recipe
) -> Int64[Array, " N"]:
    """Return a number per image that is equal within a block."""
    if recipe.blocks not in ("", NUISANCES):
        names = np.array(table.texts(recipe.blocks))
        return np.asarray(np.unique(names, return_inverse=True)[1]).reshape(-1)
    keys = schema.nuisances
    if not keys:
        return np.arange(len(table))
    vectors = np.stack([latents[key].astype(float) for key in keys], axis=1)
    return np.asarray(np.unique(vectors, axis=0, return_inverse=True)[1]).reshape(-1)


def _by_block(sides: Sides, blocks: list[dict[Cell, int]]) -> tuple[list[Row], list[str]]:
    """Draw block by block, as a preset does: ID-test and OOC-test show the same ones."""
    recipe, narrow = sides.recipe, sides.ladder[0]
    test = max(1, round(recipe.test * len(blocks)))
    val = max(1, round(recipe.val * len(blocks)))
    tests, vals, train = blocks[:test], blocks[test : test + val], blocks[test + val :]
    sizes = [sum(cell in side for cell in sides.rows) for side in sides.ladder]
    if 0 in sizes:
        return [], []
    # Every rung has equally many images where the number of blocks can be divided so.
    step = math.lcm(*(size // math.gcd(size, sizes[0]) for size in sizes))
    train = train[: len(train) // step * step or len(train)]
    counts = [len(train) * sizes[0] // size for size in sizes]
    rows: list[Row] = []
    for split, some, side in (
        (ID_VAL, vals, narrow),
        (ID_TEST, tests, narrow),
        (OOC_TEST, tests, sides.held_out),
    ):
        for number, block in enumerate(some):
            rows += [
                Row(row, split, 0, FIRST_BLOCK[split] + number)
                for cell, row in block.items()
                if cell in side
            ]
    for number, block in enumerate(train):
        for cell, row in block.items():
            bits = sum(
                1 << rung
                for rung, (side, count) in enumerate(zip(sides.ladder, counts, strict=True))
                if number < count and cell in side
            )
            if bits:
                rows.append(Row(row, ID_TRAIN, bits, number))
    taken = len(blocks) * len(sides.rows)
    said = f"{len(blocks)} matched blocks of {len(sides.rows)} combinations ({taken} images): "
    return rows, [f"{said}{len(train)} train, {len(vals)} validate, {len(tests)} test"]
