"""What a split geometry is, the register of those that files can declare, and shared checks.

A geometry that presets use is a `Geometry`: a rule for every rung of a ladder. One that a file can
declare is a function from a grid and parameters to `Sides`, registered by `geometry`; the ladder
of a file varies one of its parameters (see `declaration.DeclaredSplit`, which is a `Geometry`).
"""

from __future__ import annotations

import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import Cell, CellSet
from recombine.renderer.splits.parameters import Grid, Node, Reader

SPLITS = ("id_train", "id_val", "id_test", "ooc_test", "ooc_val")
Draw = tuple[Cell, int]
"""A cell to render in a block, and which of its variants; 0 where there is one."""
Shape = Sequence[int]


class Geometry(ABC):
    """Which cells are in-combination (ID) at each rung of a ladder, and which are held out (OOC).

    Blocks render every cell once, unless a geometry says otherwise by its draws.
    """

    ladder: Any  # one item per rung, the narrowest first

    @abstractmethod
    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the ID cells of a rung; rung 0 is the narrowest."""

    @abstractmethod
    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the held-out cells, the same for every rung."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data, with ``geometry`` and ``ladder``."""

    def id_draws(self, shape: tuple[int, ...], rung: int = 0) -> list[Draw]:
        """Return what a block renders of a rung, in order."""
        return [(cell, 0) for cell in self.id_cells(shape, rung)]

    def ooc_draws(self, shape: tuple[int, ...]) -> list[Draw]:
        """Return what a block renders of OOC-test, in order."""
        return [(cell, 0) for cell in self.ooc_cells(shape)]

    def ooc_val_draws(self, shape: tuple[int, ...]) -> list[Draw]:
        """Return what a block renders of OOC-val; nothing where it is off."""
        del shape
        return []

    def shifts(self, factors: int) -> tuple[Cell, ...]:
        """Return shifts of all values that keep a cell's side and reach every value, if any."""
        del factors
        return ()

    def stratum(self, cell: Cell) -> Any:
        """Return which part of its side a cell is in, of those with all lower marginals uniform."""
        del cell
        return 0


class ResidueGeometry(Geometry):
    """A geometry that sorts cells by a residue: those of every rung, and those held out."""

    ooc: Any  # residues held out of every rung
    ooc_val: Any = ()  # further residues held out, for choosing between methods

    @abstractmethod
    def _cells(self, shape: tuple[int, ...], residues: Sequence[int]) -> CellSet:
        """Return the cells of some residues."""

    def __post_init__(self) -> None:
        who, rungs = type(self).__name__, [set(r) for r in self.ladder]
        nested = all(a < b for a, b in itertools.pairwise(rungs))
        if not rungs or not nested or not all(rungs):
            raise InvalidInputError(
                f"{who}: rungs must be non-empty and strictly nested; got {self.ladder}. "
                "Start with the narrowest rung and only add residues."
            )
        ooc, spare = self.ooc, self.ooc_val
        if not ooc or rungs[-1] & {*ooc, *spare} or set(ooc) & set(spare):
            raise InvalidInputError(
                f"{who}: ooc must be non-empty and disjoint from every rung and from ooc_val; got "
                f"ooc {ooc}, ooc_val {spare} and widest rung {self.ladder[-1]}. Remove the shared "
                "residues."
            )

    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the ID cells of a rung."""
        return self._cells(shape, self.ladder[rung])

    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the held-out cells."""
        return self._cells(shape, self.ooc)

    def ooc_val_draws(self, shape: tuple[int, ...]) -> list[Draw]:
        """Return the cells of the held-out residues for validation, in order."""
        return [(cell, 0) for cell in self._cells(shape, self.ooc_val)]


