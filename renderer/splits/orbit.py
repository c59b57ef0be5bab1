"""Geometries that are unions of orbits: the combination is the only shift.

A group of shifts maps the ID cells to themselves and acts transitively on every factor, so each
single-factor marginal is invariant and hence exactly uniform, inside ID and outside.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.splits.cells import Cell, CellSet
from recombine.renderer.splits.geometry import (
    Draw,
    Geometry,
    ResidueGeometry,
    Shape,
    Sides,
    check_factors,
    geometry,
    refuse,
    rest_is_ooc,
)
from recombine.renderer.splits.parameters import Grid, Node, factors, residues


def orbit_cells(
    shape: Iterable[int],
    residues: Iterable[int],
    modulus: int | None = None,
    factors: Sequence[int] = (),
) -> CellSet:
    """Return the cells whose signed sum (all values, minus the first twice) is a residue."""
    # The sum is over ``factors``, all of them when empty; the others are free.
    # Such a set is a union of orbits of the cyclic shifts that keep the signed sum. They act
    # transitively on every factor, so every single-factor marginal of the set, and of its
    # complement, is exactly uniform: the only shift is the combination. For K factors all marginals
    # below order K are uniform, so what is held out is novel at order exactly K.
    shape, residues = tuple(shape), set(residues)
    first, *rest = factors or range(len(shape))
    sizes = tuple(shape[f] for f in (first, *rest))
    divisor = math.gcd(*sizes)
    modulus = modulus or divisor
    if modulus == 1 or divisor % modulus or not residues <= set(range(modulus)):
        raise InvalidInputError(
            f"orbit split: residues must lie in 0..{modulus - 1}, the greatest common divisor of "
            f"{sizes} being {divisor}; got {sorted(residues)}. Choose sizes with a common divisor."
        )
    return CellSet.full(shape).where(
        lambda c: (sum(c[f] for f in rest) - c[first]) % modulus in residues
    )


@dataclass(frozen=True)
class OrbitSplit(ResidueGeometry):
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

    def stratum(self, cell: Cell) -> int:
        """Return the residue of a cell."""
        first, *rest = self.factors or range(len(cell))
        total = sum(cell[f] for f in rest) - cell[first]
        return total % self.modulus if self.modulus else 0

    def _cells(self, shape: tuple[int, ...], residues: Sequence[int]) -> CellSet:
        return orbit_cells(shape, residues, self.modulus, self.factors)

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data."""
        return {"geometry": "orbit", **asdict(self)}


