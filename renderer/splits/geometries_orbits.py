"""Split geometries that are unions of orbits: the combination is the only shift.

A group of shifts maps the ID cells to themselves and acts transitively on every factor, so each
single-factor marginal is invariant and hence exactly uniform, inside ID and outside.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from recombine.renderer.splits.cells import CellSet, orbit_cells
from recombine.renderer.splits.geometries_base import (
    Geometry,
    Shape,
    check_factors,
    refuse,
    rest_is_ooc,
)

ORBIT = "union of orbits of a transitive group"


def orbit(
    shape: Shape, *, residues: Collection[int], ooc: Collection[int] | None = None
) -> Geometry:
    """Train on residues of the signed sum of all values: the cyclic band, and its extension."""
    # For two factors ID is ``(v_1 - v_0) mod g in residues``. Guarantees total variation 0 and
    # coverage; for K factors all marginals of order below K are equal, so OOC is novel at order
    # exactly K. Two residues whose difference generates the group connect the ID cells.
    ids = orbit_cells(shape, residues)
    return Geometry(
        "orbit", ids, ids.complement() if ooc is None else orbit_cells(shape, ooc), ORBIT
    )


def strength_array(
    shape: Shape, *, residues: Collection[int], factors: Sequence[int] | None = None
) -> Geometry:
    """Train on an array in which all tuples of t factors are equally frequent."""
    # The listed t+1 factors form an orbit set, the others are free. Guarantees that all t-way
    # marginals, over all factors, are equal in ID and OOC: OOC is novel at order exactly t+1. With
    # all factors listed this is the orbit geometry.
    return _orbit_on("strength", shape, range(len(shape)) if factors is None else factors, residues)


def pair_cyclic(shape: Shape, *, factors: tuple[int, int], residues: Collection[int]) -> Geometry:
    """Train on a cyclic band of two factors; all other factors are free."""
    # Guarantees total variation 0, coverage and, with another free factor, nothing lost by ignoring
    # it: OOC is novel in the one pair only.
    first, second = factors
    return _orbit_on("pair-cyclic", shape, (first, second), residues)


def _orbit_on(
    name: str, shape: Shape, factors: Iterable[int], residues: Collection[int]
) -> Geometry:
    factors = check_factors(name, shape, factors)
    if len(factors) < 2:
        raise refuse(name, "two or more factors", list(factors), "One factor cannot recombine.")
    part = orbit_cells([shape[f] for f in factors], residues)
    ids = CellSet.full(shape).where(lambda c: tuple(c[f] for f in factors) in part.cells)
    return rest_is_ooc(name, ids, ORBIT)


def banded_pairs(shape: Shape, *, bands: Mapping[tuple[int, int], Collection[int]]) -> Geometry:
    """Train on cells in which every listed pair of factors lies in its cyclic band."""
    # Simultaneous shifts of all factors keep every difference modulo the common divisor, so total
    # variation is 0 whatever the bands. Breaks the single order of novelty: an OOC cell may be
    # novel in a pair or only in the whole.
    return _banded("banded-pairs", shape, bands)


def all_pairs_banded(shape: Shape, *, residues: Collection[int]) -> Geometry:
    """Train on cells in which every pair of factors lies in one and the same cyclic band."""
    pairs = itertools.combinations(range(len(shape)), 2)
    return _banded("all-pairs-banded", shape, dict.fromkeys(pairs, residues))


def _banded(name: str, shape: Shape, bands: Mapping[tuple[int, int], Collection[int]]) -> Geometry:
    modulus = math.gcd(*shape)
    if modulus == 1:
        advice = "Choose 16 and 32, for example."
        raise refuse(name, "sizes with a common divisor", tuple(shape), advice)
    for pair, residues in bands.items():
        check_factors(name, shape, pair)
        if not set(residues) <= set(range(modulus)):
            expected = f"residues in 0..{modulus - 1} of the pair {pair}"
            raise refuse(name, expected, sorted(residues), f"The grid is {tuple(shape)}.")
    ids = CellSet.full(shape).where(
        lambda c: all((c[j] - c[i]) % modulus in r for (i, j), r in bands.items())
    )
    return rest_is_ooc(name, ids, ORBIT)


def shift_closure(cells: CellSet) -> CellSet:
    """Return the smallest superset that simultaneous shifts of all factors map to itself."""
    # It is a union of orbits, so its marginals, and those of its complement, are uniform.
    shape = cells.shape
    shifts = range(math.lcm(*shape))
    moved = (
        tuple((v + s) % n for v, n in zip(cell, shape, strict=True))
        for cell in cells.cells
        for s in shifts
    )
    return CellSet(shape, frozenset(moved))
