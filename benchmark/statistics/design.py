"""The rendered design: every training run answers every cell, and every cell shows the same blocks.

Three things are drawn, and all are crossed: training runs, combinations (cells, which share the
values of their factors) and matched blocks (one nuisance vector each, shown by every cell). Luck
in any of them moves the mean, so each has its own part in the variance of a mean score m::

    x[s, c, b] = m + run[s] + sum_f value_f[c] + cell[c] + block[b] + all interactions

    run     variance between the means of the runs / S                        S - 1 df
    block   variance between the means of the blocks / B                      B - 1 df
    value   s_f^2 sum_v (n_fv / C)^2, n_fv of the C cells having value v      V_f - 1 df
    cell    s_c^2 / C                                                         C - 1 df

The components s_f^2 and s_c^2 come from the cells' means by the method of moments with sums of
squares of values and of cells (Henderson's method 1, Biometrics 1953, 9(2), sec. 3; it is exact for
unbalanced designs), negative ones set to 0. An interaction of two crossed factors sits in the
parts of both, so the sum errs on the wide side (Owen and Eckles 2012, Ann. Appl. Stat. 6(3),
sec. 3); taking it out again, by inclusion and exclusion, covered .01 to .03 less in simulation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float, Int

    from recombine.benchmark.results.parts import FactorScore, Score
    from recombine.renderer.core.types import Array


@dataclass(frozen=True)
class Term:
    """One part of a variance: what it is of, its value and the degrees of freedom behind it."""

    name: str
    variance: float
    df: float


@dataclass(frozen=True, eq=False)
class Crossed:
    """Scores of one method in the rendered design.

    Attributes
    ----------
    cells : array
        ``(S, C)`` score of every training run on every cell.
    codes : array, optional
        ``(C, F)`` value of every recombined factor in every cell, any integers. None: cells
        that share nothing.
    blocks : array, optional
        ``(S, B)`` score of every run on every matched block. None: no block term.
    one_network : bool
        The single run is the method itself (a frozen network), not a draw from its training.

    Examples
    --------
    >>> table = Crossed(np.array([[0.5, 0.7, 0.6], [0.6, 0.9, 0.6]]))
    >>> [term.name for term in terms(table)]
    ['run', 'cell']
    """

    cells: Float[Array, "seeds cells"]
    codes: Int[Array, "cells factors"] | None = None
    blocks: Float[Array, "seeds blocks"] | None = None
    one_network: bool = False

    def __post_init__(self) -> None:
        shape = self.cells.shape
        if len(shape) != 2 or self.cells.size == 0 or not np.all(np.isfinite(self.cells)):
            raise InvalidInputError(
                f"statistics: scores must be a finite seeds x cells matrix, got shape {shape}; "
                "leave out cells without images"
            )
        rows = [len(table) for table in (self.blocks,) if table is not None]
        if (self.codes is not None and len(self.codes) != shape[1]) or rows not in ([], [shape[0]]):
            raise InvalidInputError(
                f"statistics: codes need one row per cell and blocks one per seed of {shape}, got "
                f"{self.codes if self.codes is None else self.codes.shape} and {rows} rows"
            )

    def rows(self, chosen: Sequence[int]) -> Crossed:
        """Return some of the runs."""
        blocks = None if self.blocks is None else self.blocks[list(chosen)]
        return Crossed(self.cells[list(chosen)], self.codes, blocks, self.one_network)

    def mix(self, own: float, other: Crossed, weight: float) -> Crossed:
        """Return ``own`` times these scores plus ``weight`` times others of the same runs."""
        blocks = None
        if self.blocks is not None and other.blocks is not None:
            blocks = own * self.blocks + weight * other.blocks
        cells = own * self.cells + weight * other.cells
        return Crossed(cells, self.codes, blocks, self.one_network)


def scores_of(score: Score, rows: Sequence[int] | None = None) -> Crossed:
    """Return the shares behind a headline score.

    Parameters
    ----------
    score : Score
        Of a result file.
    rows : sequence of int, optional
        Rows of seeds to keep; by default those that are no copy of an earlier one.

    Returns
    -------
    Crossed
        Cells in the order of their names, so that two results of one dataset fit together.
    """
    order = _order(score)
    cells = np.asarray(score.hits, float) / np.asarray(score.counts, float)
    blocks = None
    if score.blocks is not None:
        blocks = np.asarray(score.blocks.hits, float) / np.asarray(score.blocks.counts, float)
    table = Crossed(cells[:, order], codes_of(score.cells)[order], blocks)
    return distinct_runs(table, score.distinct) if rows is None else table.rows(rows)


def factor_scores_of(factor: FactorScore, score: Score) -> Crossed:
    """Return one factor's parts per cell and block, as `scores_of` does."""
    order = _order(score)
    blocks = np.asarray(factor.per_block) if factor.per_block else None
    cells = np.asarray(factor.per_cell)[:, order]
    return distinct_runs(Crossed(cells, codes_of(score.cells)[order], blocks), score.distinct)


