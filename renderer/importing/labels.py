"""The table of labels, and the factors that it holds: typed by what is in it, or as told."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recombine.renderer.core.errors import InvalidInputError, UsageError
from recombine.renderer.core.types import Array
from recombine.renderer.importing.recipe import KEY, FactorRule, Recipe, written
from recombine.renderer.scenes.factors import Factor, Schema, Slot

FEW = 32
"""Whole numbers with at most so many values are taken for categorical."""
LARGEST_TABLE = 2**30


@dataclass(frozen=True)
class Table:
    """Columns of equal length, text or numbers, and how to call a row in errors."""

    name: str
    columns: Mapping[str, Array]
    first: int = 0  # number of the first row, as whoever wrote the table counts

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> Array:
        """Return a column."""
        if name not in self.columns:
            known = [column for column in self.columns if column != "#"]
            raise InvalidInputError(
                f"{self.name}: expected a column {name!r}; got {known[:20]}. "
                "Correct the name in the table [import], or in the table of labels."
            )
        return self.columns[name]

    def rows(self, chosen: Array) -> Table:
        """Return some rows; they keep their numbers in the column ``#``."""
        number = self.columns.get("#", np.arange(len(self)))
        columns = {**self.columns, "#": number}
        return Table(self.name, {k: v[chosen] for k, v in columns.items()}, self.first)

    def place(self, row: int) -> str:
        """Return how to call a row."""
        number = int(self.columns["#"][row]) if "#" in self.columns else row
        return f"{self.name}, row {number + self.first}"

    def texts(self, name: str) -> list[str]:
        """Return a column as text; an empty entry is refused."""
        column = self.column(name)
        found = [written(value) for value in column.tolist()]
        for row, text in enumerate(found):
            if not text or text.lower() == "nan":
                raise InvalidInputError(
                    f"{self.place(row)}: expected a value of {name!r}; got "
                    f"{text or 'nothing'}. Fill it in, or leave the row out with `drop`."
                )
        return found

    def numbers(self, name: str) -> Array | None:
        """Return a column as finite numbers; None where it holds text."""
        column = self.column(name)
        if column.dtype.kind in "iufb":
            found = column.astype(float)
        else:
            self.texts(name)  # none is empty
            try:
                found = np.array([float(value) for value in column.tolist()])
            except ValueError:
                return None
        wrong = np.flatnonzero(~np.isfinite(found))
        if len(wrong):
            row = int(wrong[0])
            raise InvalidInputError(
                f"{self.place(row)}: expected a finite number as {name!r}; got {column[row]}. "
                "Correct it, or leave the row out with `drop`."
            )
        return found


