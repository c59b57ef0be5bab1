"""Counting on evidence: what the invariants of a certificate are decided by."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from recombine.renderer.certificate.evidence import Evidence
from recombine.renderer.core.types import Array

ID_TRAIN, ID_VAL, ID_TEST, OOC_TEST, OOC_VAL = range(5)
ID_PARTS, HELD_OUT = (ID_TRAIN, ID_VAL, ID_TEST), (OOC_TEST, OOC_VAL)
Cell = tuple[int, ...]


def rungs(e: Evidence) -> list[tuple[int, Array]]:
    """Return the rungs of the training ladder with the rows of their images."""
    train = e.split(ID_TRAIN)
    bits = e.columns["rungs"]
    count = int(bits.max(initial=0)).bit_length()
    return [(r, np.flatnonzero(train & (bits >> r & 1).astype(bool))) for r in range(count)]


def cells_of(e: Evidence, rows: Array) -> set[Cell]:
    """Return the distinct cells of some rows, given as booleans or indices."""
    return {tuple(c.tolist()) for c in np.unique(e.cells[rows], axis=0)}


def by_cell(e: Evidence, rows: Array) -> dict[tuple[Cell, Cell], Array]:
    """Return the rows of every cell and choice of crossed values."""
    crossed = [e.columns[f"latents/{k}"][rows] for k in e.schema.crossed]
    groups: dict[tuple[Cell, Cell], list[int]] = {}
    cells = e.cells[rows].tolist()
    for n, row in enumerate(rows.tolist()):
        key = tuple(cells[n]), tuple(int(c[n]) for c in crossed)
        groups.setdefault(key, []).append(row)
    return {key: np.array(members) for key, members in groups.items()}


def exchanges(e: Evidence) -> list[Callable[[Cell], Cell]]:
    """Return the exchanges of two objects that leave a scene the same, as maps of cells."""
    # Objects are exchangeable when they recombine the same factors with the same values. A factor
    # of the scene for which the split gives an inverse is read from the other object.
    slots: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    for position, key in enumerate(e.schema.recombined):
        slot, _, name = key.partition(".")
        if slot in e.schema.objects:
            slots.setdefault(slot, []).append((position, (name, *e.schema.factor(key).values)))
    inverse = e.config["split"].get("inverse")
    free = [
        p
        for p, key in enumerate(e.schema.recombined)
        if inverse
        and e.schema.factor(key).size == len(inverse)
        and key.partition(".")[0] not in e.schema.objects
    ]

    def exchange(a: str, b: str) -> Callable[[Cell], Cell]:
        def swap(cell: Cell) -> Cell:
            swapped = list(cell)
            for (p, _), (q, _) in zip(slots[a], slots[b], strict=True):
                swapped[p], swapped[q] = cell[q], cell[p]
            for p in free:
                swapped[p] = inverse[cell[p]]
            return tuple(swapped)

        return swap

    return [
        exchange(a, b)
        for a, b in itertools.combinations(slots, 2)
        if [kind for _, kind in slots[a]] == [kind for _, kind in slots[b]]
    ]


def total_variation(a: Array, b: Array) -> Fraction:
    """Return the exact total variation between two samples of a categorical factor."""
    if not len(a) or not len(b):
        return Fraction(1)
    ca, cb = Counter(a.tolist()), Counter(b.tolist())
    gaps = (abs(Fraction(ca[v], len(a)) - Fraction(cb[v], len(b))) for v in ca.keys() | cb.keys())
    return sum(gaps, Fraction(0)) / 2


def joint(columns: Sequence[Array]) -> Array:
    """Return one code per image for the values of some factors together."""
    table = np.stack([column.astype(float) for column in columns], axis=1)
    return np.asarray(np.unique(table, axis=0, return_inverse=True)[1]).reshape(-1)


def independent(a: Array, b: Array) -> bool:
    """Tell whether joint counts are exactly the product of the marginal ones."""
    both = Counter(zip(a.tolist(), b.tolist(), strict=True))
    left, right = Counter(a.tolist()), Counter(b.tolist())
    return all(both[x, y] * len(a) == left[x] * right[y] for x in left for y in right)


def dependent(a: Array, b: Array, blocks: Array) -> bool:
    """Tell whether in some block two factors depend on each other."""
    return any(not independent(a[blocks == n], b[blocks == n]) for n in np.unique(blocks))


def bags(e: Evidence) -> Iterator[tuple[str, Array]]:
    """Yield what the parts of related objects show whoever is first: a code per image."""
    inverse = e.config["split"].get("inverse")
    if not inverse or len(e.schema.recombined) != 3:
        return
    free = [k for k in e.schema.recombined if k.partition(".")[0] not in e.schema.objects]
    pair = [k for k in e.schema.recombined if k not in free]
    if len(free) == 1 and len(pair) == 2 and e.schema.factor(free[0]).size == len(inverse):
        values = np.stack([e.columns[f"latents/{k}"] for k in pair])
        relation = e.columns[f"latents/{free[0]}"].astype(int)
        axis = np.minimum(relation, np.array(inverse)[relation])
        code = joint([values.min(axis=0), values.max(axis=0), axis])
        yield " x ".join((*pair, free[0])), code


def seen_tuples(cells: Array) -> set[tuple[tuple[int, int], ...]]:
    """Return every partial combination, of any order, that some cell shows."""
    seen: set[tuple[tuple[int, int], ...]] = set()
    for cell in {tuple(c.tolist()) for c in cells}:
        pairs = list(enumerate(cell))
        for order in range(1, len(pairs) + 1):
            seen.update(itertools.combinations(pairs, order))
    return seen


def smallest_unseen(cell: tuple[int, ...], seen: set[tuple[tuple[int, int], ...]]) -> int:
    """Return the smallest order of an unseen partial combination; 0 when all are seen."""
    pairs = list(enumerate(cell))
    for order in range(1, len(pairs) + 1):
        if any(t not in seen for t in itertools.combinations(pairs, order)):
            return order
    return 0


def largest_seen(cell: tuple[int, ...], seen: set[tuple[tuple[int, int], ...]]) -> int:
    """Return the largest order of a seen partial combination; the rest is the Hamming distance."""
    pairs = list(enumerate(cell))
    for order in range(len(pairs), 0, -1):
        if any(t in seen for t in itertools.combinations(pairs, order)):
            return order
    return 0


def components(codes: Array) -> int:
    """Return the number of connected components of one-hot coded cells."""
    # Values are nodes; a cell ties its values together. Unseen values are no component.
    label = np.arange(codes.shape[1])
    for cell in codes.astype(bool):
        label[np.isin(label, label[cell])] = label[cell].min()
    return len(set(label[codes.any(axis=0)].tolist()))


def nuisance_vectors(e: Evidence) -> Array:
    """Return one number per image that is equal where all nuisances and the seed are."""
    # An edit may change a nuisance; images of one block and edit still agree.
    keys = [f"latents/{k}" for k in e.schema.nuisances]
    table = np.stack([*(e.columns[k].astype(float) for k in keys), e.columns["cycles_seed"]], 1)
    return np.asarray(np.unique(table, axis=0, return_inverse=True)[1]).reshape(-1)


@dataclass(frozen=True)
class Nearness:
    """How close nuisance vectors of two sets of images come."""

    gap: float  # largest difference of one nuisance, as a share of its range
    chance: float  # how many pairs as close as this vectors drawn at random would have


def nearest(e: Evidence, some: Array, others: Array) -> Nearness | None:
    """Return how close nuisance vectors of two sets of images come, None where there is none."""
    keys = [k for k in e.schema.nuisances if e.schema.factor(k).kind != "categorical"]
    if not keys or not some.any() or not others.any():
        return None
    scaled = []
    for key in keys:
        low, high = e.schema.factor(key).bounds
        scaled.append((e.columns[f"latents/{key}"] - low) / (high - low))
    table = np.stack(scaled, 1)
    a, b = (np.unique(table[rows], axis=0) for rows in (some, others))
    gap = float(min(np.abs(row - b).max(axis=1).min() for row in a))
    return Nearness(gap, len(a) * len(b) * min(1.0, 2 * gap) ** len(keys))
