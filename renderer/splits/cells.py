"""Exact algebra over cells, the combinations of the recombined factors.

A `CellSet` is a set of integer tuples inside a grid. It can be counted, tested and its
marginals read as exact fractions, so no claim about a split rests on sampling.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from recombine.renderer.core.errors import InvalidInputError

Cell = tuple[int, ...]


@dataclass(frozen=True)
class CellSet:
    """A set of cells of a grid.

    Attributes
    ----------
    shape : tuple of int
        Number of values of each recombined factor, each at least 1.
    cells : frozenset of tuple of int
        Members.

    Raises
    ------
    InvalidInputError
        When a cell lies outside the grid, or two sets of different grids are combined.
    """

    shape: tuple[int, ...]
    cells: frozenset[Cell]

    def __post_init__(self) -> None:
        for cell in self.cells:
            inside = len(cell) == len(self.shape) and all(
                0 <= v < n for v, n in zip(cell, self.shape, strict=True)
            )
            if not inside:
                raise InvalidInputError(
                    f"CellSet: cells must lie in a grid of shape {self.shape}; got {cell}. "
                    "Check the order of the recombined factors."
                )

    @classmethod
    def full(cls, shape: Iterable[int]) -> CellSet:
        """Return every cell of a grid."""
        shape = tuple(shape)
        return cls(shape, frozenset(itertools.product(*map(range, shape))))

    @classmethod
    def of(cls, shape: Iterable[int], cells: Iterable[Iterable[int]]) -> CellSet:
        """Return the set of the listed cells."""
        return cls(tuple(shape), frozenset(tuple(int(v) for v in c) for c in cells))

    def _same_grid(self, other: CellSet) -> None:
        if self.shape != other.shape:
            raise InvalidInputError(
                f"CellSet: both sets must share one grid; got {self.shape} and {other.shape}. "
                "Combine sets of one schema only."
            )

    def __or__(self, other: CellSet) -> CellSet:
        self._same_grid(other)
        return CellSet(self.shape, self.cells | other.cells)

    def __and__(self, other: CellSet) -> CellSet:
        self._same_grid(other)
        return CellSet(self.shape, self.cells & other.cells)

    def __sub__(self, other: CellSet) -> CellSet:
        self._same_grid(other)
        return CellSet(self.shape, self.cells - other.cells)

    def __le__(self, other: CellSet) -> bool:
        self._same_grid(other)
        return self.cells <= other.cells

    def __contains__(self, cell: Iterable[int]) -> bool:
        return tuple(int(v) for v in cell) in self.cells

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(sorted(self.cells))

    def complement(self) -> CellSet:
        """Return the cells of the grid that are not members."""
        return CellSet.full(self.shape) - self

    def where(self, keep: Callable[[Cell], bool]) -> CellSet:
        """Return the members that satisfy a predicate."""
        return CellSet(self.shape, frozenset(c for c in self.cells if keep(c)))

    def product(self, other: CellSet) -> CellSet:
        """Return all concatenations of a member of each."""
        cells = frozenset(a + b for a in self.cells for b in other.cells)
        return CellSet(self.shape + other.shape, cells)

    def permutation_closure(self, positions: Iterable[int]) -> CellSet:
        """Return the smallest superset that is symmetric in exchangeable factors.

        Parameters
        ----------
        positions : iterable of int
            Factors that may swap their values; they must have equally many values.

        Raises
        ------
        InvalidInputError
            When the factors have different numbers of values.
        """
        positions = tuple(positions)
        if len({self.shape[p] for p in positions}) > 1:
            raise InvalidInputError(
                "CellSet.permutation_closure: exchangeable factors must have equally many values; "
                f"got {[self.shape[p] for p in positions]}. List only exchangeable factors."
            )
        closed = set()
        for cell in self.cells:
            for order in itertools.permutations(positions):
                swapped = list(cell)
                for target, source in zip(positions, order, strict=True):
                    swapped[target] = cell[source]
                closed.add(tuple(swapped))
        return CellSet(self.shape, frozenset(closed))

    def marginal(self, position: int) -> tuple[Fraction, ...]:
        """Return the exact share of every value of one factor, uniform over the members.

        An empty set has the marginal of zeros.
        """
        counts = [0] * self.shape[position]
        for cell in self.cells:
            counts[cell[position]] += 1
        return tuple(Fraction(c, max(len(self.cells), 1)) for c in counts)

    def total_variation(self, other: CellSet) -> Fraction:
        """Return the worst single-factor total variation to another set; 0 means no shift.

        Examples
        --------
        >>> diagonal = CellSet.of((2, 2), [(0, 0), (1, 1)])
        >>> diagonal.total_variation(diagonal.complement())
        Fraction(0, 1)
        """
        self._same_grid(other)
        worst = Fraction(0)
        for p in range(len(self.shape)):
            pairs = zip(self.marginal(p), other.marginal(p), strict=True)
            worst = max(worst, sum((abs(a - b) for a, b in pairs), Fraction(0)) / 2)
        return worst

    def coverage(self) -> Fraction:
        """Return the share of values seen, of the worst factor; 1 means every value occurs."""
        return min(
            Fraction(sum(m > 0 for m in self.marginal(p)), self.shape[p])
            for p in range(len(self.shape))
        )

    def additive_rank(self) -> tuple[int, int]:
        """Return the rank of the stacked one-hot codes and the rank that identifies additively.

        An additive model extrapolates to a cell exactly when the cell's code lies in the span
        of the ID codes; all cells do when the rank is ``sum(shape) - len(shape) + 1``
        (Compositional Risk Minimization, arXiv 2410.06303; for two factors this is
        connectivity of the bipartite graph of ID cells).
        """
        full = sum(self.shape) - len(self.shape) + 1
        if not self.cells:
            return 0, full
        offsets = np.concatenate([[0], np.cumsum(self.shape)[:-1]])
        codes = np.zeros((len(self.cells), sum(self.shape)))
        for row, cell in enumerate(sorted(self.cells)):
            codes[row, offsets + np.array(cell)] = 1
        return int(np.linalg.matrix_rank(codes)), full

    def novelty_order(self, cell: Iterable[int]) -> int:
        """Return the smallest number of factors whose joint values no member shows.

        1 is an unseen value, 2 an unseen pair; 0 means the cell is a member's combination.
        """
        cell = tuple(int(v) for v in cell)
        for order in range(1, len(cell) + 1):
            for positions in itertools.combinations(range(len(cell)), order):
                if not any(all(c[p] == cell[p] for p in positions) for c in self.cells):
                    return order
        return 0


def orbit_cells(
    shape: Iterable[int], residues: Iterable[int], modulus: int | None = None
) -> CellSet:
    """Return the cells whose signed sum (all values but the first, minus the first) is a residue.

    Such a set is a union of orbits of the cyclic shifts that keep the signed sum. They act
    transitively on every factor, so every single-factor marginal of the set, and of its
    complement, is exactly uniform: the only shift is the combination. For K factors all
    marginals below order K are uniform, so what is held out is novel at order exactly K.

    Parameters
    ----------
    shape : iterable of int
        Numbers of values; they need a common divisor above 1.
    residues : iterable of int
        Chosen residues.
    modulus : int, optional
        A common divisor of the shape, the greatest one by default. A fixed one keeps every cell
        on its side when values are appended.

    Raises
    ------
    InvalidInputError
        When the modulus does not divide the sizes or is 1, or a residue is out of range.

    Examples
    --------
    >>> list(orbit_cells((2, 2), [0]))
    [(0, 0), (1, 1)]
    """
    shape, residues = tuple(shape), set(residues)
    divisor = math.gcd(*shape)
    modulus = modulus or divisor
    if modulus == 1 or divisor % modulus or not residues <= set(range(modulus)):
        raise InvalidInputError(
            f"orbit split: residues must lie in 0..{modulus - 1}, the greatest common divisor of "
            f"{shape} being {divisor}; got {sorted(residues)}. Choose sizes with a common divisor."
        )
    return CellSet.full(shape).where(lambda c: (sum(c[1:]) - c[0]) % modulus in residues)
