"""From per-image answers to sums per seed and cell, and from those to the scores of a result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.metrics.base import (
    FACTOR_METRICS,
    JOINT,
    contributions,
    joint_chance,
    joint_correct,
)
from recombine.benchmark.results.parts import (
    Blocks,
    FactorScore,
    Gap,
    PairedGap,
    Score,
    Variance,
    WorstCells,
)
from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import Crossed, distinct_runs, scores_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Bool, Float, Int, Shaped

    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

WORST = 0.1
DIGIT = "0123456789abcdefghijklmnopqrstuvwxyz"
DIGITS = 6
"""Of factor scores per cell: enough to recompute an interval, and files stay small."""


@dataclass(frozen=True)
class Split:
    """The images of one test split, grouped by cell."""

    name: str  # ``"id_test"`` or ``"ooc_test"``
    indices: Int[Array, " images"]  # ``(N,)`` image indices
    cells: Int[Array, "cells factors"]  # ``(C, F)`` value codes, sorted
    cell_of: Int[Array, " images"]  # ``(N,)`` row of ``cells`` for every image
    names: tuple[tuple[str, ...], ...]  # value names of every cell
    blocks: Int[Array, " blocks"]  # ``(B,)`` numbers of the matched blocks
    block_of: Int[Array, " images"]  # ``(N,)`` row of ``blocks`` for every image
    # whether cells share blocks; without, the spread of cells holds that of their own images
    matched: bool = True

    def sum_by_cell(
        self, values: Shaped[Array, "seeds images groups"]
    ) -> Float[Array, "seeds cells groups"]:
        """Return sums over the images of every cell."""
        return _sums(values, self.cell_of, len(self.cells))

    def sum_by_block(
        self, values: Shaped[Array, "seeds images groups"]
    ) -> Float[Array, "seeds blocks groups"]:
        """Return sums over the images of every matched block."""
        return _sums(values, self.block_of, len(self.blocks))

    def crossed(self, cells: Array, blocks: Array | None, distinct: Sequence[int] = ()) -> Crossed:
        """Return scores per seed and cell, and per seed and block, as the statistics read them."""
        return distinct_runs(Crossed(cells, self.cells, blocks), distinct)


def group_by_cell(dataset: DatasetLike, name: str) -> Split:
    """Group a test split by cell."""
    indices = dataset.indices(name)
    cells, cell_of = np.unique(dataset.cells[indices], axis=0, return_inverse=True)
    names = tuple(dataset.schema.cell_names(cell) for cell in cells)
    blocks, block_of = np.unique(dataset.blocks[indices], return_inverse=True)
    matched = bool(getattr(dataset, "matched", True))
    of = cell_of.reshape(-1), block_of.reshape(-1)
    return Split(name, indices, cells, of[0], names, blocks, of[1], matched)


def _sums(values: Array, group: Array, count: int) -> Array:
    member = np.equal(group[None, :], np.arange(count)[:, None]).astype(float)
    out: Array = np.einsum("cn,sng->scg", member, values)
    return out


def correct_images(
    dataset: DatasetLike, split: Split, predicted: Sequence[Mapping[str, Array]]
) -> Bool[Array, "seeds images"]:
    """Return which images of a split have every recombined factor right, per seed."""
    truth = dataset.cells[split.indices]
    return np.stack(
        [
            joint_correct(np.stack([one[key] for key in dataset.schema.recombined], axis=1), truth)
            for one in predicted
        ]
    )


def count_by_cell(
    split: Split, correct: Bool[Array, "seeds images"]
) -> tuple[Int[Array, "seeds cells"], Int[Array, "seeds cells"]]:
    """Return right answers and images per seed and cell."""
    hits = split.sum_by_cell(correct[..., None].astype(float))[..., 0]
    counts = split.sum_by_cell(np.ones((*correct.shape, 1)))[..., 0]
    return hits.round().astype(np.int64), counts.round().astype(np.int64)


def score_split(
    dataset: DatasetLike,
    split: Split,
    predicted: Sequence[Mapping[str, Array]],
    distinct: tuple[int, ...] = (),
) -> Score:
    """Return the headline and the factor scores of one split."""
    # Scores are means over all seeds. Copies of a run tell nothing about the spread, so intervals
    # are over the rows that are ``distinct``; none given: all of them.
    distinct = () if len(distinct) == len(predicted) > 1 else distinct
    rows = list(distinct) or slice(None)
    correct = correct_images(dataset, split, predicted)
    hits, counts = count_by_cell(split, correct)
    share = hits / counts
    table = split.crossed(share, shares_by_block(split, correct), distinct)
    method = stats.ONE_NETWORK_METHOD if table.one_network else stats.CI_METHOD
    recombined = tuple(dataset.schema.factor(key) for key in dataset.schema.recombined)
    return Score(
        metric=JOINT.name,
        metric_version=JOINT.version,
        estimate=stats.crossed_mean(share).value,
        ci95=stats.crossed_mean(table).ci95,
        ci_method=method if split.matched else stats.without_blocks(method),
        n_seeds=share.shape[0],
        n_cells=share.shape[1],
        n_images=len(split.indices),
        chance=joint_chance(recombined),
        variance=Variance(**asdict(stats.variance_components(hits[rows], counts[rows]))),
        per_seed=_floats(share.mean(axis=1)),
        per_factor={
            key: score_factor(dataset, split, key, [one[key] for one in predicted], distinct)
            for key in dataset.schema.keys
            if key in predicted[0]
        },
        cells=split.names,
        hits=_table(hits),
        counts=_table(counts),
        blocks=count_by_block(split, correct) if split.matched else None,
        distinct=distinct,
    )


def count_by_block(split: Split, correct: Bool[Array, "seeds images"]) -> Blocks:
    """Return right answers and images per block, and per cell and block."""
    hits = split.sum_by_block(correct[..., None].astype(float))[..., 0]
    counts = np.bincount(split.block_of, minlength=len(split.blocks))
    images = np.zeros((len(split.cells), len(split.blocks)), np.int64)
    np.add.at(images, (split.cell_of, split.block_of), 1)
    written: dict[str, Any] = {}
    if images.max() < len(DIGIT):
        right = np.zeros((len(correct), *images.shape), np.int64)
        for table, one in zip(right, correct, strict=True):
            np.add.at(table, (split.cell_of, split.block_of), one.astype(np.int64))
        written = {
            "images": tuple(_digits(row) for row in images),
            "right": tuple(tuple(_digits(row) for row in table) for table in right),
        }
    return Blocks(
        numbers=tuple(int(n) for n in split.blocks),
        hits=_table(hits.round().astype(np.int64)),
        counts=tuple(int(n) for n in counts),
        **written,
    )


def shares_by_block(
    split: Split, correct: Bool[Array, "seeds images"]
) -> Float[Array, "seeds blocks"] | None:
    """Return the share of right answers per seed and block; None without matched blocks."""
    if not split.matched:
        return None
    blocks = count_by_block(split, correct)
    out: Array = np.array(blocks.hits) / np.array(blocks.counts)
    return out


def _digits(row: Array) -> str:
    return "".join(DIGIT[n] for n in row)


def score_factor(
    dataset: DatasetLike,
    split: Split,
    key: str,
    predicted: Sequence[Shaped[Array, " images"]],
    distinct: tuple[int, ...] = (),
) -> FactorScore:
    """Return the score of one factor on one split."""
    factor = dataset.schema.factor(key)
    truth = dataset.latents[key][split.indices]
    parts = [contributions(factor, one, truth) for one in predicted]
    sums, weights = (np.stack(values) for values in zip(*parts, strict=True))
    per_cell = stats.linearise(split.sum_by_cell(sums), split.sum_by_cell(weights))
    per_block = None
    if split.matched:
        per_block = stats.linearise(split.sum_by_block(sums), split.sum_by_block(weights))
    metric = FACTOR_METRICS[factor.kind]
    value = stats.crossed_mean(per_cell, None).value
    found = stats.crossed_mean(split.crossed(per_cell, per_block, distinct), None).ci95
    low, high = metric.low, metric.high
    interval = found and (max(found[0], low), min(found[1], high))
    return FactorScore(
        metric=metric.name,
        metric_version=metric.version,
        kind=factor.kind,
        recombined=key in dataset.schema.recombined,
        estimate=min(value, high),
        ci95=interval,
        chance=metric.chance,
        per_seed=_floats(per_cell.mean(axis=1)),
        per_cell=tuple(_floats(row.round(DIGITS)) for row in per_cell),
        per_block=()
        if per_block is None
        else tuple(_floats(row.round(DIGITS)) for row in per_block),
    )


def gap_part(id_test: Score, ooc_test: Score) -> Gap:
    """Return the ID score minus the OOC score."""
    inside, outside = scores_of(id_test), scores_of(ooc_test)
    method = stats.ONE_NETWORK_GAP_METHOD if inside.one_network else stats.GAP_METHOD
    return Gap(
        estimate=id_test.estimate - ooc_test.estimate,
        ci95=stats.gap(inside, outside).ci95,
        ci_method=method if id_test.blocks else stats.without_blocks(method),
    )


def shares(score: Score) -> Float[Array, "seeds cells"]:
    """Return the accuracy per seed and cell of a stored score."""
    out: Array = np.array(score.hits, float) / np.array(score.counts, float)
    return out


def paired_gap_part(id_test: Score, ooc_test: Score) -> PairedGap | None:
    """Return the gap on these cells, within the blocks that both splits show."""
    inside, outside = id_test.blocks, ooc_test.blocks
    if inside is None or outside is None:
        return None
    common = sorted(set(inside.numbers) & set(outside.numbers))
    if not common:
        return None
    shown, held = (
        (np.array(one.hits) / np.array(one.counts))[:, [one.numbers.index(n) for n in common]]
        for one in (inside, outside)
    )
    table = distinct_runs(Crossed(shown - held), id_test.distinct)
    return PairedGap(
        estimate=float((shown - held).mean()),
        ci95=stats.gap_here(table).ci95,
        ci_method=stats.ONE_NETWORK_BLOCK_METHOD if table.one_network else stats.BLOCK_METHOD,
        n_blocks=len(common),
    )


def worst_cells_part(score: Score, quantile: float = WORST) -> WorstCells:
    """Return the low quantile of the cells' accuracies and the cells at or below it."""
    per_cell = shares(score).mean(axis=0)
    value = float(np.quantile(per_cell, quantile))
    order = [int(i) for i in np.argsort(per_cell, kind="stable") if per_cell[i] <= value]
    return WorstCells(quantile=quantile, estimate=value, cells=tuple(score.cells[i] for i in order))


def _table(values: Array) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(v) for v in row) for row in values)


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(float(min(max(v, -1e300), 1e300)) for v in values)
