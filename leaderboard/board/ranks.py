"""Rank sets: which ranks an entry may hold, given how sure we are.

Every pair of entries of one track is compared with the paired test of ``benchmark.stats`` (cells
are shared, seeds are not), and Holm's step-down keeps the chance of any false verdict in
the track below ``stats.LEVEL``. An entry that loses b of its comparisons and wins w of them out of
M entries has the rank set b+1 to M-w. A set that covers everything is printed in words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import CellDesign, terms
from recombine.leaderboard.drawing.formatting import DASH
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float

    from recombine.benchmark.statistics.design import Crossed
    from recombine.renderer.core.types import Array

MIN_SEEDS_TEST = 3
MIN_SEEDS_UNMARKED = 5
NO_SPREAD = 1e-24
"""Variance below which ``stats`` gives no test."""


@dataclass(frozen=True)
class Comparisons:
    """Every entry against every other, as M x M matrices."""

    difference: Float[Array, "entries entries"]  # score of the row minus score of the column
    # two-sided and unadjusted; NaN where the design allows no test
    p_value: Float[Array, "entries entries"]
    # both entries have at least ``MIN_SEEDS_TEST`` seeds; False on the diagonal
    tested: Bool[Array, "entries entries"]
    separated: Bool[Array, "entries entries"]  # holm's procedure calls the difference real

    @property
    def n_pairs(self) -> int:
        """Return the number of pairs of entries."""
        return len(self.tested) * (len(self.tested) - 1) // 2

    @property
    def n_tested(self) -> int:
        """Return the number of pairs that were tested."""
        return int(self.tested.sum()) // 2

    @property
    def n_separated(self) -> int:
        """Return the number of pairs that were told apart."""
        return int(self.separated.sum()) // 2


@dataclass(frozen=True)
class RankSet:
    """The ranks that an entry may hold."""

    low: int  # best and worst possible rank, 1 <= low <= high <= of
    high: int  # best and worst possible rank, 1 <= low <= high <= of
    of: int  # entries in the track
    reason: str = ""  # why the set covers the whole track; empty when it does not

    @property
    def separable(self) -> bool:
        """Tell whether the entry was told apart from at least one other."""
        return not self.reason

    @property
    def words(self) -> str:
        """Say the set in words."""
        if self.reason and self.of == 1:
            return "only entry"
        if self.reason:
            return "not separable"
        return str(self.low) if self.low == self.high else f"{self.low}{DASH}{self.high}"


def compare_all(scores: Sequence[Crossed], level: float = stats.LEVEL) -> Comparisons:
    """Compare every pair of entries, with one family-wise error rate for all of them."""
    # Pairs without a test (too few seeds) are left out of the family: which pairs those are was
    # fixed before any score was seen. A pair with seeds enough but no spread at all stays in it.
    widths = [table.cells.shape[1] for table in scores]
    if len(set(widths)) > 1:
        raise InvalidInputError(
            f"compare_all: entries of one board need the same cells, got {widths} cells; "
            "compare entries of one dataset"
        )
    difference, p_value = _paired(scores)
    enough = np.array([len(table.cells) >= MIN_SEEDS_TEST for table in scores], dtype=bool)
    tested = np.outer(enough, enough) & ~np.eye(len(scores), dtype=bool)
    separated = np.zeros_like(tested)
    upper = np.triu(tested)
    family = [None if math.isnan(p) else p for p in p_value[upper].tolist()]
    separated[upper] = stats.holm(family, level)
    return Comparisons(difference, p_value, tested, separated | separated.T)


def rank_sets(comparisons: Comparisons, seeds: Sequence[int]) -> list[RankSet]:
    """Return the rank set of every entry; rank 1 is the highest score."""
    found, of = comparisons.separated, len(seeds)
    lost = (found & (comparisons.difference < 0)).sum(axis=1).tolist()
    won = (found & (comparisons.difference > 0)).sum(axis=1).tolist()
    return [
        RankSet(1 + down, of - up, of, "" if down + up else _reason(n, of))
        for down, up, n in zip(lost, won, seeds, strict=True)
    ]


def _paired(scores: Sequence[Crossed]) -> tuple[Array, Array]:
    """Return the matrices of differences and p-values of ``stats.paired_difference``."""
    # Its formula, one row of the matrix at a time; a test holds the two together.
    size = len(scores)
    means = np.array([table.cells.mean(axis=0) for table in scores])  # (M, C)
    blocks = [None if t.blocks is None else t.blocks.mean(axis=0) for t in scores]
    runs = [stats.RunSpread.of(t.cells.mean(axis=1), float(t.cells.mean())) for t in scores]
    errors, share, variance = (
        np.array([getattr(one, name) for one in runs]) for name in ("errors", "share", "variance")
    )
    df = np.array([one.runs - 1.0 if one.runs > 1 else math.inf for one in runs])
    known = np.array([terms(table) is not None for table in scores], dtype=bool)
    difference, p_value = np.zeros((size, size)), np.full((size, size), math.nan)
    for i in range(size):  # the upper triangle; the other one mirrors it
        per_cell = means[i] - means[i:]
        difference[i, i:] = per_cell.mean(axis=1)
        parts, part_df = _shared_parts(scores[i].codes, per_cell, blocks[i:])
        # As `stats.guarded`: near an end of the scale runs that differ much decide nothing.
        few = np.minimum(errors[i], errors[i:]) < stats.FEW_TO_TEST
        common = (share[i] + share[i:]) / 2
        declined = few & (np.minimum(common, 1 - common) < stats.NEAR_END)
        cap = np.where(few, np.minimum(df[i], df[i:]), math.inf)
        for one in (np.full(size - i, i), np.arange(i, size)):
            own = np.maximum(1.0, common * (1 - common) / np.maximum(_spread(share[one]), 1e-9))
            parts.append(variance[one] * np.where(few, own, 1.0))
            part_df.append(df[one])
        total = np.sum(parts, axis=0)
        each = [part**2 / np.minimum(n, cap) for part, n in zip(parts, part_df, strict=True)]
        usable = known[i] & known[i:] & ~declined
        p_value[i, i:] = np.where(
            usable, _p_values(difference[i, i:], total, np.sum(each, axis=0)), math.nan
        )
    below = np.tril_indices(size, -1)
    difference[below], p_value[below] = -difference.T[below], p_value.T[below]
    return difference, p_value


def _shared_parts(
    codes: Array | None, per_cell: Array, blocks: Sequence[Array | None]
) -> tuple[list[Array], list[Array]]:
    """Return the parts of cells and blocks in the differences to the first, with their df."""
    design = CellDesign.of(codes, per_cell.shape[1])
    parts = list(design.parts(per_cell).T)
    # One cell has no test, whatever stands here.
    df = [np.full(len(per_cell), max(levels - 1.0, 1.0)) for levels in design.levels]
    # One column of blocks where both saw the same ones, else one for each; 0 where none are known.
    known = np.zeros((2, 2, len(per_cell)))
    known[1] = 1.0
    first = blocks[0]
    for j, other in enumerate(blocks):
        if first is not None and other is not None:
            alike = len(first) == len(other)
            for k, means in enumerate([first - other] if alike else [first, other]):
                if len(means) > 1:
                    known[:, k, j] = means.var(ddof=1) / len(means), len(means) - 1
    return [*parts, *known[0]], [*df, *known[1]]


def _spread(share: Array) -> Array:
    return np.asarray(share * (1 - share))


def _p_values(difference: Array, variance: Array, squares: Array) -> Array:
    """Two-sided t test with Satterthwaite's degrees of freedom; NaN without any spread."""
    known = variance > NO_SPREAD  # False for NaN
    p_value: Array = np.full(len(difference), math.nan)
    df = variance[known] ** 2 / squares[known]
    p_value[known] = 2 * special.stdtr(df, -np.abs(difference[known]) / np.sqrt(variance[known]))
    return p_value


def _reason(seeds: int, entries: int) -> str:
    if entries == 1:
        return "the only entry in its track"
    if seeds < MIN_SEEDS_TEST:
        return f"fewer than {MIN_SEEDS_TEST} seeds, so no test is made"
    return "no difference to another entry is larger than its uncertainty"
