"""Split geometries about objects: which object has which attribute, or which relation."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

from recombine.renderer.splits.cells import Cell, CellSet
from recombine.renderer.splits.geometries_base import (
    Geometry,
    Shape,
    check_factors,
    check_values,
    equal_sizes,
    refuse,
    rest_is_id,
)


def cogent(
    shape: Shape, *, noun: int, colour: int, lists: Mapping[int, Collection[int]]
) -> Geometry:
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


def relation(
    shape: Shape,
    *,
    objects: tuple[int, int],
    predicate: int,
    inverse: Sequence[int],
    held_out: Sequence[tuple[int, int, int]],
) -> Geometry:
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


def binding(
    shape: Shape, *, objects: Sequence[tuple[int, int]], held_out: Sequence[tuple[Cell, Cell]]
) -> Geometry:
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
