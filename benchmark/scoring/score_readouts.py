"""More readouts of the same slots: label budgets, a network, and the two controls.

All statistics come from in-combination images, with one exception that is a control and named so:
the oracle readout is fitted on one half of the out-of-combination blocks as well, and scored on
the other half. What even it cannot read is not in the slots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recombine.benchmark.metrics.readout import Kind, Readout, Representation, fit_readout
from recombine.benchmark.results.result_further import Estimate, GapParts, ReadoutScores
from recombine.benchmark.running.harness import BUDGETS, readout_indices
from recombine.benchmark.scoring import aggregate as tables
from recombine.benchmark.statistics import intervals as stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, Int

    from recombine.benchmark.running.harness import RunOptions
    from recombine.benchmark.scoring.aggregate import Split
    from recombine.benchmark.scoring.score_views import View
    from recombine.renderer.core.types import Array

HALVES = 2


class Variants(NamedTuple):
    """What `readout_variants` found."""

    readouts: tuple[ReadoutScores, ...]
    gap_parts: GapParts
    selectivity: Estimate


def readout_variants(
    views: Sequence[View],
    headline: Sequence[Readout],
    options: RunOptions,
    id_share: Float[Array, "seeds id_cells"],
    ooc_share: Float[Array, "seeds ooc_cells"],
) -> Variants:
    """Fit further readouts to the slots of all seeds.

    Parameters
    ----------
    views : sequence of View
        One per seed.
    headline : sequence of Readout
        The headline readouts, whose slot assignment is kept.
    options : RunOptions
        ``readout_labels`` is the size of the headline.
    id_share, ooc_share : array
        ``(S, C)`` headline accuracy per seed and cell.

    Returns
    -------
    Variants
        Scores; the split of the gap; selectivity.
    """
    matches = [one.slot_match for one in headline]
    dataset = views[0].dataset
    pool = len(readout_indices(dataset, options, max(BUDGETS)))
    budgets = sorted({min(n, pool) for n in BUDGETS} - {min(options.readout_labels, pool)})
    linear = [_scored(views, matches, options, labels=labels) for labels in budgets]
    network = _scored(views, matches, options, kind="mlp")
    permuted = _scored(views, matches, options, permuted=True)
    oracle_share = _oracle(views, matches, options)
    labels = min(options.readout_labels, pool)
    oracle = ReadoutScores(
        kind="linear",
        labels=labels,
        control="oracle",
        id_test=None,
        ooc_test=_estimate(oracle_share),
    )
    found = [*((one[0]) for one in linear), network[0], permuted[0], oracle]
    parts = GapParts(
        information_lost=_difference(id_share, oracle_share),
        readout_not_transferring=_difference(oracle_share, ooc_share, paired=True),
    )
    selectivity = _difference(id_share, permuted[1], paired=True)
    return Variants(tuple(found), parts, selectivity)


def _scored(
    views: Sequence[View],
    matches: Sequence[tuple[int, ...]],
    options: RunOptions,
    *,
    labels: int | None = None,
    kind: Kind = "linear",
    permuted: bool = False,
) -> tuple[ReadoutScores, Float[Array, "seeds cells"]]:
    """Return the scores of one variant, and its accuracy per seed and ID cell."""
    dataset = views[0].dataset
    images = readout_indices(dataset, options, labels)
    shares = []
    splits = [tables.split_of(dataset, name) for name in ("id_test", "ooc_test")]
    readouts = []
    for view, match in zip(views, matches, strict=True):
        known = view.known(images)
        train = _permuted(known, view.run.facts.seed) if permuted else known
        val = view.known(dataset.indices("id_val"))
        only = dataset.schema.recombined
        readouts.append(fit_readout(train, val, dataset.schema, only=only, kind=kind, match=match))
    for split in splits:
        answers = [r.predict(v.at(split.indices)) for r, v in zip(readouts, views, strict=True)]
        shares.append(_shares(split, tables.correct_images(dataset, split, answers)))
    scores = ReadoutScores(
        kind=kind,
        labels=len(images),
        control="permuted-labels" if permuted else "none",
        id_test=_estimate(shares[0]),
        ooc_test=_estimate(shares[1]),
    )
    return scores, shares[0]


def _permuted(known: Representation, seed: int) -> Representation:
    """Hand every label to another image, each factor by a permutation of its own."""
    rng = np.random.default_rng([20_240, seed])
    return Representation(known.slots, {k: rng.permutation(v) for k, v in known.factors.items()})


def _oracle(
    views: Sequence[View], matches: Sequence[tuple[int, ...]], options: RunOptions
) -> Float[Array, "seeds cells"]:
    """Return the OOC accuracy of readouts that saw other OOC images, per seed and cell."""
    dataset = views[0].dataset
    split = tables.split_of(dataset, "ooc_test")
    blocks = dataset.blocks[split.indices]
    half = np.searchsorted(np.unique(blocks), blocks) % HALVES
    rows = []
    for view, match in zip(views, matches, strict=True):
        correct = np.zeros(len(split.indices), bool)
        for number in range(HALVES):
            scored = half == number
            if scored.any() and not scored.all():
                seen = split.indices[~scored]
                readout = _fit_oracle(view, match, options, seen)
                answers = [readout.predict(view.at(split.indices))]
                correct[scored] = tables.correct_images(dataset, split, answers)[0][scored]
        rows.append(correct)
    return _shares(split, np.stack(rows))


def _fit_oracle(
    view: View, match: tuple[int, ...], options: RunOptions, seen: Int[Array, " n"]
) -> Readout:
    """Fit on ID-train and OOC images with equal weight; choose regularisation on others of both."""
    dataset = view.dataset
    inside, val = readout_indices(dataset, options), dataset.indices("id_val")
    held_back = _every_fourth(dataset.cells[seen])
    outside, chosen = (seen[~held_back], seen[held_back]) if held_back.any() else (seen, seen)
    # Few OOC images beside many ID ones would hardly count.
    outside = np.tile(outside, max(1, round(len(inside) / len(outside))))
    chosen = np.tile(chosen, max(1, round(len(val) / len(chosen))))
    return fit_readout(
        view.known(np.concatenate([inside, outside])),
        view.known(np.concatenate([val, chosen])),
        dataset.schema,
        only=dataset.schema.recombined,
        match=match,
    )


def _every_fourth(cells: Int[Array, "n factors"]) -> Bool[Array, " n"]:
    """Return every fourth image of each cell, so that no cell is missing among the others."""
    cell = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
    rank = np.zeros(len(cell), np.int64)
    for one in np.unique(cell):
        rank[cell == one] = np.arange(np.sum(cell == one))
    return np.asarray(rank % 4 == 3)


def _shares(split: Split, correct: Bool[Array, "seeds images"]) -> Float[Array, "seeds cells"]:
    hits, counts = tables.counts_of(split, correct)
    out: Array = hits / counts
    return out


def _estimate(share: Float[Array, "seeds cells"]) -> Estimate:
    found = stats.crossed_mean(share)
    return Estimate(
        estimate=found.value, ci95=found.ci95, per_seed=tuple(share.mean(axis=1).tolist())
    )


def _difference(
    first: Float[Array, "seeds cells"], second: Float[Array, "seeds cells"], *, paired: bool = False
) -> Estimate:
    """Return first minus second; paired when both are about the same cells."""
    apart = None if paired else stats.gap(first, second)
    found = apart or stats.crossed_mean(first - second, (-1.0, 1.0))
    per_seed = first.mean(axis=1) - second.mean(axis=1)
    return Estimate(
        estimate=float(per_seed.mean()), ci95=found.ci95, per_seed=tuple(per_seed.tolist())
    )
