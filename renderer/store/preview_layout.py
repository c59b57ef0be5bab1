"""Which image stands where on a contact sheet, for any number of recombined factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.types import Array
from recombine.renderer.store.reader import Dataset

MOST_PANELS = 4
MOST_ROWS = 6
EDIT = "scene.edit"


@dataclass(frozen=True)
class Panel:
    """A grid of images under one nuisance vector.

    Attributes
    ----------
    title : str
        What is equal in the whole panel; empty where there is only one.
    row_name, column_name : str
        Factors along the sides.
    rows, columns : tuple of str
        Their values.
    images : mapping of (row, column) to int
        Index of the image there; a place may be empty.
    """

    title: str
    row_name: str
    column_name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    images: dict[tuple[int, int], int]


def panels(data: Dataset, block: int = 0) -> list[Panel]:
    """Arrange the test cells of one matched block.

    The recombined factor with most values runs down, the next across; combinations of further
    ones make a panel each, four at most, where that fills half of it; else they vary inside. A
    single recombined factor runs across, and blocks run down. Edits run across from their scenes.

    Parameters
    ----------
    data : Dataset
        A sealed dataset.
    block : int
        Which test block, counted from 0; it wraps around.

    Raises
    ------
    InvalidInputError
        When the dataset has no test images.
    """
    test = np.concatenate([data.indices("id_test"), data.indices("ooc_test")])
    if not len(test):
        raise InvalidInputError(f"preview: {data.path} must have test images; it has none.")
    shown = sorted(set(data.blocks[test].tolist()))
    if len(data.schema.recombined) == 1:
        return [_across(data, test, [shown[(block + k) % len(shown)] for k in range(MOST_ROWS)])]
    members = test[data.blocks[test] == shown[block % len(shown)]]
    if EDIT in data.schema.crossed:
        return [_edits(data, members)]
    down, across, *rest = sorted(data.schema.recombined, key=lambda k: -data.schema.factor(k).size)
    further = [*rest, *data.schema.crossed]
    codes = {key: data.latents[key][members] for key in further}
    present = sorted(set(zip(*codes.values(), strict=True)))
    places = data.schema.factor(down).size * data.schema.factor(across).size
    if not further or 2 * len(members) < places * len(present):
        return [_grid(data, members, (down, across), "")]
    some = np.unique(np.linspace(0, len(present) - 1, MOST_PANELS).round().astype(int))
    return [
        _grid(
            data,
            members[np.all([codes[k] == v for k, v in zip(further, values, strict=True)], axis=0)],
            (down, across),
            ", ".join(value_name(data, k, v) for k, v in zip(further, values, strict=True)),
        )
        for values in (present[n] for n in some)
    ]


def value_name(data: Dataset, key: str, value: float) -> str:
    """Return the name of a value of a factor, or the number with its unit."""
    factor = data.schema.factor(key)
    return factor.values[int(value)] if factor.values else f"{value:.2f} {factor.unit}".strip()


def _grid(data: Dataset, members: Array, sides: tuple[str, str], title: str) -> Panel:
    down, across = sides
    found: dict[tuple[int, int], list[int]] = {}
    for index in members.tolist():
        place = int(data.latents[down][index]), int(data.latents[across][index])
        found.setdefault(place, []).append(index)
    return Panel(
        title=title,
        row_name=down,
        column_name=across,
        rows=data.schema.factor(down).values,
        columns=data.schema.factor(across).values,
        # Where several images compete for a place, neighbours show different ones in turn.
        images={place: rivals[sum(place) % len(rivals)] for place, rivals in found.items()},
    )


def _edits(data: Dataset, members: Array) -> Panel:
    """Return unedited scenes, ID and OOC in turn, each with its edits to the right."""
    columns = data.schema.factor(EDIT).values
    bases = [int(i) for i in members if data.latents[EDIT][i] == 0]
    sides = [
        [i for i in bases if (data.splits[i] == "ooc_test") == held_out] for held_out in (0, 1)
    ]
    chosen = [i for pair in zip(*sides, strict=False) for i in pair][:MOST_ROWS]
    return Panel(
        title="",
        row_name="scene",
        column_name=EDIT,
        rows=tuple(", ".join(data.schema.cell_names(data.cells[i])) for i in chosen),
        columns=columns,
        # The plan lists a scene and then its edits.
        images={(r, c): i + c for r, i in enumerate(chosen) for c in range(len(columns))},
    )


def _across(data: Dataset, test: Array, blocks: list[int]) -> Panel:
    across = data.schema.recombined[0]
    rows = list(dict.fromkeys(blocks))
    images: dict[tuple[int, int], int] = {}
    for row, block in enumerate(rows):
        for index in test[data.blocks[test] == block].tolist():
            images.setdefault((row, int(data.cells[index][0])), index)
    return Panel(
        title="",
        row_name="nuisances",
        column_name=across,
        rows=tuple(f"draw {n + 1}" for n in range(len(rows))),
        columns=data.schema.factor(across).values,
        images=images,
    )
