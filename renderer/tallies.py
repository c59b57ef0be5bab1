"""Counting on evidence: what the invariants of a certificate are decided by."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np

from recombine.renderer.arrays import Array
from recombine.renderer.evidence import Evidence

ID_TRAIN, ID_VAL, ID_TEST, OOC_TEST = range(4)


def rungs(e: Evidence) -> list[tuple[int, Array]]:
    """Return the rungs of the training ladder with the rows of their images."""
    train = e.split(ID_TRAIN)
    bits = e.columns["rungs"]
    count = int(bits.max(initial=0)).bit_length()
    return [(r, np.flatnonzero(train & (bits >> r & 1).astype(bool))) for r in range(count)]


def by_cell(e: Evidence, rows: Array) -> dict[tuple[int, ...], Array]:
    """Return the rows of every cell, for a boolean or index array of rows."""
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    groups: dict[tuple[int, ...], list[int]] = {}
    for row in rows:
        groups.setdefault(tuple(e.cells[row].tolist()), []).append(int(row))
    return {cell: np.array(members) for cell, members in groups.items()}


def total_variation(a: Array, b: Array) -> Fraction:
    """Return the exact total variation between two samples of a categorical factor."""
    if not len(a) or not len(b):
        return Fraction(1)
    ca, cb = Counter(a.tolist()), Counter(b.tolist())
    gaps = (abs(Fraction(ca[v], len(a)) - Fraction(cb[v], len(b))) for v in ca.keys() | cb.keys())
    return sum(gaps, Fraction(0)) / 2


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


def components(codes: Array) -> int:
    """Return the number of connected components of one-hot coded cells."""
    # Values are nodes; a cell ties its values together. Unseen values are no component.
    label = np.arange(codes.shape[1])
    for cell in codes.astype(bool):
        label[np.isin(label, label[cell])] = label[cell].min()
    return len(set(label[codes.any(axis=0)].tolist()))
