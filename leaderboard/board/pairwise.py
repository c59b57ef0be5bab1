"""What the compare page needs of every entry: the numbers behind paired differences.

The page subtracts any two entries itself, as ``benchmark.compare`` does: the difference of two
methods depends on their means per cell and block, on the variance between their seeds, and on
nothing else. So those are embedded, not half a million prebuilt pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.compare import compare_results
from recombine.benchmark.statistics.design import (
    CellDesign,
    codes_of,
    factor_scores_of,
    scores_of,
    terms,
)

if TYPE_CHECKING:
    from recombine.benchmark.results.parts import Score
    from recombine.benchmark.statistics.design import Crossed
    from recombine.leaderboard.board.board import RankedBoard, Row
    from recombine.renderer.core.types import Array

DIGITS = 9
"""Significant digits of the factors' cells; the headline scores keep all of theirs."""
PICKED = 3
"""Entries of every role that the static table pairs."""


@dataclass(frozen=True)
class Pair:
    """Two entries of a board, the higher estimate first."""

    first: Row  # the entries
    second: Row  # the entries
    # OOC score of the first minus that of the second; its interval is for this pair alone
    difference: stats.Estimate
    verdict: str  # corrected for the three scores of this pair, as everywhere on the page


def static_pairs(ranked: RankedBoard) -> list[Pair]:
    """Pair the highest entries of every role, for a page that must do without its script."""
    competing = (rows[:PICKED] for role, rows in ranked.roles.items() if role.key != "bound")
    picked = {row.letter for rows in competing for row in rows}
    found = [row for row in ranked.rows if row.letter in picked]
    pairs = []
    for first, second in combinations(found, 2):
        ooc = compare_results(first.entry.result, second.entry.result).headline[0]
        verdict = "told apart" if ooc.real else "not told apart"
        if ooc.difference.p_value is None:
            verdict = "not tested"
        pairs.append(Pair(first, second, ooc.difference, verdict))
    return pairs


def page_data(ranked: RankedBoard) -> dict[str, Any]:
    """Return what the compare page of a board embeds."""
    scores = ranked.board.entries[0].result.scores
    cells = {"id": sorted(scores.id_test.cells), "ooc": sorted(scores.ooc_test.cells)}
    return {
        "factors": list(ranked.board.entries[0].result.data.recombined),
        "cells": cells,
        "design": {split: _design(names) for split, names in cells.items()},
        "limits": {"few": stats.FEW_TO_TEST, "end": stats.NEAR_END},
        "entries": [
            _item(row, ranked.full_names[row.entry.result.result_id]) for row in ranked.rows
        ],
    }


def _design(names: list[tuple[str, ...]]) -> dict[str, Any]:
    """Return what turns sums of squares over cells into parts of a variance."""
    design = CellDesign.of(codes_of(names), len(names))
    return {
        "groups": [group.tolist() for group in design.groups],
        "levels": list(design.levels),
        "weights": design.weights.tolist(),
    }


def summary_of(table: Crossed) -> dict[str, Any]:
    """Return the numbers that a paired difference needs of one method."""
    by_seed = table.cells.mean(axis=1)
    blocks = None if table.blocks is None else table.blocks.mean(axis=0).tolist()
    return {
        "mean": math.fsum(table.cells.ravel().tolist()) / table.cells.size,
        "cells": table.cells.mean(axis=0).tolist(),
        "blocks": blocks if blocks and len(blocks) > 1 else None,
        "seeds": len(by_seed),
        "known": terms(table) is not None,
        "spread": _variance(by_seed),
    }


def _variance(values: Array) -> float:
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0


def _item(row: Row, name: str) -> dict[str, Any]:
    result = row.entry.result
    inside, outside = scores_of(result.scores.id_test), row.entry.ooc
    gaps = inside.cells.mean(axis=1) - outside.cells.mean(axis=1)
    track, training = result.track, result.training
    return {
        "slug": row.entry.slug,
        "name": f"{row.letter} {name}",
        "id": summary_of(inside),
        "ooc": summary_of(outside),
        "gap": {"mean": result.gap.estimate, "seeds": len(gaps), "spread": _variance(gaps)},
        "factors": _factors(result.scores.ooc_test),
        "facts": {
            "training data": track.data,
            "supervision": track.supervision,
            "test compute": track.test_compute,
            "training images": f"{result.data.n_train:,}",
            "generated images": f"{training.generated_images_seen:,}",
            "readout labels": f"{result.readout.n_train:,}",
            "configurations tried": f"{training.configs_tried:,}",
            "selection rule": training.selection.rule,
            "seeds": str(len(result.seeds)),
        },
    }


def _factors(score: Score) -> dict[str, dict[str, Any]]:
    found = {}
    for name, factor in sorted(
        score.per_factor.items(), key=lambda item: (not item[1].recombined, item[0])
    ):
        numbers = {}
        if factor.per_cell:
            numbers = summary_of(factor_scores_of(factor, score))
            for part in ("cells", "blocks"):
                values = numbers[part]
                numbers[part] = values and [float(f"{value:.{DIGITS}g}") for value in values]
        metric = f"{factor.metric} {factor.metric_version}"
        found[name] = numbers | {"metric": metric, "mean": factor.estimate}
    return found
