"""From per-image answers to sums per seed and cell, and from those to the scores of a result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import (
    FACTOR_METRICS,
    JOINT,
    contributions,
    joint_chance,
    joint_correct,
)
from recombine.benchmark.results.parts import (
    FactorScore,
    Gap,
    PairedGap,
    Score,
    Variance,
    WorstCells,
)
from recombine.benchmark.statistics import intervals as stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Bool, Float, Int, Shaped

    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

WORST = 0.1
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

    def sum_by_cell(
        self, values: Shaped[Array, "seeds images groups"]
    ) -> Float[Array, "seeds cells groups"]:
        """Return sums over the images of every cell."""
        member = np.equal(self.cell_of[None, :], np.arange(len(self.cells))[:, None]).astype(float)
        out: Array = np.einsum("cn,sng->scg", member, values)
        return out


def group_by_cell(dataset: DatasetLike, name: str) -> Split:
    """Group a test split by cell."""
    indices = dataset.indices(name)
    cells, cell_of = np.unique(dataset.cells[indices], axis=0, return_inverse=True)
    names = tuple(dataset.schema.cell_names(cell) for cell in cells)
    return Split(name, indices, cells, cell_of.reshape(-1), names)


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
    dataset: DatasetLike, split: Split, predicted: Sequence[Mapping[str, Array]]
) -> Score:
    """Return the headline and the factor scores of one split."""
    hits, counts = count_by_cell(split, correct_images(dataset, split, predicted))
    share = hits / counts
    headline = stats.crossed_mean(share)
    recombined = tuple(dataset.schema.factor(key) for key in dataset.schema.recombined)
    return Score(
        metric=JOINT.name,
        metric_version=JOINT.version,
        estimate=headline.value,
        ci95=headline.ci95,
        ci_method=stats.CI_METHOD,
        n_seeds=share.shape[0],
        n_cells=share.shape[1],
        n_images=len(split.indices),
        chance=joint_chance(recombined),
        variance=Variance(**asdict(stats.variance_components(hits, counts))),
        per_seed=_floats(share.mean(axis=1)),
        per_factor={
            key: score_factor(dataset, split, key, [one[key] for one in predicted])
            for key in dataset.schema.keys
            if key in predicted[0]
        },
        cells=split.names,
        hits=_table(hits),
        counts=_table(counts),
    )


def score_factor(
    dataset: DatasetLike, split: Split, key: str, predicted: Sequence[Shaped[Array, " images"]]
) -> FactorScore:
    """Return the score of one factor on one split."""
    factor = dataset.schema.factor(key)
    truth = dataset.latents[key][split.indices]
    parts = [contributions(factor, one, truth) for one in predicted]
    sums, weights = (split.sum_by_cell(np.stack(values)) for values in zip(*parts, strict=True))
    per_cell = stats.linearise(sums, weights)
    metric = FACTOR_METRICS[factor.kind]
    headline = stats.crossed_mean(per_cell, None)
    low, high = metric.low, metric.high
    interval = headline.ci95 and (max(headline.ci95[0], low), min(headline.ci95[1], high))
    return FactorScore(
        metric=metric.name,
        metric_version=metric.version,
        kind=factor.kind,
        recombined=key in dataset.schema.recombined,
        estimate=min(headline.value, high),
        ci95=interval,
        chance=metric.chance,
        per_seed=_floats(per_cell.mean(axis=1)),
        per_cell=tuple(_floats(row.round(DIGITS)) for row in per_cell),
    )


def gap_part(id_test: Score, ooc_test: Score) -> Gap:
    """Return the ID score minus the OOC score."""
    value = stats.gap(shares(id_test), shares(ooc_test))
    difference = id_test.estimate - ooc_test.estimate
    return Gap(estimate=difference, ci95=value.ci95, ci_method=stats.GAP_METHOD)


def shares(score: Score) -> Float[Array, "seeds cells"]:
    """Return the accuracy per seed and cell of a stored score."""
    out: Array = np.array(score.hits, float) / np.array(score.counts, float)
    return out


def paired_gap_part(
    dataset: DatasetLike,
    inside: Split,
    outside: Split,
    id_correct: Bool[Array, "seeds images"],
    ooc_correct: Bool[Array, "seeds images"],
) -> PairedGap | None:
    """Return the gap within blocks that share every nuisance."""
    id_blocks, ooc_blocks = (dataset.blocks[split.indices] for split in (inside, outside))
    blocks = np.intersect1d(id_blocks, ooc_blocks)
    if len(blocks) == 0:
        return None
    id_hits, id_counts = _by_block(blocks, id_blocks, id_correct)
    ooc_hits, ooc_counts = _by_block(blocks, ooc_blocks, ooc_correct)
    difference = id_hits / id_counts - ooc_hits / ooc_counts
    value = stats.crossed_mean(difference, (-1.0, 1.0))
    return PairedGap(
        estimate=value.value,
        ci95=value.ci95,
        ci_method=stats.BLOCK_METHOD,
        n_blocks=len(blocks),
        id_hits=_table(id_hits),
        ooc_hits=_table(ooc_hits),
        id_counts=tuple(int(n) for n in id_counts),
        ooc_counts=tuple(int(n) for n in ooc_counts),
    )


def worst_cells_part(score: Score, quantile: float = WORST) -> WorstCells:
    """Return the low quantile of the cells' accuracies and the cells at or below it."""
    per_cell = shares(score).mean(axis=0)
    value = float(np.quantile(per_cell, quantile))
    order = [int(i) for i in np.argsort(per_cell, kind="stable") if per_cell[i] <= value]
    return WorstCells(quantile=quantile, estimate=value, cells=tuple(score.cells[i] for i in order))


def _by_block(blocks: Array, block_of: Array, correct: Array) -> tuple[Array, Array]:
    member = np.equal(block_of[None, :], blocks[:, None])
    hits: Array = np.einsum("bn,sn->sb", member.astype(np.int64), correct.astype(np.int64))
    counts: Array = member.sum(axis=1)
    return hits, counts


def _table(values: Array) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(v) for v in row) for row in values)


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(float(min(max(v, -1e300), 1e300)) for v in values)
