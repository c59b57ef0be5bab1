"""A split declared in a readable TOML file, strict and checked when it is loaded.

A file names a geometry, or writes its ID cells as an expression::

    geometry = "orbit"              # a key of `GEOMETRIES`; or `id = {...}`, see `expressions`
    ladder = [[0, 1], [0, 1, 2]]    # one entry per rung: values of the geometry's dial
    ooc = [3]
    require = {coverage = 1, marginal_tv = 0, rank = "full", connected = true, novelty = 2}

Without a ladder the dial (for the orbit: ``residues``) has one value and there is one rung. All
rungs share the OOC cells that are OOC at every rung. ``factors`` may list the recombined factors,
so that the file refuses a schema that it was not written for; a geometry that has a parameter of
that name takes it instead.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import operator
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.splits.cells import CellSet, ShiftReport, report
from recombine.renderer.splits.expressions import read_cells
from recombine.renderer.splits.geometry import GEOMETRIES, Geometry, Sides, read_geometry
from recombine.renderer.splits.parameters import Grid, Node

LARGEST_FILE = 256 * 1024
ALGEBRA = "algebra"


@dataclass(frozen=True)
class DeclaredSplit(Geometry):
    """ID cells per rung and OOC cells of a declaration; a drop-in for `OrbitSplit`."""

    geometry: str  # key of `GEOMETRIES`, or ``"algebra"``
    ladder: tuple[CellSet, ...]  # ID cells of every rung, the narrowest first, strictly nested
    held_out: CellSet  # OOC cells, disjoint from every rung
    # what the file says, as plain data; it holds names, not codes, where the file does
    declaration: Mapping[str, Any]

    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the ID cells of a rung; rung 0 is the narrowest."""
        self._check_shape(shape)
        return self.ladder[rung]

    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the held-out cells, the same for every rung."""
        self._check_shape(shape)
        return self.held_out

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if tuple(shape) != self.held_out.shape:
            raise InvalidInputError(
                f"DeclaredSplit: expected the grid {self.held_out.shape} of its declaration; got "
                f"{tuple(shape)}. Load the split again for this schema."
            )

    def digest(self) -> str:
        """Return the sha256 (hex) of all cells of all rungs and of OOC."""
        sides = [sorted(s.cells) for s in (*self.ladder, self.held_out)]
        return hashlib.sha256(json.dumps([self.held_out.shape, *sides]).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the configuration of a plan."""
        return {
            "geometry": self.geometry,
            "ladder": [{"cells": len(cells)} for cells in self.ladder],
            "ooc": {"cells": len(self.held_out)},
            "declaration": dict(self.declaration),
            "digest": self.digest(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], schema: Schema) -> DeclaredSplit:
        """Return the split written by `to_dict`."""
        declaration = data.get("declaration")
        if not isinstance(declaration, Mapping):
            raise InvalidInputError(
                f"DeclaredSplit: expected plain data with a declaration; got keys {sorted(data)}. "
                "Write it with `to_dict`."
            )
        split = declare(declaration, schema, name="stored declaration")
        if split.digest() != data.get("digest"):
            raise IntegrityError(
                f"DeclaredSplit: expected cells with digest {data.get('digest')}; got "
                f"{split.digest()}. The schema or the geometry changed since it was stored."
            )
        return split


def load_split(path: str | Path, schema: Schema) -> DeclaredSplit:
    """Return the split that a TOML file declares.

    Parameters
    ----------
    path : path
        The file, at most 256 KiB of UTF-8.
    schema : Schema
        Schema whose recombined factors the split is about.

    Returns
    -------
    DeclaredSplit
        Checked: names, types, values, nesting and the file's own requirements.

    Raises
    ------
    UsageError
        When there is no such file.
    InvalidInputError
        When anything in the file is wrong, with file and key path.
    """
    path = Path(path)
    return declare(read_declaration(path), schema, name=path.name)


def read_declaration(path: Path) -> dict[str, Any]:
    """Return the content of a declaration file, as `declare` takes it."""
    try:
        return tomllib.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{path.name}: expected a TOML file; got one that is not: {error}. Correct the syntax."
        ) from error


