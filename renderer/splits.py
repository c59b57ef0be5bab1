"""Which cells are in-combination (ID) and which are held out (OOC)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from recombine.renderer.cells import CellSet, orbit_cells
from recombine.renderer.errors import InvalidInputError

SPLITS = ("id_train", "id_val", "id_test", "ooc_test")


class Split(Protocol):
    """What a plan needs of a split: an `OrbitSplit`, or one declared in a file."""

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

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data, with ``geometry`` and ``ladder``."""
        ...


@dataclass(frozen=True)
class OrbitSplit:
    """Orbit split with a nested training ladder and one common OOC test set.

    Attributes
    ----------
    ladder : tuple of tuple of int
        Residues that are ID at each rung; every rung contains the one before it.
    ooc : tuple of int
        Residues held out of every rung.

    Raises
    ------
    InvalidInputError
        When rungs are not strictly nested or touch the held-out residues.
    """

    ladder: tuple[tuple[int, ...], ...]
    ooc: tuple[int, ...]

    def __post_init__(self) -> None:
        rungs = [set(r) for r in self.ladder]
        nested = all(a < b for a, b in itertools.pairwise(rungs))
        if not rungs or not nested or not all(rungs):
            raise InvalidInputError(
                f"OrbitSplit: rungs must be non-empty and strictly nested; got {self.ladder}. "
                "Start with the narrowest rung and only add residues."
            )
        if not self.ooc or rungs[-1] & set(self.ooc):
            raise InvalidInputError(
                f"OrbitSplit: ooc must be non-empty and disjoint from every rung; got ooc "
                f"{self.ooc} and widest rung {self.ladder[-1]}. Remove the shared residues."
            )

    def id_cells(self, shape: tuple[int, ...], rung: int = 0) -> CellSet:
        """Return the ID cells of a rung; rung 0 is the narrowest."""
        return orbit_cells(shape, self.ladder[rung])

    def ooc_cells(self, shape: tuple[int, ...]) -> CellSet:
        """Return the held-out cells, the same for every rung."""
        return orbit_cells(shape, self.ooc)

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data."""
        return {"geometry": "orbit", **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OrbitSplit:
        """Return the split written by `to_dict`."""
        return cls(tuple(tuple(r) for r in data["ladder"]), tuple(data["ooc"]))


@dataclass(frozen=True)
class Sizes:
    """How many matched nuisance blocks each part of a dataset has.

    Attributes
    ----------
    train : int
        Blocks of the narrowest rung. Wider rungs take the first ``train * |S_0| / |S_r|``
        blocks, so every rung trains on equally many images.
    val, test : int
        Blocks of ID-val, and of the test sets; a test block holds every ID cell of the
        narrowest rung and every OOC cell under one nuisance vector.
    """

    train: int
    val: int
    test: int

    def rung_blocks(self, split: Split, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the number of training blocks of every rung.

        Raises
        ------
        InvalidInputError
            When the images of a rung do not fill whole blocks.
        """
        images = self.train * len(split.id_cells(shape, 0))
        blocks = []
        for rung in range(len(split.ladder)):
            cells = len(split.id_cells(shape, rung))
            if images % cells:
                raise InvalidInputError(
                    f"Sizes: {images} training images must fill whole blocks of the {cells} cells "
                    f"of rung {rung}; got a remainder of {images % cells}. Change `train`."
                )
            blocks.append(images // cells)
        return tuple(blocks)