def read_csv(path: Path) -> Table:
    """Read a table of labels: UTF-8, a header, one line per image."""
    if not path.is_file():
        raise UsageError(f"labels: expected a CSV file; got {str(path)!r}. Check the path.")
    if path.stat().st_size > LARGEST_TABLE:
        raise InvalidInputError(f"{path.name}: expected at most {LARGEST_TABLE} bytes; got more.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = list(csv.reader(stream, strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(
            f"{path.name}: expected a CSV file in UTF-8; got something else ({error}). "
            "Save it with commas and a header line."
        ) from error
    rows = [row for row in rows if row]
    names = [name.strip() for name in header]
    if not rows or len(set(names)) != len(names) or not all(names) or "#" in names:
        raise InvalidInputError(
            f"{path.name}: expected a header of distinct names and at least one row; got "
            f"{len(rows)} rows under {names[:20]}. Correct the first line."
        )
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise InvalidInputError(
                f"{path.name}, row {number + 2}: expected {len(names)} entries, as in the header; "
                f"got {len(row)}. Quote entries with commas."
            )
    columns = {
        name: np.array(column, object)
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    return Table(path.name, columns, first=2)


def grid_table(sizes: Sequence[tuple[str, int]]) -> Table:
    """Return the labels of a full grid in its order, the last factor varying fastest."""
    codes = np.indices([n for _, n in sizes]).reshape(len(sizes), -1)
    return Table("labels.grid", {name: codes[k] for k, (name, _) in enumerate(sizes)})


def array_table(name: str, array: Array, columns: Sequence[str]) -> Table:
    """Return the labels in an array, one column each."""
    if array.ndim != 2 or array.shape[1] != len(columns) or not len(array):
        raise InvalidInputError(
            f"{name}: expected labels of shape (images, {len(columns)}), one column for each of "
            f"{list(columns)}; got {array.shape}. Correct `labels` in [import]."
        )
    return Table(name, {column: array[:, k] for k, column in enumerate(columns)})


def kept(table: Table, recipe: Recipe) -> Table:
    """Return the rows that the recipe keeps."""
    chosen = np.ones(len(table), bool)
    for rules, keep in ((recipe.where, True), (recipe.drop, False)):
        for name, values in rules:
            texts = [written(value) for value in table.column(name).tolist()]
            chosen &= np.isin(texts, values) == keep
    if not chosen.any():
        raise InvalidInputError(
            f"{table.name}: expected rows that `where` and `drop` keep; got none of {len(table)}. "
            "Values are compared as text, as the table writes them."
        )
    return table.rows(np.flatnonzero(chosen))


def factors_of(table: Table, recipe: Recipe) -> tuple[Schema, dict[str, Array]]:
    """Return the schema of a table, and every factor as codes, radians or units.

    Raises
    ------
    InvalidInputError
        When a column is missing, a value is none, or one that the recipe does not list.
    """
    rules = {name: FactorRule(name, name) for name in table.columns if KEY.fullmatch(name)}
    rules |= {rule.key: rule for rule in recipe.factors}
    for key in recipe.recombine:
        if key not in rules:
            raise InvalidInputError(
                f"{recipe.file_name}: expected every factor of `recombine` in the table; "
                f"{key!r} is not among {list(rules)}. Name its column under [import.factors]."
            )
    slots: dict[str, list[Factor]] = {}
    latents: dict[str, Array] = {}
    for key, rule in rules.items():
        slot, _, name = key.partition(".")
        factor, values = _typed(table, rule, name, key in recipe.recombine)
        slots.setdefault(slot, []).append(factor)
        latents[key] = values
    recombined = {rules[key].column for key in recipe.recombine}
    schema = Schema(
        tuple(
            Slot(
                slot,
                tuple(factors),
                "object" if slot in recipe.objects or slot.startswith("object") else "setting",
            )
            for slot, factors in slots.items()
        ),
        recipe.recombine,
        # What comes from the column of a recombined factor follows from the combination.
        derived=tuple(
            key
            for key, rule in rules.items()
            if rule.column in recombined and key not in recipe.recombine
        ),
    )
    return schema, {key: latents[key] for key in schema.keys}


def _typed(table: Table, rule: FactorRule, name: str, recombined: bool) -> tuple[Factor, Array]:
    numbers = table.numbers(rule.column)
    if rule.bins and numbers is not None:
        return _binned(rule, name, numbers)
    kind = rule.kind or _told(numbers, recombined)
    if kind == "categorical":
        return _categorical(table, rule, name, numbers)
    if numbers is None:
        raise InvalidInputError(
            f"{table.name}: expected numbers in column {rule.column!r} of the {kind} factor "
            f"{rule.key!r}; got text. Leave the type out, or correct the column."
        )
    if kind == "periodic":
        angles = numbers if rule.period == 2 * math.pi else numbers / rule.period * 2 * math.pi
        inside = (angles >= 0) & (angles < 2 * math.pi)  # kept to the last bit
        turns = np.mod(angles / (2 * math.pi), 1.0) % 1.0
        return Factor(name, "periodic"), np.where(inside, angles, turns * 2 * math.pi)
    low = float(numbers.min()) if rule.low is None else rule.low
    high = float(numbers.max()) if rule.high is None else rule.high
    outside = np.flatnonzero((numbers < low) | (numbers > high))
    if len(outside):
        row = int(outside[0])
        raise InvalidInputError(
            f"{table.place(row)}: expected {rule.key!r} within {low:g} and {high:g}; got "
            f"{numbers[row]:g}. Widen the range in [import.factors]."
        )
    return Factor(name, "continuous", low=low, high=high, unit=rule.unit), numbers


def _told(numbers: Array | None, recombined: bool) -> str:
    """Return the type that a column shows: text and few whole numbers are categories."""
    if numbers is None or recombined:
        return "categorical"
    distinct = np.unique(numbers)
    few = len(distinct) <= FEW and bool(np.all(distinct == np.round(distinct)))
    return "categorical" if few or len(distinct) == 1 else "continuous"


def _binned(rule: FactorRule, name: str, numbers: Array) -> tuple[Factor, Array]:
    low = float(numbers.min()) if rule.low is None else rule.low
    high = float(numbers.max()) if rule.high is None else rule.high
    edges = np.linspace(low, high, rule.bins + 1)
    codes = np.clip(np.searchsorted(edges, numbers, "right") - 1, 0, rule.bins - 1)
    values = tuple(f"{a:.6g}..{b:.6g}" for a, b in itertools.pairwise(edges.tolist()))
    return Factor(name, "categorical", values=values), codes.astype(np.int64)


def _categorical(
    table: Table, rule: FactorRule, name: str, numbers: Array | None
) -> tuple[Factor, Array]:
    # 1 and 1.0 are one value, whoever wrote the table.
    found, places = np.unique(
        numbers if numbers is not None else np.array(table.texts(rule.column)), return_inverse=True
    )
    places = places.reshape(-1)
    texts = [_plain(str(value)) for value in found.tolist()]
    known = {text: k for k, text in enumerate(dict.fromkeys(map(_plain, rule.values or texts)))}
    for number, text in enumerate(texts):
        if text not in known:
            raise InvalidInputError(
                f"{table.place(int(np.flatnonzero(places == number)[0]))}: expected a value of "
                f"{rule.key!r} from {list(known)[:20]}; got {text!r}. "
                "Add it under [import.factors], or leave the row out with `drop`."
            )
    codes = np.array([known[text] for text in texts], np.int64)[places]
    return Factor(name, "categorical", values=rule.names or tuple(known)), codes


def _plain(text: str) -> str:
    """Return a number in one form, and text as it is."""
    try:
        return f"{float(text):.10g}"
    except ValueError:
        return text