def declare(data: Mapping[str, Any], schema: Schema, *, name: str = "split") -> DeclaredSplit:
    """Return the split that plain data declare; see `load_split`.

    Parameters
    ----------
    data : mapping
        The content of a declaration file.
    schema : Schema
        Schema whose recombined factors the split is about.
    name : str
        What to call the data in errors.

    Returns
    -------
    DeclaredSplit
        See `load_split`.

    Raises
    ------
    InvalidInputError
        When anything in the data is wrong, with its key path.
    """
    root = Node(data, (), name)
    try:
        return _declared(root, Grid.of(schema))
    except RecursionError as error:
        raise root.refuse("a few levels of nesting", "Nest less.", got="too many") from error


def _text(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"split file: expected a file; got {str(path)!r}. Check the path.")
    with path.open("rb") as handle:
        raw = handle.read(LARGEST_FILE + 1)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{path.name}: expected UTF-8 text; got other bytes ({error}). Save it as UTF-8."
        ) from error
    if len(raw) > LARGEST_FILE:
        raise InvalidInputError(
            f"{path.name}: expected at most {LARGEST_FILE} bytes; got more. Declare cells by an "
            "expression instead of a list."
        )
    return text


def _declared(root: Node, grid: Grid) -> DeclaredSplit:
    fields = root.entries()
    if len(grid.keys) < 2:
        advice = "Recombine more factors in the schema."
        raise root.refuse("a schema with two recombined factors", advice, got=str(grid.keys))
    name = fields["geometry"].choice((*GEOMETRIES, ALGEBRA)) if "geometry" in fields else ALGEBRA
    chosen = GEOMETRIES.get(name)
    if "factors" in fields and (chosen is None or "factors" not in chosen.readers):
        named = fields.pop("factors")
        if named.value != list(grid.keys):
            expected = f"the recombined factors {list(grid.keys)} of the schema, in this order"
            raise named.refuse(expected, "This file is for another schema.")
    read, dial = (read_geometry, chosen.dial) if chosen else (_read_algebra, "id")
    sides = [read(rung, grid) for rung in _rungs(root, fields, dial)]
    ladder = tuple(side.id_cells for side in sides)
    ooc = functools.reduce(operator.and_, (side.ooc_cells for side in sides))
    if not all(a <= b and a != b for a, b in itertools.pairwise(ladder)):
        sizes = str([len(ids) for ids in ladder])
        advice = "Start with the narrowest rung and only add cells."
        raise fields["ladder"].refuse("strictly nested ID cells", advice, got=f"{sizes} cells")
    if "require" in fields:
        check_requirements(fields["require"], grid, ladder, ooc)
    # Through JSON, so that a declaration read back from a plan equals the one of the file.
    return DeclaredSplit(name, ladder, ooc, json.loads(json.dumps(root.value)))


def _rungs(root: Node, fields: Mapping[str, Node], dial: str) -> list[Node]:
    """Return one table per rung, in which the dial has the value of that rung."""
    if dial in fields and "ladder" in fields:
        advice = f"Remove {dial!r}."
        raise fields[dial].refuse(f"{dial!r} or 'ladder'", advice, got="both")
    shared = {k: n for k, n in fields.items() if k not in ("ladder", "require")}
    if "ladder" not in fields:
        return [Node(shared, root.path, root.name)]
    steps = fields["ladder"].items()
    if not steps:
        raise fields["ladder"].refuse("at least one rung", f"List values of {dial!r}.")
    return [Node({**shared, dial: step}, step.path, root.name) for step in steps]


def _read_algebra(node: Node, grid: Grid) -> Sides:
    fields = node.table(("id",), ("ooc", "geometry"))
    ids = read_cells(fields["id"], grid)
    ooc = read_cells(fields["ooc"], grid) if "ooc" in fields else ids.complement()
    return fields["id"].call(lambda: Sides(ALGEBRA, ids, ooc, "declared cells"))


# What a declared split promises about itself.

# A judge returns what was expected and what came, or nothing when the promise holds.
Verdict = tuple[str, str] | None
Judge = Callable[[Node, ShiftReport], Verdict]


def _least(figure: str) -> Judge:
    def judge(node: Node, found: ShiftReport) -> Verdict:
        wanted, value = _exact(node), Fraction(getattr(found, figure))
        return _verdict(figure, "at least", wanted, value, wanted - value, "little")

    return judge


