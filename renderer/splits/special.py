"""Geometries whose sides are no residues of one sum: bands, relations, bindings, counts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import Cell, CellSet
from recombine.renderer.splits.geometry import (
    Draw,
    Geometry,
    ResidueGeometry,
    Shape,
    Sides,
    check_factors,
    check_values,
    equal_sizes,
    geometry,
    refuse,
    rest_is_id,
)
from recombine.renderer.splits.parameters import Grid, Node, factor, factors

RELATIONS = ("left-of", "right-of", "in-front-of", "behind")
INVERSE = (1, 0, 3, 2)
"""The relation as the other object sees it."""


@dataclass(frozen=True)
class BandSplit(Geometry):
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
class BindingSplit(ResidueGeometry):
    """Which attribute belongs to which of two objects: both bindings are ID, or both held out.

    A cell is (shape, attribute, shape, attribute). A binding's residue is the attribute minus the
    shape; a scene with one binding of either side is in neither set. Exchange of the objects
    exchanges the bindings, so both sides are closed under it.
    """

    values: int  # number of shapes and of attributes
    ladder: tuple[tuple[int, ...], ...]  # residues that are ID at each rung
    ooc: tuple[int, ...]  # residues held out

    def shifts(self, factors: int) -> tuple[Cell, ...]:
        """Return a shift of each object's binding; either keeps every residue."""
        del factors
        return (1, 1, 0, 0), (0, 0, 1, 1)

    def stratum(self, cell: Cell) -> Cell:
        """Return the residues of both bindings."""
        return tuple((cell[k + 1] - cell[k]) % self.values for k in (0, 2))

    def _cells(self, shape: tuple[int, ...], residues: Sequence[int]) -> CellSet:
        n = self.values
        bound = [(s, (s + r) % n) for s in range(n) for r in residues]
        return CellSet.of(shape, (a + b for a in bound for b in bound))

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data; novelty is that of a binding, a pair of factors."""
        return {"geometry": "binding", **asdict(self), "factors": (0, 1)}


@dataclass(frozen=True)
class RelationSplit(ResidueGeometry):
    """Held-out pairs per relation, closed under reading a scene from the other object.

    A cell is (object, relation, object). Along either axis a scene has one difference d, of the
    right object minus the left one or of the rear one minus the front one; the axis from front to
    rear is shifted by half the values, so that a pair held out on one axis is seen on the other.
    Both readings of a scene have the same d, hence lie on the same side.

    Read in all four relations, a residue r gives pairs whose values differ by r, -r, r + n/2 and
    n/2 - r. Sides whose residues fall into the same such classes, equally often, show every pair
    of objects equally often: then only the three factors together tell ID from OOC.
    """

    values: int  # number n of objects, a multiple of 4
    ladder: tuple[tuple[int, ...], ...]  # residues of d that are ID at each rung
    ooc: tuple[int, ...]  # residues held out

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = [self._pairs(side) for side in (*self.ladder, self.ooc)]
        if any(share != shares[-1] for share in shares):
            raise InvalidInputError(
                f"RelationSplit: rungs and ooc must show pairs of {self.values} objects equally "
                f"often; got residues {self.ladder} and ooc {self.ooc}. Take one quarter or more "
                "of `relation_residues` for each."
            )

    def _pairs(self, residues: Sequence[int]) -> dict[int, Fraction]:
        n, counts = self.values, Counter[int]()
        for r in residues:
            counts.update({min(d % n for d in (r, -r, r + n // 2, n // 2 - r)): 1})
        return {d: Fraction(count, len(residues)) for d, count in counts.items()}

    def _cells(self, shape: tuple[int, ...], residues: Sequence[int]) -> CellSet:
        return CellSet.full(shape).where(lambda c: self._residue(*c) in residues)

    def _residue(self, first: int, relation: int, second: int) -> int:
        difference = first - second if relation % 2 else second - first
        return (difference - (relation // 2) * self.values // 2) % self.values

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data."""
        data = {"geometry": "relation", **asdict(self), "inverse": INVERSE}
        if self.values % 8 == 0 and all(r % 2 for r in self.ladder[0]):
            # Objects of a scene then differ in the parity of their values, always: an additive
            # model keeps one degree of freedom, which is stated and not promised.
            data["declaration"] = {"require": {k: v for k, v in STRICT.items() if k != "rank"}}
        return data


STRICT = {
    "symmetric": True,
    "coverage": 1,
    "marginal_tv": 0,
    "tuple_tv": 0,
    "novelty": 3,
    "rank": "full",
}
"""What a relation split promises."""


def relation_residues(n: int) -> tuple[tuple[int, ...], ...]:
    """Return the residues of the four quarters; multiples of n / 4 belong to none.

    Those are their own mirror images: with them equal objects, and other pairs, would be more
    frequent on one side than on the other.
    """
    step = n // 4
    return tuple(tuple(range(k * step + 1, (k + 1) * step)) for k in range(4))


@dataclass(frozen=True)
class CountSplit(Geometry):
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


# Geometries about objects that a file can declare: who has which attribute, which relation.


