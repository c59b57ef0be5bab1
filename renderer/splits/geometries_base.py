"""What every split geometry returns, and the checks they share."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import Cell, CellSet

Shape = Sequence[int]


@dataclass(frozen=True)
class Geometry:
    """Which cells of a grid are ID and which are OOC."""

    name: str  # key of the geometry in the table `GEOMETRIES`
    id_cells: CellSet  # non-empty, disjoint sets of one grid
    ooc_cells: CellSet  # non-empty, disjoint sets of one grid
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


def refuse(name: str, expected: str, got: object, advice: str) -> InvalidInputError:
    """Return the error of a geometry in the message form of the project."""
    return InvalidInputError(f"geometry {name!r}: expected {expected}; got {got}. {advice}")


def rest_is_ooc(name: str, ids: CellSet, source: str) -> Geometry:
    """Return the geometry whose OOC cells are all that are not ID."""
    return Geometry(name, ids, ids.complement(), source)


def rest_is_id(name: str, ooc: CellSet, source: str) -> Geometry:
    """Return the geometry whose ID cells are all that are not OOC."""
    return Geometry(name, ooc.complement(), ooc, source)


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
