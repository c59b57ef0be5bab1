"""Which slot of a method stands for which object, where a method's slots have no fixed roles.

Slots are matched to objects image by image, on masks and never on a factor that is
scored: whoever may choose the best of K! pairings per image after seeing the answers gets
an R2 of (K - 1) / (K + 1) per factor without looking at the image (K = 2: 0.33, K = 10: 0.82).
Even an honest matching gives something away when a factor depends on where objects are: the
score of constants under the same matching, `alignment.blind_answers`, belongs beside every score.

Methods whose slots keep their roles need none of this: `readout.match_slots` fits one assignment
on in-combination images and freezes it. It must not be decided on combinations that the readout
saw: a slot that knows its own factor alone and one that infers it from the others read those
equally well. So some in-combination cells are left out of the fit (`leave_cells_out`) and decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import t as student

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, Int, Shaped

    from recombine.renderer.core.types import Array

FOLDS = 4
"""Into which in-combination cells are left out; more keep more cells in every fit, at more cost."""
LEVEL = 0.95
"""Of the interval of a margin that must lie above 0 for a decision to be clear."""
TIES = (1e-6, 1e-9)
"""Weights of ID-val, and of slot k for scene slot k: they decide between equal scores, in turn."""


@dataclass(frozen=True)
class Matching:
    """Slots that stand for the objects of some images.

    Attributes
    ----------
    index : array
        ``(N, K)`` slot of every object; -1 where the object is absent or left over.
    present : array
        ``(N, K)`` which objects there are; an absent object has no score.
    """

    index: Int[Array, "images objects"]
    present: Bool[Array, "images objects"]


def assign(
    cost: Float[Array, "images objects slots"], present: Bool[Array, "images objects"] | None = None
) -> Int[Array, "images objects"]:
    """Pair objects with slots at the lowest total cost, image by image."""
    if cost.ndim != 3 or not np.all(np.isfinite(cost)):
        raise InvalidInputError(
            f"assign: the cost must be finite, images x objects x slots, got {cost.shape}; "
            "leave absent objects out through `present`"
        )
    index = np.full(cost.shape[:2], -1, dtype=np.int64)
    for number, table in enumerate(cost):
        there = np.arange(len(table)) if present is None else np.flatnonzero(present[number])
        rows, columns = linear_sum_assignment(table[there])
        index[number, there[rows]] = columns
    return index


def match_on_masks(
    overlap: Float[Array, "images objects slots"], present: Bool[Array, "images objects"]
) -> Matching:
    """Match slots to objects by the overlap of their masks.

    Parameters
    ----------
    overlap : array
        ``(N, K, S)`` intersection over union, in [0, 1] (`metrics_masks.overlaps`).
    present : array
        ``(N, K)`` visible objects.

    Returns
    -------
    Matching
        The pairing with the largest total overlap in every image.
    """
    return Matching(assign(-overlap, present), present)


def take(
    matching: Matching, values: Shaped[Array, "images slots *rest"]
) -> Shaped[Array, "images objects *rest"]:
    """Return the values of the slots that stand for the objects."""
    # Where an object has no slot, slot 0 fills the place and must not be scored (``index`` is -1).
    safe = np.maximum(matching.index, 0)
    taken: Array = values[np.arange(len(values))[:, None], safe]
    return taken


# One assignment for all images, of slots that keep their roles.


@dataclass(frozen=True)
class SlotAssignment:
    """Which slot of a method stands for each scene slot, and how clear that is.

    Attributes
    ----------
    match : tuple of int
        The method's slot of every scene slot.
    runner_up : tuple of int, optional
        The best assignment that reads a recombined factor from another slot; None where there is
        no other, as with a single slot.
    decided_on : {"held-out-cells", "id-val"}
        The images that decided: of in-combination cells left out of the fit, or, where none can be
        left out, validation images of cells that the readouts saw.
    images, cells : int
        How many of them, and in how many cells.
    margin : float
        Score of ``match`` minus that of ``runner_up``, each the sum over scene slots of the mean
        factor score; 0 without a runner-up.
    standard_error : float, optional
        Of the margin, by leaving out one cell at a time; None with fewer than two cells.
    equal : bool
        Nothing to decide: the runner-up reads the same numbers, or there is none.
    """

    match: tuple[int, ...]
    runner_up: tuple[int, ...] | None
    decided_on: Literal["held-out-cells", "id-val"]
    images: int
    cells: int
    margin: float
    standard_error: float | None
    equal: bool

    @property
    def clear(self) -> bool:
        """Return whether the 95 % interval of the margin lies above 0, or nothing is to decide."""
        if self.equal:
            return True
        if self.standard_error is None:
            return False
        quantile = float(student.ppf((1 + LEVEL) / 2, self.cells - 1))
        return self.margin > quantile * self.standard_error


@dataclass(frozen=True)
class Evidence:
    """How well one slot of a method reads one factor: sums over the images of every cell."""

    sums: Float[Array, "cells groups"]
    weights: Float[Array, "cells groups"]

    def score(self, kept: Bool[Array, " cells"]) -> float:
        """Return the factor score on the images of some cells, at least -1."""
        sums, weights = self.sums[kept].sum(axis=0), self.weights[kept].sum(axis=0)
        if not weights.any():
            return 0.0
        # Only continuous factors go below -1; one bad readout must not outweigh all others.
        return max(float(np.mean(sums[weights > 0] / weights[weights > 0])), -1.0)


def leave_cells_out(
    cells: Int[Array, "images factors"], folds: int = FOLDS
) -> Int[Array, " images"]:
    """Sort in-combination images by the fold in which their cell is left out of the fit.

    Every cell is in one fold at most, and what stays in the fit of any fold still shows every value
    of every factor. The cells of a value are spread over the folds.

    Parameters
    ----------
    cells : array
        ``(N, F)`` value codes of the recombined factors.
    folds : int
        How many there are at most; one more than factors if that is more, so that a cell is always
        fitted only where one of its values has no other cell.

    Returns
    -------
    array
        ``(N,)`` fold of every image; -1 where its cell is always fitted, because one of its values
        is in no other cell.
    """
    folds = max(folds, cells.shape[1] + 1)
    every, cell_of = np.unique(cells, axis=0, return_inverse=True)
    columns = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in every.T]
    total = [np.bincount(column) for column in columns]
    out = [np.zeros((folds, len(count)), int) for count in total]
    fold_of = np.full(len(every), -1)
    for cell, values in enumerate(zip(*columns, strict=True)):
        here = np.stack([taken[:, v] for taken, v in zip(out, values, strict=True)], axis=1)
        most = np.array([count[v] for count, v in zip(total, values, strict=True)])
        # At least one other cell of every value stays in the fit.
        allowed = np.flatnonzero((here + 1 < most).all(axis=1))
        if len(allowed) == 0:
            continue
        size = np.array([np.sum(fold_of == fold) for fold in allowed])
        fold = allowed[np.lexsort((allowed, size, here[allowed].max(axis=1)))[0]]
        fold_of[cell] = fold
        for taken, v in zip(out, values, strict=True):
            taken[fold, v] += 1
    found: Array = fold_of[cell_of.reshape(-1)]
    return found


def assign_slots(
    evidence: Sequence[Sequence[Sequence[Evidence]]],
    same: Int[Array, " slots"],
    deciding: Sequence[int],
    *,
    decided_on: Literal["held-out-cells", "id-val"],
    images: int,
    seen: Float[Array, "scene slots"] | None = None,
) -> SlotAssignment:
    """Assign one slot to every scene slot, once for all images, and say how clear that is.

    Parameters
    ----------
    evidence : sequence
        Per scene slot, slot of the method and factor.
    same : array
        ``(S,)`` for every slot the first one that holds the same numbers in every image.
    deciding : sequence of int
        The scene slots with recombined factors; one of them differs in the runner-up.
    decided_on : {"held-out-cells", "id-val"}
        What the evidence of these is from.
    images : int
        How many images that is.
    seen : array, optional
        ``(K, S)`` scores on ID-val, which decide between equal ones.

    Returns
    -------
    SlotAssignment
        The one with the highest score (Hungarian algorithm). Where ID-val does not tell either, the
        slots keep their order.
    """
    judged = [one for row in (evidence[k] for k in deciding) for one in row[0]]
    present = np.any([one.weights.any(axis=1) for one in judged], axis=0)
    everywhere = np.ones(len(present), bool)
    value = slot_values(evidence) + TIES[1] * np.eye(len(evidence), len(same))
    if seen is not None:
        value += TIES[0] * seen
    match = _best(value)
    others = [_best(value, forbidden=(k, match[k])) for k in deciding] if len(same) > 1 else []
    if not others:
        return SlotAssignment(match, None, decided_on, images, int(present.sum()), 0.0, None, True)
    runner_up = max(others, key=lambda other: _total(value, other))
    pair = (match, runner_up)
    without_one = ~np.eye(len(present), dtype=bool)[present]
    margins = [_margin(evidence, pair, kept) for kept in without_one]
    n = len(margins)
    return SlotAssignment(
        match,
        runner_up,
        decided_on,
        images,
        n,
        _margin(evidence, pair, everywhere),
        float(np.std(margins) * np.sqrt(n - 1)) if n > 1 else None,
        equal=bool((same[list(match)] == same[list(runner_up)]).all()),
    )


def slot_values(
    evidence: Sequence[Sequence[Sequence[Evidence]]],
) -> Float[Array, "scene slots"]:
    """Return the mean factor score of every slot of the method for every scene slot."""
    everywhere = np.ones(len(evidence[0][0][0].weights), bool)
    return np.array([[_value(slot, everywhere) for slot in row] for row in evidence])


def _value(slot: Sequence[Evidence], kept: Bool[Array, " cells"]) -> float:
    return float(np.mean([one.score(kept) for one in slot]))


def _margin(
    evidence: Sequence[Sequence[Sequence[Evidence]]],
    pair: tuple[tuple[int, ...], tuple[int, ...]],
    kept: Bool[Array, " cells"],
) -> float:
    moved = [(row, a, b) for row, a, b in zip(evidence, *pair, strict=True) if a != b]
    return sum(_value(row[a], kept) - _value(row[b], kept) for row, a, b in moved)


def _best(
    value: Float[Array, "scene slots"], forbidden: tuple[int, int] | None = None
) -> tuple[int, ...]:
    table = value.copy()
    if forbidden is not None:
        table[forbidden] = -len(value) - 1.0  # less than any assignment can win elsewhere
    _, match = linear_sum_assignment(table, maximize=True)
    return tuple(int(slot) for slot in match)


def _total(value: Float[Array, "scene slots"], match: tuple[int, ...]) -> float:
    return float(value[np.arange(len(value)), list(match)].sum())
