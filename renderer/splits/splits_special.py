"""Splits whose sides are not residues of one sum: bands, relations, counts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import Cell, CellSet
from recombine.renderer.splits.splits import Draw, EveryCellOnce, check_ladder

RELATIONS = ("left-of", "right-of", "in-front-of", "behind")
INVERSE = (1, 0, 3, 2)
"""The relation as the other object sees it."""


@dataclass(frozen=True)
class BandSplit:
    """Reflected band of two ordered factors with equally many values.

    ID is ``j = reflect(i + s)`` for every step ``|s| <= width``, OOC is ``j = i + s mod n`` for
    every step with ``beyond < s < n - beyond``. Each value of i and each step counts once, so
    either factor is exactly uniform on both sides, although cells at the ends count twice. Every
    draw is made at the offset inside its value and at the mirrored one, and a reflected step
    mirrors the second offset: so offsets, too, are equally distributed on both sides.
    """

    values: int  # number n of values of either factor
    ladder: tuple[int, ...]  # width of every rung, in values, ascending

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in itertools.pairwise((0, *self.ladder)))
        if not self.ladder or not ascending or 2 * self.ladder[-1] + 1 >= self.values:
            raise InvalidInputError(
                f"BandSplit: widths must ascend from 1 and leave OOC steps among {self.values} "
                f"values; got {self.ladder}. Narrow the widest rung."
            )

    def id_draws(self, shape: tuple[int, ...], rung: int = 0) -> list[Draw]:
        """Return every (cell, variant) of a rung; variants are 2 * reflected + mirrored."""
        del shape
        width = self.ladder[rung]
        return sorted(
            ((i, _reflect(i + s, self.values)), 2 * (not 0 <= i + s < self.values) + mirrored)
            for i in range(self.values)
            for s in range(-width, width + 1)
            for mirrored in (0, 1)
        )

    def ooc_draws(self, shape: tuple[int, ...]) -> list[Draw]:
        """Return every OOC (cell, variant)."""
        del shape
        steps = range(self.ladder[-1] + 1, self.values - self.ladder[-1])
        return sorted(
            ((i, (i + s) % self.values), mirrored)
            for i in range(self.values)
            for s in steps
            for mirrored in (0, 1)
        )

    def ooc_val_draws(self, shape: tuple[int, ...]) -> list[Draw]:
        """Return nothing: there is no band for OOC-val."""
        del shape
        return []

    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the ID cells of a rung, without their law."""
        return CellSet.of(shape, (cell for cell, _ in self.id_draws(shape, rung)))

    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the OOC cells."""
        return CellSet.of(shape, (cell for cell, _ in self.ooc_draws(shape)))

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data."""
        return {"geometry": "reflected-band", **asdict(self)}


def _reflect(step: int, n: int) -> int:
    around = step % (2 * n)
    return min(around, 2 * n - 1 - around)


@dataclass(frozen=True)
class BindingSplit(EveryCellOnce):
    """Which attribute belongs to which of two objects: both bindings are ID, or both held out.

    A cell is (shape, attribute, shape, attribute). A binding's residue is the attribute minus the
    shape; a scene with one binding of either side is in neither set. Exchange of the objects
    exchanges the bindings, so both sides are closed under it.
    """

    values: int  # number of shapes and of attributes
    ladder: tuple[tuple[int, ...], ...]  # residues that are ID at each rung
    ooc: tuple[int, ...]  # residues held out

    def __post_init__(self) -> None:
        check_ladder("BindingSplit", self.ladder, self.ooc)

    def shifts(self, factors: int) -> tuple[Cell, ...]:
        """Return a shift of each object's binding; either keeps every residue."""
        del factors
        return (1, 1, 0, 0), (0, 0, 1, 1)

    def _cells(self, shape: tuple[int, ...], residues: Sequence[int]) -> CellSet:
        n = self.values
        bound = [(s, (s + r) % n) for s in range(n) for r in residues]
        return CellSet.of(shape, (a + b for a in bound for b in bound))

    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the ID cells of a rung."""
        return self._cells(shape, self.ladder[rung])

    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the held-out cells."""
        return self._cells(shape, self.ooc)

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data; novelty is that of a binding, a pair of factors."""
        return {"geometry": "binding", **asdict(self), "factors": (0, 1)}


@dataclass(frozen=True)
class RelationSplit(EveryCellOnce):
    """Held-out pairs per relation, closed under reading a scene from the other object.

    A cell is (object, relation, object). Along either axis a scene has one difference d, of the
    right object minus the left one or of the rear one minus the front one; the axis from front to
    rear is shifted by half the values, so that a pair held out on one axis is seen on the other.
    Both readings of a scene have the same d, hence lie on the same side.
    """

    values: int  # number of objects, a multiple of 4
    ladder: tuple[tuple[int, ...], ...]  # residues of d that are ID at each rung
    ooc: tuple[int, ...]  # residues held out

    def __post_init__(self) -> None:
        check_ladder("RelationSplit", self.ladder, self.ooc)

    def _cells(self, shape: tuple[int, ...], residues: Sequence[int]) -> CellSet:
        return CellSet.full(shape).where(lambda c: self._residue(*c) in residues)

    def _residue(self, first: int, relation: int, second: int) -> int:
        difference = first - second if relation % 2 else second - first
        return (difference - (relation // 2) * self.values // 2) % self.values

    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the ID cells of a rung."""
        return self._cells(shape, self.ladder[rung])

    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the held-out cells."""
        return self._cells(shape, self.ooc)

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data."""
        return {"geometry": "relation", **asdict(self), "inverse": INVERSE}


@dataclass(frozen=True)
class CountSplit(EveryCellOnce):
    """Few objects in training, more in testing: extrapolation, reported apart."""

    most: int  # largest count of training; the factor's value k stands for k + 1 objects
    values: int  # largest count

    @property
    def ladder(self) -> tuple[int, ...]:
        """Return the one rung."""
        return (self.most,)

    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the counts of training."""
        del rung
        return CellSet.of(shape, ((k,) for k in range(self.most)))

    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the counts of testing."""
        return CellSet.of(shape, ((k,) for k in range(self.most, self.values)))

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data; it promises neither coverage nor equal marginals."""
        declared = {"geometry": "count", "require": {"novelty": 1}}
        return {"geometry": "count", "ladder": [self.most], **asdict(self), "declaration": declared}