def codes_of(cells: Sequence[Sequence[str]]) -> Int[Array, "cells factors"]:
    """Return the values of cells, given by name, as numbers."""
    columns = [np.unique(column, return_inverse=True)[1] for column in zip(*cells, strict=True)]
    return np.stack([np.reshape(column, -1) for column in columns], axis=1)


def distinct_runs(table: Crossed, distinct: Sequence[int]) -> Crossed:
    """Leave out runs that repeat another one; what is left of copies is one network."""
    if not distinct:
        return table
    return replace(table.rows(distinct), one_network=len(distinct) == 1)


def _order(score: Score) -> list[int]:
    return sorted(range(score.n_cells), key=score.cells.__getitem__)


def terms(table: Crossed) -> list[Term] | None:
    """Return the parts of the variance of a mean score.

    Parameters
    ----------
    table : Crossed
        The scores.

    Returns
    -------
    list of Term, optional
        Runs, the values of every factor, cells, blocks. None where the design gives no interval:
        fewer than two runs (unless the run is the method itself) or fewer than two cells.
    """
    runs, cells = table.cells.shape
    if cells < 2 or (runs < 2 and not table.one_network):
        return None
    found = [] if runs < 2 else [mean_term("run", table.cells.mean(axis=1))]
    found += cell_terms(table.cells.mean(axis=0), table.codes)
    if table.blocks is not None and table.blocks.shape[1] > 1:
        found.append(mean_term("block", table.blocks.mean(axis=0)))
    return found


def gap_terms(inside: Crossed, outside: Crossed) -> list[Term] | None:
    """Return the parts of the variance of an ID mean minus an OOC mean of the same runs."""
    if terms(inside) is None or terms(outside) is None:
        return None
    found = []
    if len(inside.cells) > 1:
        found.append(mean_term("run", inside.cells.mean(axis=1) - outside.cells.mean(axis=1)))
    for table in (inside, outside):
        found += cell_terms(table.cells.mean(axis=0), table.codes)
    return found + list(_block_difference(inside, outside))


def paired_terms(first: Crossed, second: Crossed) -> list[Term] | None:
    """Return the parts of the variance of a difference of two methods on the same images."""
    # Cells and blocks are paired, since both methods answered the same ones; runs are not.
    if terms(first) is None or terms(second) is None:
        return None
    runs = [
        mean_term("run", table.cells.mean(axis=1))
        for table in (first, second)
        if len(table.cells) > 1
    ]
    difference = first.cells.mean(axis=0) - second.cells.mean(axis=0)
    found = [*runs, *cell_terms(difference, first.codes)]
    # Where one of them is without blocks on record, what they share is not known.
    if first.blocks is not None and second.blocks is not None:
        found += _block_difference(first, second)
    return found