@dataclass(frozen=True)
class Sizes:
    """How many matched nuisance blocks each part of a dataset has."""

    # blocks of the narrowest rung. Wider rungs take the first ``train * |S_0| / |S_r|`` blocks, so
    # every rung trains on equally many images
    train: int
    val: int  # blocks of ID-val
    # blocks of the test sets; one holds every ID cell of the narrowest rung and every OOC cell
    # under one nuisance vector
    test: int
    # about how many cells of either side a block takes, in whole orbits, where all are too many; 0
    # for all. Blocks go round the orbits, so that none comes twice before all came once
    cells: int = 0

    def rung_blocks(self, split: Geometry, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the number of training blocks of every rung."""
        images = self.train * len(split.id_draws(shape))
        blocks = []
        for rung in range(len(split.ladder)):
            cells = len(split.id_draws(shape, rung))
            if images % cells:
                raise InvalidInputError(
                    f"Sizes: {images} training images must fill whole blocks of the {cells} cells "
                    f"of rung {rung}; got a remainder of {images % cells}. Change `train`."
                )
            blocks.append(images // cells)
        return tuple(blocks)


# Geometries that a file can declare.


@dataclass(frozen=True)
class Sides:
    """The two sides of one rung: non-empty, disjoint sets of one grid."""

    name: str  # key of the geometry in `GEOMETRIES`
    id_cells: CellSet
    ooc_cells: CellSet
    source: str  # where the geometry was published

    def __post_init__(self) -> None:
        shared = self.id_cells & self.ooc_cells
        if not len(self.id_cells) or not len(self.ooc_cells) or len(shared):
            raise InvalidInputError(
                f"geometry {self.name!r}: ID and OOC must be non-empty and disjoint; got "
                f"{len(self.id_cells)} ID and {len(self.ooc_cells)} OOC cells that share "
                f"{len(shared)}, on a grid of {self.shape}. Change the parameters."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the number of values of every factor."""
        return self.id_cells.shape

    @property
    def ignored(self) -> CellSet:
        """Return the cells that are neither trained on nor tested."""
        return CellSet.full(self.shape) - self.id_cells - self.ooc_cells


Make = TypeVar("Make", bound=Callable[..., Sides])


@dataclass(frozen=True)
class Registered:
    """How a file declares a geometry."""

    make: Callable[..., Sides]  # takes the grid and, by keyword, the parameters
    dial: str  # the parameter that a ladder varies: the dial of difficulty
    readers: Mapping[str, Reader]  # by parameter, in the order in which they are read


GEOMETRIES: dict[str, Registered] = {}


def geometry(name: str, *, dial: str, **readers: Reader) -> Callable[[Make], Make]:
    """Register a function as the geometry ``name``, with a reader for each of its parameters."""

    def register(make: Make) -> Make:
        GEOMETRIES[name] = Registered(make, dial, readers)
        return make

    return register


def read_geometry(node: Node, grid: Grid) -> Sides:
    """Return the sides that a table declares."""
    named = node.entries().get("geometry")
    if named is None:
        raise node.refuse("a table with the key 'geometry'", "Name the geometry.", got="none")
    chosen = GEOMETRIES[named.choice(GEOMETRIES)]
    signature = inspect.signature(chosen.make).parameters
    required = [k for k in chosen.readers if signature[k].default is inspect.Parameter.empty]
    fields = node.table(("geometry", *required), chosen.readers)
    done: dict[str, Any] = {}
    for key, read in chosen.readers.items():
        if key in fields:
            done[key] = read(fields[key], grid, done)
    return node.call(lambda: chosen.make(grid.shape, **done))


def refuse(name: str, expected: str, got: object, advice: str) -> InvalidInputError:
    """Return the error of a geometry in the message form of the project."""
    return InvalidInputError(f"geometry {name!r}: expected {expected}; got {got}. {advice}")


def rest_is_ooc(name: str, ids: CellSet, source: str) -> Sides:
    """Return the sides whose OOC cells are all that are not ID."""
    return Sides(name, ids, ids.complement(), source)


def rest_is_id(name: str, ooc: CellSet, source: str) -> Sides:
    """Return the sides whose ID cells are all that are not OOC."""
    return Sides(name, ooc.complement(), ooc, source)


def check_factors(name: str, shape: Shape, factors: Iterable[int]) -> tuple[int, ...]:
    """Return factor positions, refused unless they are distinct and inside the grid."""
    factors = tuple(factors)
    if len(set(factors)) != len(factors) or not set(factors) <= set(range(len(shape))):
        raise refuse(
            name,
            f"distinct factor positions in 0..{len(shape) - 1}",
            list(factors),
            "Name each factor once.",
        )
    return factors


def check_values(name: str, shape: Shape, values: Mapping[int, Collection[int]]) -> None:
    """Refuse values that a factor does not have, or a factor without any value."""
    for factor in check_factors(name, shape, values):
        chosen, size = set(values[factor]), shape[factor]
        if not chosen or not chosen <= set(range(size)):
            raise refuse(
                name,
                f"some values of factor {factor} in 0..{size - 1}",
                sorted(chosen),
                "Choose from the values that the factor has.",
            )


def check_thresholds(name: str, shape: Shape, thresholds: Mapping[int, int]) -> None:
    """Refuse thresholds that leave a factor no value below or none at and above."""
    check_factors(name, shape, thresholds)
    wrong = {f: t for f, t in thresholds.items() if not 1 <= t < shape[f]}
    if wrong or not thresholds:
        raise refuse(
            name,
            "thresholds from 1 to one less than the number of values",
            wrong or "none",
            f"The grid is {tuple(shape)}.",
        )


def equal_sizes(name: str, shape: Shape) -> int:
    """Return the common number of values of all factors."""
    if len(set(shape)) != 1:
        raise refuse(
            name, "factors with equally many values", tuple(shape), "Recombine equal factors."
        )
    return shape[0]


def box(shape: Shape, values: Mapping[int, Collection[int]]) -> CellSet:
    """Return the cells whose listed factors take one of the listed values."""
    ranges = (sorted(values.get(f, range(n))) for f, n in enumerate(shape))
    return CellSet(tuple(shape), frozenset(itertools.product(*ranges)))


def beyond(cell: Cell, thresholds: Mapping[int, int]) -> int:
    """Return how many factors of a cell are at or above their threshold."""
    return sum(cell[f] >= t for f, t in thresholds.items())
