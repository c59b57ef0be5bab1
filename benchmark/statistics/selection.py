"""What choosing among configurations does to a score.

N configurations were tried; each has a selection score (on in-combination images) and an
out-of-combination score. Choosing by the second is not a result: part of the winner's score is
the luck of the images, cells and runs on which it won.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.compare import require_same
from recombine.benchmark.statistics.design import Crossed, scores_of
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.statistics.intervals import Estimate
    from recombine.renderer.core.types import Array

SPLITS = 64


@dataclass(frozen=True)
class Selection:
    """Honest and oracle choice side by side.

    Attributes
    ----------
    selected, oracle : int
        Configuration with the best selection score, and with the best out-of-combination score.
    selected_score, oracle_score : float
        Their out-of-combination scores. The first is the headline.
    optimism : Estimate
        Oracle minus selected, at least 0. Its interval takes the two configurations as given.
    luck : float, optional
        The part of a winner's lead that does not carry over: its lead over the mean configuration
        on the half of the cells where it won, minus that on the other half; mean over random
        halvings. About 0 when configurations really differ. None with fewer than two cells.
    """

    selected: int
    oracle: int
    selected_score: float
    oracle_score: float
    optimism: Estimate
    luck: float | None


def compare_choices(id_val: Sequence[float], ooc: Sequence[Crossed], *, seed: int = 0) -> Selection:
    """Compare choosing on in-combination images with choosing on the test.

    Parameters
    ----------
    id_val : sequence of float
        ``N`` selection scores, higher is better; the first of equal ones is chosen.
    ooc : sequence of Crossed
        Out-of-combination scores of the same ``N`` configurations, with as many runs and the
        same cells each.
    seed : int
        Of the random halvings.

    Returns
    -------
    Selection
        Both choices and their difference.

    Raises
    ------
    InvalidInputError
        When the two do not describe the same configurations, or there are none.
    """
    shapes = {table.cells.shape for table in ooc}
    if len(ooc) != len(id_val) or len(shapes) != 1:
        raise InvalidInputError(
            f"compare_choices: expected scores of one shape (seeds, cells) for {len(id_val)} "
            f"configurations, at least one, got {len(ooc)} with shapes {sorted(shapes)}"
        )
    cells = np.stack([table.cells for table in ooc])
    means = cells.mean(axis=(1, 2))
    chosen, oracle = int(np.argmax(id_val)), int(np.argmax(means))
    return Selection(
        chosen,
        oracle,
        float(means[chosen]),
        float(means[oracle]),
        stats.paired_difference(ooc[oracle], ooc[chosen]),
        _luck(cells, np.random.default_rng(seed)),
    )


def choice_among(results: Sequence[Result]) -> Selection:
    """Compare choosing among scored configurations by their ID score and by their OOC score.

    Parameters
    ----------
    results : sequence of Result
        Configurations of one method, or any entries, on the same images with as many seeds each.

    Returns
    -------
    Selection
        ``selected`` and ``oracle`` are positions in ``results``.

    Raises
    ------
    InvalidInputError
        When the results are of other images, cells or metrics, or differ in their seeds.
    """
    for other in results[1:]:
        require_same(results[0], other)
    seeds = [len(one.seeds) for one in results]
    if len(set(seeds)) != 1:
        raise InvalidInputError(
            f"choice_among: expected results with as many seeds each, at least one, got {seeds} "
            "seeds; score all configurations with the same seeds"
        )
    ooc = [scores_of(one.scores.ooc_test) for one in results]
    return compare_choices([one.scores.id_test.estimate for one in results], ooc)


def expected_best(
    id_val: Sequence[float], ooc: Sequence[float], counts: Sequence[int]
) -> Float[Array, " counts"]:
    """Return the expected score of the configuration chosen among n random ones."""
    chosen, reported = np.asarray(id_val, float), np.asarray(ooc, float)
    draws = np.asarray(counts, float)
    if len(chosen) == 0 or len(chosen) != len(reported) or np.any(draws < 1):
        raise InvalidInputError(
            "expected_best: expected as many selection scores as reported scores, at least one, "
            f"and counts of at least 1, got {len(chosen)}, {len(reported)} and {list(counts)}"
        )
    # Equal selection scores share their chance of being chosen.
    _, group = np.unique(chosen, return_inverse=True)
    size = np.bincount(group)
    mean = np.bincount(group, weights=reported) / size
    below = np.append(0, np.cumsum(size)) / len(chosen)
    powers = below[None, :] ** draws[:, None]
    out: Array = np.diff(powers, axis=1) @ mean
    return out


def _luck(ooc: Array, rng: np.random.Generator) -> float | None:
    cells = ooc.shape[2]
    if cells < 2:
        return None
    # Cells differ in difficulty: a winner's lead is over all configurations on the same half.
    lead = ooc.mean(axis=1) - ooc.mean(axis=(0, 1))
    lost = []
    for _ in range(SPLITS):
        order = rng.permutation(cells)
        half, other = order[: cells // 2], order[cells // 2 :]
        best = int(np.argmax(lead[:, half].mean(axis=1)))
        lost.append(lead[best, half].mean() - lead[best, other].mean())
    return float(np.mean(lost))