def _block_difference(first: Crossed, second: Crossed) -> Iterator[Term]:
    """Yield the block part of a difference: paired where both saw the same blocks."""
    means = [t.blocks.mean(axis=0) for t in (first, second) if t.blocks is not None]
    if len(means) == 2 and len(means[0]) == len(means[1]):
        means = [means[0] - means[1]]
    yield from (mean_term("block", one) for one in means if len(one) > 1)


def mean_term(name: str, values: Float[Array, " draws"]) -> Term:
    """Return the variance of the mean of independent draws."""
    return Term(name, float(np.var(values, ddof=1)) / len(values), len(values) - 1)


def cell_terms(
    means: Float[Array, " cells"], codes: Int[Array, "cells factors"] | None = None
) -> list[Term]:
    """Return the parts of the variance of the mean over cells: values, then cells."""
    design = CellDesign.of(codes, len(means))
    return [
        Term(name, float(part), levels - 1)
        for name, part, levels in zip(
            design.names, design.parts(means[None])[0], design.levels, strict=True
        )
    ]


@dataclass(frozen=True, eq=False)
class CellDesign:
    """Which cells share a value, and what follows for the variance of their mean."""

    groups: tuple[Int[Array, " cells"], ...]  # the value of every cell, one array per factor
    names: tuple[str, ...]  # of the parts: every factor, then "cell"
    levels: tuple[int, ...]  # values of every factor, then cells
    # squares times this gives the parts of the variance of the mean
    weights: Float[Array, "parts parts"]

    @classmethod
    def of(cls, codes: Int[Array, "cells factors"] | None, count: int) -> CellDesign:
        """Return the design of cells with these values."""
        columns = () if codes is None else tuple(tuple(column) for column in codes.T.tolist())
        return _cell_design(columns, count)

    @classmethod
    def _made(cls, columns: tuple[tuple[int, ...], ...], count: int) -> CellDesign:
        groups, names = [], []
        for number, column in enumerate(columns):
            values, group = np.unique(column, return_inverse=True)
            # A value in every cell or in one cell only cannot be told from the cells themselves.
            if 1 < len(values) < count:
                groups.append(group.reshape(-1))
                names.append(f"value {number + 1}")
        sizes = [np.bincount(group) for group in groups]
        expected = np.zeros((len(groups) + 1,) * 2)  # of every sum of squares, per component
        for i, group in enumerate(groups):
            for j, other in enumerate(groups):
                table = np.zeros((len(sizes[i]), len(sizes[j])))
                np.add.at(table, (group, other), 1)
                expected[i, j] = np.sum((table - np.outer(sizes[i], sizes[j]) / count) ** 2)
            expected[i, -1] = expected[-1, i] = count - np.sum(sizes[i] ** 2) / count
        expected[-1, -1] = count - 1
        share = [np.sum(size**2) / count**2 for size in sizes] + [1 / count]
        # Two factors that name the same groups share their component (the pseudo-inverse).
        weights = np.array(share)[:, None] * np.linalg.pinv(expected)
        levels = (*map(len, sizes), count)
        return cls(tuple(groups), (*names, "cell"), levels, weights)

    def squares(self, means: Float[Array, "rows cells"]) -> Float[Array, "rows parts"]:
        """Return the sums of squares of values and of cells, around the mean."""
        off = means - means.mean(axis=1, keepdims=True)
        parts = []
        for group, levels in zip(self.groups, self.levels, strict=False):
            sums = np.zeros((len(off), levels))
            np.add.at(sums.T, group, off.T)
            parts.append(np.sum(sums**2, axis=1))
        return np.stack([*parts, np.sum(off**2, axis=1)], axis=1)

    def parts(self, means: Float[Array, "rows cells"]) -> Float[Array, "rows parts"]:
        """Return the parts of the variance of every row's mean, none below 0."""
        return np.maximum(self.squares(means) @ self.weights.T, 0.0)


@lru_cache(maxsize=64)
def _cell_design(columns: tuple[tuple[int, ...], ...], count: int) -> CellDesign:
    return CellDesign._made(columns, count)
