"""Exact algebra over cells, the combinations of the recombined factors.

A `CellSet` is a set of integer tuples inside a grid. It can be counted, tested and its
marginals read as exact fractions, so no claim about a split rests on sampling.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Int64


Cell = tuple[int, ...]


@dataclass(frozen=True)
class CellSet:
    """A set of cells of a grid."""

    shape: tuple[int, ...]  # number of values of each recombined factor, each at least 1
    cells: frozenset[Cell]  # members

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
        """Return the smallest superset that is symmetric in exchangeable factors."""
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
        """Return the exact share of every value of one factor, uniform over the members."""
        # An empty set has the marginal of zeros.
        counts = [0] * self.shape[position]
        for cell in self.cells:
            counts[cell[position]] += 1
        return tuple(Fraction(c, max(len(self.cells), 1)) for c in counts)

    def total_variation(self, other: CellSet) -> Fraction:
        """Return the worst single-factor total variation to another set; 0 means no shift."""
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
        """Return the rank of the stacked one-hot codes and the rank that identifies additively."""
        # An additive model extrapolates to a cell exactly when the cell's code lies in the span of
        # the ID codes; all cells do when the rank is ``sum(shape) - len(shape) + 1`` (Compositional
        # Risk Minimization, arXiv 2410.06303; for two factors this is connectivity of the bipartite
        # graph of ID cells).
        full = sum(self.shape) - len(self.shape) + 1
        if not self.cells:
            return 0, full
        offsets = np.concatenate([[0], np.cumsum(self.shape)[:-1]])
        codes = np.zeros((len(self.cells), sum(self.shape)))
        for row, cell in enumerate(sorted(self.cells)):
            codes[row, offsets + np.array(cell)] = 1
        return int(np.linalg.matrix_rank(codes)), full


# What changes between the ID and the OOC cells of a split, besides the combination.

ATOM_ALPHA = 0.5
COMPOUND_ALPHA = 0.1


@dataclass(frozen=True)
class ShiftReport:
    """The shift from ID to OOC cells, one figure per confound."""

    id_share: Fraction  # of the grid; what remains of both to 1 is ignored by the split
    ooc_share: Fraction
    coverage: Fraction  # share of values seen in ID, of the worst factor; 1 is best
    # worst single-factor distance between ID and OOC, in [0, 1]; 0 is best
    total_variation: Fraction
    # one minus the Chernoff coefficient of single values, in [0, 1]; 0 is best
    atom_divergence: float
    compound_divergence: float  # the same of pairs of values; 1 when no pair of OOC occurs in ID
    pair_coverage: Fraction  # share of all pairs of values of two factors that ID shows
    components: int  # connected components of the seen values, tied by the ID cells; 1 is best
    rank: int  # additive rank of the ID cells
    full_rank: int  # the rank that identifies an additive model
    # order of novelty, the smallest number of factors whose joint value ID never shows, and how
    # many OOC cells have it; ascending
    novelty: tuple[tuple[int, int], ...]
    # mean number of factors in which an OOC cell differs from the nearest ID cell
    hamming_mean: Fraction
    hamming_max: int  # the largest of these numbers

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: fractions become text such as ``"2/3"``, orders become keys."""
        plain = {k: str(v) if isinstance(v, Fraction) else v for k, v in vars(self).items()}
        return plain | {"novelty": {str(order): n for order, n in self.novelty}}

    def lines(self) -> tuple[str, ...]:
        """Return the report as short lines for people."""
        orders = ", ".join(f"order {order}: {n}" for order, n in self.novelty)
        worst = f"coverage {float(self.coverage):.3g}, TV {float(self.total_variation):.3f}"
        apart = f"atoms {self.atom_divergence:.3f}, compounds {self.compound_divergence:.3f}"
        rank = f"additive rank {self.rank}/{self.full_rank}"
        mean = f"{float(self.hamming_mean):.2f}"
        return (
            f"ID {_percent(self.id_share)}, OOC {_percent(self.ooc_share)} of the grid",
            f"worst factor: {worst}",
            f"divergence: {apart}",
            f"pairs of values seen: {_percent(self.pair_coverage)}",
            f"ID cells: {self.components} component(s), {rank}",
            f"OOC cells by novelty: {orders}",
            f"OOC to nearest ID cell: {mean} factors on average, {self.hamming_max} at most",
        )


def report(id_cells: CellSet, ooc_cells: CellSet) -> ShiftReport:
    """Measure the shift between two sets of cells.

    Parameters
    ----------
    id_cells, ooc_cells : CellSet
        Non-empty, disjoint sets of one grid.

    Returns
    -------
    ShiftReport
        See its attributes.

    Raises
    ------
    InvalidInputError
        When a set is empty, the sets overlap or the grids differ.

    Examples
    --------
    >>> odd = CellSet.of((2, 2), [(0, 1), (1, 0)])
    >>> found = report(odd.complement(), odd)
    >>> found.total_variation, found.components, found.novelty
    (Fraction(0, 1), 2, ((2, 2),))
    """
    _check_pair(id_cells, ooc_cells)
    grid = int(np.prod(id_cells.shape))
    orders, distances = _novelty_and_distance(id_cells, ooc_cells)
    rank, full_rank = id_cells.additive_rank()
    return ShiftReport(
        id_share=Fraction(len(id_cells), grid),
        ooc_share=Fraction(len(ooc_cells), grid),
        coverage=id_cells.coverage(),
        total_variation=id_cells.total_variation(ooc_cells),
        atom_divergence=divergence(id_cells, ooc_cells, order=1, alpha=ATOM_ALPHA),
        compound_divergence=divergence(id_cells, ooc_cells, order=2, alpha=COMPOUND_ALPHA),
        pair_coverage=tuple_coverage(id_cells, order=2),
        components=components(id_cells),
        rank=rank,
        full_rank=full_rank,
        novelty=tuple(sorted(Counter(orders).items())),
        hamming_mean=Fraction(sum(distances), len(distances)),
        hamming_max=max(distances),
    )


