"""A split declared in a readable TOML file, strict and checked when it is loaded.

A file names a geometry, or writes its ID cells as an expression::

    geometry = "orbit"              # a key of `GEOMETRIES`; or `id = {...}`, see declare_algebra
    ladder = [[0, 1], [0, 1, 2]]    # one entry per rung: values of the geometry's dial
    ooc = [3]
    require = {coverage = 1, marginal_tv = 0, rank = "full", connected = true, novelty = 2}

Without a ladder the dial (for the orbit: ``residues``) has one value and there is one rung. All
rungs share the OOC cells that are OOC at every rung. ``factors`` may list the recombined factors,
so that the file refuses a schema that it was not written for.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import operator
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.splits.cells import CellSet
from recombine.renderer.splits.declare_geometry import DIALS, read_geometry
from recombine.renderer.splits.declare_grid import Grid
from recombine.renderer.splits.declare_nodes import Node, Source
from recombine.renderer.splits.declare_require import check_requirements
from recombine.renderer.splits.expressions import read_cells
from recombine.renderer.splits.geometries_base import Geometry
from recombine.renderer.splits.splits import EveryCellOnce
from recombine.renderer.splits.toml_lines import dump, key_lines

LARGEST_FILE = 256 * 1024
ALGEBRA = "algebra"


@dataclass(frozen=True)
class DeclaredSplit(EveryCellOnce):
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

    def to_toml(self) -> str:
        """Return the declaration as the text of a file that `load_split` reads."""
        return dump(self.declaration)


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
        When anything in the file is wrong, with file, line and key.
    """
    path = Path(path)
    text = _text(path)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{path.name}: expected a TOML file; got one that is not: {error}. Mend the syntax."
        ) from error
    return _declare(Node(data, (), Source(path.name, key_lines(text))), schema)


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
        When anything in the data is wrong, with its key.
    """
    return _declare(Node(data, (), Source(name)), schema)


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


def _declare(root: Node, schema: Schema) -> DeclaredSplit:
    try:
        return _declared(root, Grid.of(schema))
    except RecursionError as error:
        raise root.refuse("a few levels of nesting", "Nest less.", got="too many") from error


def _declared(root: Node, grid: Grid) -> DeclaredSplit:
    fields = root.entries()
    _check_schema(root, fields, grid)
    name = fields["geometry"].choice((*DIALS, ALGEBRA)) if "geometry" in fields else ALGEBRA
    read = _read_algebra if name == ALGEBRA else read_geometry
    sides = [read(rung, grid) for rung in _rungs(root, "id" if name == ALGEBRA else DIALS[name])]
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


def _check_schema(root: Node, fields: Mapping[str, Node], grid: Grid) -> None:
    if len(grid.keys) < 2:
        advice = "Recombine more factors in the schema."
        raise root.refuse("a schema with two recombined factors", advice, got=str(grid.keys))
    if "factors" in fields and fields["factors"].value != list(grid.keys):
        expected = f"the recombined factors {list(grid.keys)} of the schema, in this order"
        raise fields["factors"].refuse(expected, "This file is for another schema.")


def _rungs(root: Node, dial: str) -> list[Node]:
    """Return one table per rung, in which the dial has the value of that rung."""
    fields = root.entries()
    if dial in fields and "ladder" in fields:
        advice = f"Remove {dial!r}."
        raise fields[dial].refuse(f"{dial!r} or 'ladder'", advice, got="both")
    shared = {k: n for k, n in fields.items() if k not in ("ladder", "require", "factors")}
    if "ladder" not in fields:
        return [Node(shared, root.path, root.source)]
    steps = fields["ladder"].items()
    if not steps:
        raise fields["ladder"].refuse("at least one rung", f"List values of {dial!r}.")
    return [Node({**shared, dial: step}, step.path, root.source) for step in steps]


def _read_algebra(node: Node, grid: Grid) -> Geometry:
    fields = node.table(("id",), ("ooc", "geometry"))
    ids = read_cells(fields["id"], grid)
    ooc = read_cells(fields["ooc"], grid) if "ooc" in fields else ids.complement()
    return fields["id"].call(lambda: Geometry(ALGEBRA, ids, ooc, "declared cells"))