def _lists(node: Node, grid: Grid, done: Mapping[str, Any]) -> dict[int, list[int]]:
    nouns = grid.values[done["noun"]]
    return {
        nouns.index(key): grid.codes(entry, done["colour"])
        for key, entry in node.table(optional=nouns).items()
    }


@geometry("cogent", dial="lists", noun=factor, colour=factor, lists=_lists)
def cogent(shape: Shape, *, noun: int, colour: int, lists: Mapping[int, Collection[int]]) -> Sides:
    """Give some shapes their own list of colours and test them on the other colours."""
    # Condition A is ID; of condition B only the swapped shapes are OOC, because the others (the
    # spheres of CLEVR, one third of B) show no novel combination. Guarantees coverage when the
    # lists or the free shapes show every colour. Equal marginals hold under the original law (shape
    # first, then a colour of its list), not under the uniform law on cells.
    check_factors("cogent", shape, (noun, colour))
    check_values("cogent", shape, {noun: lists})
    for listed in lists.values():
        check_values("cogent", shape, {colour: listed})
    swapped = CellSet.full(shape).where(
        lambda c: c[noun] in lists and c[colour] not in lists[c[noun]]
    )
    return rest_is_id("cogent", swapped, "Johnson et al. 2017, CLEVR, arXiv 1612.06890")


def _inverse(node: Node, grid: Grid, done: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(grid.code(n, done["predicate"]) for n in node.items())


def _relations(node: Node, grid: Grid, done: Mapping[str, Any]) -> list[tuple[int, ...]]:
    first, second = done["objects"]
    return grid.part((first, done["predicate"], second)).cells(node)


@geometry(
    "relation",
    dial="held_out",
    objects=factors(2, 2),
    predicate=factor,
    inverse=_inverse,
    held_out=_relations,
)
def relation(
    shape: Shape,
    *,
    objects: tuple[int, int],
    predicate: int,
    inverse: Sequence[int],
    held_out: Sequence[tuple[int, int, int]],
) -> Sides:
    """Hold out relations between pairs of objects, read from either side."""
    # "A left of B" and "B right of A" are one scene, so both cells are held out. Guarantees that
    # neither reading leaks. Keep the inverse relation of a pair in ID (B left of A) and OOC has the
    # same bag of objects and relations.
    first, second = objects
    check_factors("relation", shape, (first, second, predicate))
    equal_sizes("relation", (shape[first], shape[second]))
    known = range(shape[predicate])
    involution = len(inverse) == shape[predicate] and all(
        inverse[r] in known and inverse[inverse[r]] == r for r in known
    )
    if not involution:
        advice = "List for each relation the one that the other object sees."
        raise refuse("relation", "an inverse for every relation", list(inverse), advice)
    for a, r, b in held_out:
        check_values("relation", shape, {first: [a], predicate: [r], second: [b]})
    closed = set(held_out) | {(b, inverse[r], a) for a, r, b in held_out}
    ooc = CellSet.full(shape).where(lambda c: (c[first], c[predicate], c[second]) in closed)
    return rest_is_id("relation", ooc, "common practice in visual relations")


def _objects(node: Node, grid: Grid, _: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    items = node.items()
    if len(items) != 2:
        raise node.refuse("two objects, each a noun and an attribute", "List four factors.")
    return tuple(tuple(grid.factors(n, 2, 2)) for n in items)


def _bindings(node: Node, grid: Grid, done: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    parts = [grid.part(factors) for factors in done["objects"]]
    found = []
    for item in node.items():
        if len(item.items()) != 2:
            raise item.refuse("two bindings of a noun and an attribute", "Write [[A, r], [B, s]].")
        found.append(tuple(p.cell(n) for p, n in zip(parts, item.items(), strict=True)))
    return found


@geometry("binding", dial="held_out", objects=_objects, held_out=_bindings)
def binding(
    shape: Shape, *, objects: Sequence[tuple[int, int]], held_out: Sequence[tuple[Cell, Cell]]
) -> Sides:
    """Hold out which attribute belongs to which object, keeping the bag of attributes."""
    # {A red, B blue} is held out in either order of the objects; {A blue, B red} stays ID. So ID
    # and OOC show the same objects and the same attributes, and the OOC set is closed under
    # exchange of the objects.
    (noun, attribute), (noun2, attribute2) = objects
    check_factors("binding", shape, (noun, attribute, noun2, attribute2))
    equal_sizes("binding", (shape[noun], shape[noun2]))
    equal_sizes("binding", (shape[attribute], shape[attribute2]))
    bound = {tuple(sorted(pair)) for pair in held_out}
    for (a, r), (b, s) in bound:
        check_values("binding", shape, {noun: [a, b], attribute: [r, s]})
        if a == b or r == s or tuple(sorted(((a, s), (b, r)))) in bound:
            advice = "Name two nouns with two attributes, and keep one of the two bindings ID."
            raise refuse("binding", "a binding whose swap is ID", ((a, r), (b, s)), advice)
    orders = {order for pair in bound for order in itertools.permutations(pair)}
    ooc = CellSet.full(shape).where(
        lambda c: ((c[noun], c[attribute]), (c[noun2], c[attribute2])) in orders
    )
    return rest_is_id("binding", ooc, "variable binding, common practice")