def divergence(id_cells: CellSet, ooc_cells: CellSet, *, order: int, alpha: float) -> float:
    """Return one minus the Chernoff coefficient of all tuples of ``order`` factors."""
    # The coefficient ``sum_k p_k**alpha * q_k**(1 - alpha)``, p from ID and q from OOC, is taken
    # per choice of factors and averaged, which equals pooling all tuples with equal weight. Single
    # values with alpha 0.5 are the atom divergence, pairs with alpha 0.1 the compound divergence of
    # Keysers et al. 2020 (arXiv 1912.09713), section 2.
    coefficients = []
    for positions in _choices(id_cells.shape, order):
        p, q = (_frequencies(c, positions) for c in (id_cells, ooc_cells))
        coefficients.append(float(np.sum(p**alpha * q ** (1 - alpha))))
    return min(1.0, max(0.0, 1.0 - float(np.mean(coefficients))))


def drawn_total_variation(
    id_draws: Sequence[tuple[Sequence[int], int]], ooc_draws: Sequence[tuple[Sequence[int], int]]
) -> Fraction:
    """Return the worst single-factor total variation between draws, which may repeat cells."""
    worst = Fraction(0)
    for factor in range(len(id_draws[0][0])):
        p, q = (Counter(cell[factor] for cell, _ in draws) for draws in (id_draws, ooc_draws))
        gaps = (abs(Fraction(p[v], len(id_draws)) - Fraction(q[v], len(ooc_draws))) for v in p | q)
        worst = max(worst, sum(gaps, Fraction(0)) / 2)
    return worst


def tuple_coverage(cells: CellSet, *, order: int) -> Fraction:
    """Return the share of all tuples of ``order`` factors that some member shows."""
    # With order 2 this is the two-way coverage of combinatorial testing.
    seen = total = 0
    for positions in _choices(cells.shape, order):
        counts = _counts(cells, positions)
        seen += int(np.count_nonzero(counts))
        total += len(counts)
    return Fraction(seen, total)


def components(cells: CellSet) -> int:
    """Return the number of connected components of the values that the cells tie together."""
    # Values are nodes and a cell ties its values; unseen values count for nothing. Two factors
    # identify an additive model exactly when there is one component and no value is unseen.
    offsets = np.cumsum((0, *cells.shape[:-1]))
    parent = list(range(sum(cells.shape)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    nodes = _array(cells) + offsets
    for cell in nodes.tolist():
        for node in cell[1:]:
            parent[root(node)] = root(cell[0])
    return len({root(int(node)) for node in np.unique(nodes)})


def _novelty_and_distance(ids: CellSet, ooc: CellSet) -> tuple[list[int], list[int]]:
    # One pass over the subsets of factors serves both: the smallest unseen subset is the order
    # of novelty, the largest seen one leaves the Hamming distance.
    cells, factors = _array(ooc), len(ids.shape)
    order = np.full(len(cells), factors)
    distance = np.full(len(cells), factors)
    for size in range(1, factors + 1):
        for positions in itertools.combinations(range(factors), size):
            seen = _counts(ids, positions)[_codes(cells, ids.shape, positions)] > 0
            order[~seen] = np.minimum(order[~seen], size)
            distance[seen] = np.minimum(distance[seen], factors - size)
    return order.tolist(), distance.tolist()


def _choices(shape: Sequence[int], order: int) -> list[tuple[int, ...]]:
    return list(itertools.combinations(range(len(shape)), min(order, len(shape))))


def _array(cells: CellSet) -> Int64[Array, "cells factors"]:
    return np.array(list(cells), np.int64).reshape(len(cells), len(cells.shape))


def _codes(array: Array, shape: Sequence[int], positions: Sequence[int]) -> Array:
    sizes = tuple(shape[p] for p in positions)
    return np.ravel_multi_index(tuple(array[:, p] for p in positions), sizes)


def _counts(cells: CellSet, positions: Sequence[int]) -> Array:
    size = int(np.prod([cells.shape[p] for p in positions]))
    return np.bincount(_codes(_array(cells), cells.shape, positions), minlength=size)


def _frequencies(cells: CellSet, positions: Sequence[int]) -> Array:
    return _counts(cells, positions) / len(cells)


def _check_pair(ids: CellSet, ooc: CellSet) -> None:
    shared = ids & ooc
    if not len(ids) or not len(ooc) or len(shared):
        raise InvalidInputError(
            f"shift report: ID and OOC must be non-empty and disjoint; got {len(ids)} and "
            f"{len(ooc)} cells that share {len(shared)}. Take the shared cells out of one."
        )


def _percent(share: Fraction) -> str:
    return f"{100 * float(share):.3g} %"