def subsample_orbits(
    split: Geometry,
    shape: tuple[int, ...],
    draws: Sequence[Draw],
    block: int,
    *,
    cells: int,
    identity: tuple[str, str],
) -> Sequence[Draw]:
    """Return the draws of a block, which takes some orbits of cells only where they are many."""
    # Blocks go round the orbits stratum by stratum, so that whole strata, whose marginals of all
    # orders below the novelty are uniform, are filled before another begins.
    shifts = split.shifts(len(shape))
    if not cells or not shifts:
        return draws
    groups = _orbits(tuple(draws), shape, shifts)
    orbits = max(1, cells // len(groups[0]))
    if orbits >= len(groups):
        return draws
    order = _order(split, groups, identity)
    chosen = {int(order[(block * orbits + k) % len(groups)]) for k in range(orbits)}
    return [draw for g in sorted(chosen) for draw in groups[g]]


def _order(split: Geometry, groups: list[list[Draw]], identity: tuple[str, str]) -> list[int]:
    """Return the orbits of a side in a keyed order, those of a stratum together."""
    strata: dict[Any, list[int]] = {}
    for number in keyed_rng(*identity, "orbits", 0).permutation(len(groups)).tolist():
        cell, _ = groups[number][0]
        strata.setdefault(split.stratum(cell), []).append(number)
    return list(itertools.chain.from_iterable(strata.values()))


@lru_cache(maxsize=8)
def _orbits(
    draws: tuple[Draw, ...], shape: tuple[int, ...], shifts: tuple[Cell, ...]
) -> list[list[Draw]]:
    groups: dict[Cell, list[Draw]] = {}
    times = list(itertools.product(range(math.lcm(*shape)), repeat=len(shifts)))
    seen: dict[Cell, Cell] = {}
    for draw in draws:
        cell = draw[0]
        if cell not in seen:
            for n in times:
                moves = [
                    sum(t * s[k] for t, s in zip(n, shifts, strict=True)) for k in range(len(shape))
                ]
                moved = zip(cell, moves, shape, strict=True)
                seen[tuple((v + m) % size for v, m, size in moved)] = cell
        groups.setdefault(seen[cell], []).append(draw)
    return list(groups.values())


# Orbit geometries that a file can declare.

ORBIT = "union of orbits of a transitive group"


@geometry("orbit", dial="residues", residues=residues, ooc=residues)
def orbit(shape: Shape, *, residues: Collection[int], ooc: Collection[int] | None = None) -> Sides:
    """Train on residues of the signed sum of all values: the cyclic band, and its extension."""
    # For two factors ID is ``(v_1 - v_0) mod g in residues``. Guarantees total variation 0 and
    # coverage; for K factors all marginals of order below K are equal, so OOC is novel at order
    # exactly K. Two residues whose difference generates the group connect the ID cells.
    ids = orbit_cells(shape, residues)
    return Sides("orbit", ids, ids.complement() if ooc is None else orbit_cells(shape, ooc), ORBIT)


@geometry("strength", dial="residues", residues=residues, factors=factors(2))
def strength_array(
    shape: Shape, *, residues: Collection[int], factors: Sequence[int] | None = None
) -> Sides:
    """Train on an array in which all tuples of t factors are equally frequent."""
    # The listed t+1 factors form an orbit set, the others are free. Guarantees that all t-way
    # marginals, over all factors, are equal in ID and OOC: OOC is novel at order exactly t+1. With
    # all factors listed this is the orbit geometry.
    return _orbit_on("strength", shape, range(len(shape)) if factors is None else factors, residues)


@geometry("pair-cyclic", dial="residues", factors=factors(2, 2), residues=residues)
def pair_cyclic(shape: Shape, *, factors: tuple[int, int], residues: Collection[int]) -> Sides:
    """Train on a cyclic band of two factors; all other factors are free."""
    # Guarantees total variation 0, coverage and, with another free factor, nothing lost by ignoring
    # it: OOC is novel in the one pair only.
    first, second = factors
    return _orbit_on("pair-cyclic", shape, (first, second), residues)


def _orbit_on(name: str, shape: Shape, factors: Iterable[int], residues: Collection[int]) -> Sides:
    factors = check_factors(name, shape, factors)
    if len(factors) < 2:
        raise refuse(name, "two or more factors", list(factors), "One factor cannot recombine.")
    return rest_is_ooc(name, orbit_cells(shape, residues, factors=factors), ORBIT)


def _bands(node: Node, grid: Grid, _: Mapping[str, Any]) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for item in node.items():
        fields = item.table(("factors", "residues"))
        first, second = grid.factors(fields["factors"], 2, 2)
        if (first, second) in found:
            raise item.refuse("each pair once", "Join the residues.", got="it again")
        found[first, second] = fields["residues"].integers(0, max(grid.shape) - 1)
    return found


@geometry("banded-pairs", dial="bands", bands=_bands)
def banded_pairs(shape: Shape, *, bands: Mapping[tuple[int, int], Collection[int]]) -> Sides:
    """Train on cells in which every listed pair of factors lies in its cyclic band."""
    # Simultaneous shifts of all factors keep every difference modulo the common divisor, so total
    # variation is 0 whatever the bands. Breaks the single order of novelty: an OOC cell may be
    # novel in a pair or only in the whole.
    return _banded("banded-pairs", shape, bands)


@geometry("all-pairs-banded", dial="residues", residues=residues)
def all_pairs_banded(shape: Shape, *, residues: Collection[int]) -> Sides:
    """Train on cells in which every pair of factors lies in one and the same cyclic band."""
    pairs = itertools.combinations(range(len(shape)), 2)
    return _banded("all-pairs-banded", shape, dict.fromkeys(pairs, residues))


def _banded(name: str, shape: Shape, bands: Mapping[tuple[int, int], Collection[int]]) -> Sides:
    modulus = math.gcd(*shape)
    if modulus == 1:
        advice = "Choose 16 and 32, for example."
        raise refuse(name, "sizes with a common divisor", tuple(shape), advice)
    for pair, band in bands.items():
        check_factors(name, shape, pair)
        if not set(band) <= set(range(modulus)):
            expected = f"residues in 0..{modulus - 1} of the pair {pair}"
            raise refuse(name, expected, sorted(band), f"The grid is {tuple(shape)}.")
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
