"""What an import is told: the table ``[import]`` of a declared split.

The rest of the file is the split itself, as `declaration` reads it, about the factors that the
table of labels has::

    geometry = "orbit"
    ladder = [[0, 1]]
    ooc = [3]

    [import]
    name = "my-shapes"
    licence = "CC-BY-4.0"
    recombine = ["object.shape", "background.place"]
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recombine.renderer.presets.table import PRESETS
from recombine.renderer.scenes.factors import Kind
from recombine.renderer.splits.declaration import read_declaration
from recombine.renderer.splits.parameters import Node, distinct

Fit = Literal["crop", "pad", "stretch"]
FITS = ("crop", "pad", "stretch")
KINDS = ("categorical", "continuous", "periodic")
MOST_VALUES = 4096
LARGEST = 1_000_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
VERSION = re.compile(r"[0-9A-Za-z.+-]{1,40}")
KEY = re.compile(r"[^\s/.]{1,100}\.[^\s/.]{1,100}")
NUISANCES, NONE = "nuisances", "none"


@dataclass(frozen=True)
class FactorRule:
    """What the file says about one factor; what it leaves out the table tells."""

    key: str  # ``slot.factor``
    column: str  # of the table
    kind: Kind | None = None
    values: tuple[str, ...] = ()  # as the table writes them, in order
    names: tuple[str, ...] = ()  # what to call them
    bins: int = 0  # equal parts of the range, for a categorical factor made of numbers
    period: float = 2 * math.pi  # of a periodic factor, in the units of the table
    low: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Labels:
    """Labels that lie beside the images, or follow from their order."""

    array: str = ""  # key of an array (N, F)
    columns: tuple[str, ...] = ()  # names of its columns
    # numbers of values of the factors of a full grid, the last varying fastest
    grid: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Recipe:
    """All that an import is told."""

    file_name: str  # of the declaration, for errors
    declaration: Mapping[str, Any]  # the split
    name: str
    version: str
    licence: str
    training_generative_models: bool
    source: str
    recombine: tuple[str, ...]
    factors: tuple[FactorRule, ...]
    objects: tuple[str, ...]  # slots that masks number, beside those called object...
    labels: Labels
    images: str  # key of the array of images
    masks: str  # key of the array of masks; empty for none
    file: str  # column with the paths of images
    mask: str  # column with the paths of masks; empty for none
    where: tuple[tuple[str, tuple[str, ...]], ...]  # columns and the only values to be kept
    drop: tuple[tuple[str, tuple[str, ...]], ...]  # columns and values to be left out
    white: float  # value of a pixel that stands for white; 0 where the file does not say
    size: int  # edge of the stored images; 0 for the size they have
    fit: Fit | None  # how an image that is not square becomes so
    per_cell: int  # most images per combination
    val: float  # share of the images, or blocks, of ID cells
    test: float  # share of the images, or blocks, of ID cells
    blocks: str  # `NUISANCES`, `NONE` or a column; empty: nuisances where they match


DEFAULTS = {"version": "1.0", "source": "", "file": "file"}


def load_recipe(path: Path, known: Mapping[str, Any] | None = None) -> Recipe:
    """Read a declaration; ``known`` is what the images themselves say, as an export of ours does.

    Raises
    ------
    UsageError
        When there is no such file.
    InvalidInputError
        When anything in it is wrong, with file and key path.
    """
    data = read_declaration(path)
    split = {key: value for key, value in data.items() if key != "import"}
    said = data.get("import", {})
    node = Node(said, ("import",), path.name)
    node.entries()  # a table, or an error with its place
    fields = Node({**DEFAULTS, **(known or {}), **said}, ("import",), path.name).table(
        required=("name", "version", "licence", "source", "recombine", "file"),
        optional=(
            *("training_generative_models", "factors", "objects", "labels", "images", "masks"),
            *("mask", "where", "drop", "white", "size", "fit", "per_cell", "val", "test", "blocks"),
        ),
    )

    def text(key: str, default: str = "") -> str:
        return fields[key].text() if key in fields else default

    name = _matching(fields["name"], NAME, "letters, digits, hyphens, at most 60")
    if name in PRESETS:
        raise fields["name"].refuse("a name that no preset has", "Choose another name.")
    rules = fields["factors"].entries() if "factors" in fields else {}
    return Recipe(
        file_name=path.name,
        declaration=split,
        name=name,
        version=_matching(fields["version"], VERSION, "a version such as 1.0"),
        licence=_line(fields["licence"]),
        training_generative_models=_flag(fields.get("training_generative_models"), True),
        source=_line(fields["source"], empty=True),
        recombine=tuple(
            distinct(fields["recombine"], [_key(n) for n in fields["recombine"].items()])
        ),
        factors=tuple(_rule(key, n) for key, n in _flat(rules).items()),
        objects=tuple(n.text() for n in fields["objects"].items()) if "objects" in fields else (),
        labels=_labels(fields["labels"]) if "labels" in fields else Labels(),
        images=text("images", "images"),
        masks=text("masks"),
        file=text("file"),
        mask=text("mask"),
        where=_chosen(fields.get("where")),
        drop=_chosen(fields.get("drop")),
        white=fields["white"].number(1e-9, 1e9) if "white" in fields else 0.0,
        size=fields["size"].integer(16, 1024) if "size" in fields else 0,
        fit=_fit(fields.get("fit")),
        per_cell=fields["per_cell"].integer(1, LARGEST) if "per_cell" in fields else LARGEST,
        val=fields["val"].number(0.01, 0.9) if "val" in fields else 0.1,
        test=fields["test"].number(0.01, 0.9) if "test" in fields else 0.2,
        blocks=text("blocks"),
    )


def _matching(node: Node, form: re.Pattern[str], what: str) -> str:
    if not form.fullmatch(node.text()):
        raise node.refuse(what, "It names the dataset and its results.")
    return node.text()


def _line(node: Node, *, empty: bool = False) -> str:
    text = node.text().strip()
    if not (text or empty) or len(text) > 1000 or not text.isprintable():
        raise node.refuse("one line of text", "Give an SPDX name, such as CC-BY-4.0, or words.")
    return text


def _flag(node: Node | None, default: bool) -> bool:
    if node is None:
        return default
    if not isinstance(node.value, bool):
        raise node.refuse("true or false", "Write it without quotes.")
    return node.value


def _fit(node: Node | None) -> Fit | None:
    if node is None:
        return None
    chosen = node.choice(FITS)
    return "crop" if chosen == "crop" else "pad" if chosen == "pad" else "stretch"


def _key(node: Node) -> str:
    if not KEY.fullmatch(node.text()):
        raise node.refuse("a factor as slot.factor", "Write object.shape, for example.")
    return node.text()


def _flat(entries: Mapping[str, Node]) -> dict[str, Node]:
    """Return rules by key: ``{object.shape = ...}`` is a table inside a table in TOML."""
    found: dict[str, Node] = {}
    for name, node in entries.items():
        if "." in name:
            found[name] = node
        else:
            found |= {f"{name}.{inner}": n for inner, n in node.entries().items()}
    return found


def _rule(key: str, node: Node) -> FactorRule:
    if not KEY.fullmatch(key):
        raise node.refuse("a key slot.factor", "Write object.shape, for example.", got=repr(key))
    if isinstance(node.value, str):
        return FactorRule(key, node.value)
    options = ("type", "values", "bins", "period", "low", "high", "unit")
    fields = node.table(required=("column",), optional=options)
    kind = fields["type"].choice(KINDS) if "type" in fields else None
    values, names = _values(fields["values"]) if "values" in fields else ((), ())
    bins = fields["bins"].integer(2, MOST_VALUES) if "bins" in fields else 0
    if (values and bins) or ((values or bins) and kind not in (None, "categorical")):
        raise node.refuse("values or bins of a categorical factor", "Keep one of them.")
    if values or bins:
        kind = "categorical"
    numbers = {
        k: fields[k].number(-1e6, 1e6) if k in fields else None for k in ("low", "high", "period")
    }
    if numbers["period"] is not None and numbers["period"] <= 0:
        raise fields["period"].refuse("a period above 0", "Write 360 for degrees.")
    return FactorRule(
        key,
        fields["column"].text(),
        kind=_kind(kind),
        values=values,
        names=names,
        bins=bins,
        period=2 * math.pi if numbers["period"] is None else numbers["period"],
        low=numbers["low"],
        high=numbers["high"],
        unit=fields["unit"].text() if "unit" in fields else "",
    )


def _kind(name: str | None) -> Kind | None:
    kinds: tuple[Kind, ...] = ("categorical", "continuous", "periodic")
    return next((kind for kind in kinds if kind == name), None)


def _values(node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return values as the table writes them, and their names: a list, or a table of names."""
    if isinstance(node.value, Mapping):
        found = {key: n.text() for key, n in node.entries().items()}
        distinct(node, list(found.values()))
        return tuple(found), tuple(found.values())
    values = tuple(distinct(node, [written(n.value, n) for n in node.items()]))
    return values, values


def written(value: object, node: Node | None = None) -> str:
    """Return a value of a table as text: 1, 1.0 and "1" are one value."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        if node is not None:
            raise node.refuse("text or a number", "Write values as the table does.")
        return str(value)
    if isinstance(value, str):
        return value.strip()
    return f"{value:.10g}"


def _labels(node: Node) -> Labels:
    fields = node.table(optional=("array", "columns", "grid"))
    if "grid" in fields:
        sizes = fields["grid"].entries()
        return Labels(grid=tuple((k, n.integer(1, LARGEST)) for k, n in sizes.items()))
    fields = node.table(required=("array", "columns"))
    columns = [n.text() for n in fields["columns"].items()]
    return Labels(fields["array"].text(), tuple(distinct(fields["columns"], columns)))


def _chosen(node: Node | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if node is None:
        return ()
    found = []
    for column, entry in node.entries().items():
        several: Sequence[Node] = entry.items() if isinstance(entry.value, list) else [entry]
        found.append((column, tuple(written(n.value, n) for n in several)))
    return tuple(found)