def _most(figure: str) -> Judge:
    def judge(node: Node, found: ShiftReport) -> Verdict:
        wanted, value = _exact(node), Fraction(getattr(found, figure))
        return _verdict(figure, "at most", wanted, value, value - wanted, "much")

    return judge


def _verdict(
    figure: str, bound: str, wanted: Fraction, value: Fraction, excess: Fraction, word: str
) -> Verdict:
    if excess <= 0:
        return None
    name = figure.replace("_", " ")
    return (
        f"{name} {bound} {_fraction(wanted)}",
        f"{_fraction(value)}, {_fraction(excess)} too {word}",
    )


def _rank(node: Node, found: ShiftReport) -> Verdict:
    if isinstance(node.value, str):
        node.choice(("full",))
        wanted = found.full_rank
    else:
        wanted = node.integer(1, found.full_rank)
    if found.rank >= wanted:
        return None
    return f"additive rank {wanted}", f"{found.rank}, {wanted - found.rank} too little"


def _connected(node: Node, found: ShiftReport) -> Verdict:
    node.true()
    return None if found.components == 1 else ("one component", f"{found.components} components")


def _novelty(node: Node, found: ShiftReport) -> Verdict:
    # A cell's order cannot exceed the number of factors, which the cells of the grid know.
    wanted = node.integer(1, 64)
    others = ", ".join(f"{n} of order {order}" for order, n in found.novelty if order != wanted)
    return (f"every OOC cell novel at order {wanted}", others) if others else None


def _hamming(node: Node, found: ShiftReport) -> Verdict:
    wanted = node.integer(1, 64)
    if found.hamming_max <= wanted:
        return None
    return (
        f"an ID cell within {wanted} factors of every OOC cell",
        f"a distance of {found.hamming_max}, {found.hamming_max - wanted} too much",
    )


JUDGES: dict[str, Judge] = {
    "coverage": _least("coverage"),
    "pair_coverage": _least("pair_coverage"),
    "marginal_tv": _most("total_variation"),
    "atom_divergence": _most("atom_divergence"),
    "rank": _rank,
    "connected": _connected,
    "novelty": _novelty,
    "hamming": _hamming,
}


def check_requirements(node: Node, grid: Grid, rungs: Sequence[CellSet], ooc: CellSet) -> None:
    """Refuse a split that does not keep its declared promises."""
    fields = node.table(optional=(*JUDGES, "symmetric"))
    broken = []
    if "symmetric" in fields:
        broken += _asymmetric(fields.pop("symmetric"), grid, rungs, ooc)
    reports = [report(ids, ooc) for ids in rungs] if fields else []
    for key, promise in fields.items():
        for rung, found in enumerate(reports):
            verdict = JUDGES[key](promise, found)
            if verdict:
                expected, got = verdict
                broken.append(promise.refuse(expected, "", got=f"{got}, at rung {rung}"))
    if broken:
        faults = " ".join(str(e).strip() for e in broken)
        raise InvalidInputError(f"{faults} Change the split, or the promise.")


def _asymmetric(
    node: Node, grid: Grid, rungs: Sequence[CellSet], ooc: CellSet
) -> list[InvalidInputError]:
    factors = grid.factors(node, 2)

    def lacking(cells: CellSet) -> int:
        return len(cells.permutation_closure(factors)) - len(cells)

    named = {f"rung {rung}": cells for rung, cells in enumerate(rungs)} | {"OOC": ooc}
    counts = node.call(lambda: {name: lacking(cells) for name, cells in named.items()})
    keys = [grid.keys[f] for f in factors]
    return [
        node.refuse(f"exchange of {keys} to map {name} to itself", "", got=f"{n} cells missing")
        for name, n in counts.items()
        if n
    ]


def _exact(node: Node) -> Fraction:
    # Through the shortest decimal, so that a promised 0.1 means one tenth.
    return Fraction(repr(node.number(0, 1)))


def _fraction(value: Fraction) -> str:
    decimal = f"{float(value):.3g}"
    short = 1 < value.denominator < 1000
    return f"{value} ({decimal})" if short else decimal


# Writing a declaration.


def dump(data: Mapping[str, Any]) -> str:
    r"""Return plain data as TOML, one line per top-level key."""
    return "".join(f"{_key(k)} = {_inline(v)}\n" for k, v in data.items())


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _inline(key)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value).lower() if isinstance(value, bool) else repr(value)
