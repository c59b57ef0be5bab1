"""Which cells are in-combination (ID) and which are held out (OOC)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import Cell, CellSet, orbit_cells

SPLITS = ("id_train", "id_val", "id_test", "ooc_test", "ooc_val")
Draw = tuple[Cell, int]
"""A cell to render in a block, and which of its variants; 0 where there is one."""


class Split(Protocol):
    """What a plan needs of a split: computed like an `OrbitSplit`, or declared in a file."""

    @property
    def ladder(self) -> Sequence[Any]:
        """Return one item per rung, the narrowest first."""
        ...

    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the ID cells of a rung."""
        ...

    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the held-out cells, the same for every rung."""
        ...

    def id_draws(self, shape: tuple[int, ...], rung: int = 0) -> list[Draw]:
        """Return what a block renders of a rung, in order."""
        ...

    def ooc_draws(self, shape: tuple[int, ...]) -> list[Draw]:
        """Return what a block renders of OOC-test, in order."""
        ...

    def ooc_val_draws(self, shape: tuple[int, ...]) -> list[Draw]:
        """Return what a block renders of OOC-val; nothing where it is off."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data, with ``geometry`` and ``ladder``."""
        ...


class EveryCellOnce:
    """The law of splits whose blocks render every cell once."""

    def id_draws(self: Split, shape: tuple[int, ...], rung: int = 0) -> list[Draw]:
        """Return the ID cells of a rung, in order."""
        return [(cell, 0) for cell in self.id_cells(shape, rung)]

    def ooc_draws(self: Split, shape: tuple[int, ...]) -> list[Draw]:
        """Return the OOC cells, in order."""
        return [(cell, 0) for cell in self.ooc_cells(shape)]

    def ooc_val_draws(self, shape: tuple[int, ...]) -> list[Draw]:
        """Return nothing: there is no orbit for OOC-val."""
        del shape
        return []


@dataclass(frozen=True)
class OrbitSplit(EveryCellOnce):
    """Orbit split with a nested training ladder and one common OOC test set."""

    # residues that are ID at each rung; every rung contains the one before it
    ladder: tuple[tuple[int, ...], ...]
    ooc: tuple[int, ...]  # residues held out of every rung
    # further residues held out of every rung, for choosing between methods; off when empty
    ooc_val: tuple[int, ...] = ()
    modulus: int = 0  # what residues are counted by; 0 for the greatest common divisor of the sizes
    # positions of the factors that recombine, all when empty. With t of them all marginals below
    # order t are equal, so OOC is novel at order exactly t
    factors: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_ladder("OrbitSplit", self.ladder, self.ooc, self.ooc_val)

    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the ID cells of a rung; rung 0 is the narrowest."""
        return self._cells(shape, self.ladder[rung])

    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the held-out cells, the same for every rung."""
        return self._cells(shape, self.ooc)

    def ooc_val_draws(self, shape: tuple[int, ...]) -> list[Draw]:
        """Return the cells of the separate held-out orbits for validation, in order."""
        return [(cell, 0) for cell in self._cells(shape, self.ooc_val)]

    def shifts(self, factors: int) -> tuple[Cell, ...]:
        """Return shifts of all values that keep a cell on its side and reach every value."""
        chosen = self.factors or tuple(range(factors))
        first, *rest = chosen
        if len(chosen) % 2 == 0:
            return (tuple(len(rest) if f == first else 1 for f in range(factors)),)
        one, other = rest[0], rest[1:]
        free = [f for f in range(factors) if f not in chosen]
        return (
            tuple(int(f in (first, one, *free)) for f in range(factors)),
            tuple(len(other) if f == first else int(f in other) for f in range(factors)),
        )

    def _cells(self, shape: tuple[int, ...], residues: tuple[int, ...]) -> CellSet:
        modulus = self.modulus or None
        if not self.factors:
            return orbit_cells(shape, residues, modulus)
        part = orbit_cells([shape[f] for f in self.factors], residues, modulus).cells
        return CellSet.full(shape).where(lambda c: tuple(c[f] for f in self.factors) in part)

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data."""
        return {"geometry": "orbit", **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OrbitSplit:
        """Return the split written by `to_dict`."""
        return cls(
            ladder=tuple(tuple(r) for r in data["ladder"]),
            ooc=tuple(data["ooc"]),
            ooc_val=tuple(data["ooc_val"]),
            modulus=int(data["modulus"]),
            factors=tuple(data["factors"]),
        )


def check_ladder(
    who: str,
    ladder: Sequence[Sequence[int]],
    ooc: Sequence[int],
    ooc_val: Sequence[int] = (),
) -> None:
    """Check that rungs are nested and clear of what is held out."""
    rungs = [set(r) for r in ladder]
    nested = all(a < b for a, b in itertools.pairwise(rungs))
    if not rungs or not nested or not all(rungs):
        raise InvalidInputError(
            f"{who}: rungs must be non-empty and strictly nested; got {ladder}. "
            "Start with the narrowest rung and only add residues."
        )
    if not ooc or rungs[-1] & {*ooc, *ooc_val} or set(ooc) & set(ooc_val):
        raise InvalidInputError(
            f"{who}: ooc must be non-empty and disjoint from every rung and from ooc_val; got ooc "
            f"{ooc}, ooc_val {ooc_val} and widest rung {ladder[-1]}. Remove the shared residues."
        )


@dataclass(frozen=True)
class Sizes:
    """How many matched nuisance blocks each part of a dataset has."""

    # blocks of the narrowest rung. Wider rungs take the first ``train * |S_0| / |S_r|`` blocks, so
    # every rung trains on equally many images
    train: int
    # blocks of ID-val, and of the test sets; a test block holds every ID cell of the narrowest rung
    # and every OOC cell under one nuisance vector
    val: int
    # blocks of ID-val, and of the test sets; a test block holds every ID cell of the narrowest rung
    # and every OOC cell under one nuisance vector
    test: int
    # about how many cells of either side a block takes, in whole orbits, where all are too many; 0
    # for all. Blocks go round the orbits, so that none comes twice before all came once
    cells: int = 0

    def rung_blocks(self, split: Split, shape: tuple[int, ...]) -> tuple[int, ...]:
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
