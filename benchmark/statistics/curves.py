"""Curves of a score against training images or operations: area, and where a level is reached.

A curve is one `Crossed` table of scores per size, all sizes with the same seeds, cells and blocks
(training sets are nested). Whatever is linear in the scores then has the interval of `stats`: the
area under the curve is a weighted mean over sizes, and so is the curve's height between two sizes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import scores_of
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jaxtyping import Float

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.statistics.design import Crossed
    from recombine.benchmark.statistics.intervals import Estimate
    from recombine.renderer.core.types import Array


BETWEEN = 32
"""Heights tested between two sizes when a crossing is looked for."""


@dataclass(frozen=True)
class Reach:
    """The size at which a curve first has a given height.

    Attributes
    ----------
    size : float, optional
        Interpolated on the logarithm of the size; the smallest size when the curve starts
        higher, None when no measured size is enough.
    low, high : float, optional
        Ends of the 95 % interval; None stands for "not within the measured sizes". Both None
        with ``tested`` set says that even the upper end of the curve stays below.
    tested : bool
        Whether the design allows an interval at all.
    """

    size: float | None
    low: float | None
    high: float | None
    tested: bool


def area_weights(sizes: Sequence[float]) -> Float[Array, " sizes"]:
    """Return the weight of every size in the area under a curve over log size."""
    values = np.asarray(sizes, float)
    if values.ndim != 1 or len(values) < 2 or values[0] <= 0 or not np.all(np.diff(values) > 0):
        raise InvalidInputError(
            f"area_weights: expected at least two ascending positive sizes, got {list(sizes)}; "
            "score the entry at more sizes"
        )
    steps = np.diff(np.log(values)) / math.log(values[-1] / values[0])
    weights: Array = (np.append(steps, 0.0) + np.append(0.0, steps)) / 2
    return weights


def area(scores: Sequence[Crossed], sizes: Sequence[float]) -> Crossed:
    """Return the area under the curve: the mean height over log size, table by table.

    Parameters
    ----------
    scores : sequence of Crossed
        One table per size.
    sizes : sequence of float
        Ascending training set sizes or GFLOPs.

    Returns
    -------
    Crossed
        Give it to `stats.crossed_mean` for the area with its interval, or with another entry's
        to `stats.paired_difference`.

    Raises
    ------
    InvalidInputError
        When scores and sizes do not fit together.
    """
    _validate(scores, sizes)
    weights = area_weights(sizes)
    found = scores[0].mix(float(weights[0]), scores[0], 0.0)
    for table, weight in zip(scores[1:], weights[1:], strict=True):
        found = found.mix(1.0, table, float(weight))
    return found


def reach(scores: Sequence[Crossed], sizes: Sequence[float], level: float) -> Reach:
    """Return the size from which a curve has a given height.

    Parameters
    ----------
    scores : sequence of Crossed
        One table per size, scores in [0, 1].
    sizes : sequence of float
        Ascending sizes.
    level : float
        Height to reach, such as 0.8.

    Returns
    -------
    Reach
        The interval inverts the tests of the curve's height (Fieller 1954, J. R. Stat. Soc. B
        16(2)): it spans the sizes whose own 95 % interval holds the level, so an end can lie
        outside what was measured. It needs a curve that crosses the level once.

    Raises
    ------
    InvalidInputError
        When scores and sizes do not fit together.
    """
    _validate(scores, sizes)
    grid, heights = _dense(scores, sizes)
    found = [stats.crossed_mean(one) for one in heights]
    size = _first(grid, [one.value >= level for one in found])
    if any(one.ci95 is None for one in found):
        return Reach(size, None, None, False)
    low = _first(grid, [one.ci95 is not None and one.ci95[1] >= level for one in found])
    high = _first(grid, [one.ci95 is not None and one.ci95[0] >= level for one in found])
    return Reach(size, low, high, True)


def budget_weights(costs: Sequence[float], low: float, high: float) -> Float[Array, " costs"]:
    """Return the weight of every point in what budgets between two bounds buy."""
    # A budget buys the dearest point that it can pay, so the curve is a staircase; methods with
    # different costs are then compared over one range of budgets.
    edges = np.array([low, *costs, high], float)
    if edges.min() <= 0 or high <= low or not np.all(np.diff(edges[1:-1]) > 0):
        raise InvalidInputError(
            f"budget_weights: expected positive ascending costs and bounds, got {list(costs)} "
            f"within {low} to {high}"
        )
    within = np.log(np.clip(edges, low, high))
    weights: Array = np.diff(within) / math.log(high / low)
    return weights


def _dense(scores: Sequence[Crossed], sizes: Sequence[float]) -> tuple[Array, list[Crossed]]:
    """Interpolate every score on log size."""
    values = np.asarray(sizes, float)
    gaps = len(values) - 1
    left = np.append(np.arange(gaps).repeat(BETWEEN), gaps - 1)
    share = np.append(np.tile(np.arange(BETWEEN) / BETWEEN, gaps), 1.0)
    grid = values[left] * (values[left + 1] / values[left]) ** share
    return grid, [
        scores[i].mix(float(1 - part), scores[i + 1], float(part))
        for i, part in zip(left, share, strict=True)
    ]


def _first(grid: Array, reached: Sequence[bool]) -> float | None:
    return float(grid[reached.index(True)]) if True in reached else None


def _validate(scores: Sequence[Crossed], sizes: Sequence[float]) -> None:
    area_weights(sizes)
    shapes = {table.cells.shape for table in scores}
    if len(scores) != len(sizes) or len(shapes) != 1:
        raise InvalidInputError(
            f"curve: expected one seeds x cells table per size, all alike, got {len(scores)} of "
            f"shapes {sorted(shapes)} for {len(sizes)} sizes; score every size with the same seeds"
        )


# Curves made of result files: one entry at several training set sizes, or at several costs.


@dataclass(frozen=True, eq=False)
class DataCurve:
    """One entry trained on nested subsets of one dataset.

    Attributes
    ----------
    results : tuple of Result
        By ascending number of training images, at least two.
    seeds : tuple of int
        Training seeds that all of them have.
    """

    results: tuple[Result, ...]
    seeds: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the numbers of training images."""
        return tuple(result.data.n_train for result in self.results)

    @cached_property
    def ooc(self) -> list[Crossed]:
        """Return out-of-combination shares, one table per size."""
        return self._tables("ooc_test")

    @cached_property
    def id(self) -> list[Crossed]:
        """Return in-combination shares, one table per size."""
        return self._tables("id_test")

    @cached_property
    def area(self) -> Estimate:
        """Return the area under the OOC curve over log size: its mean height."""
        return stats.crossed_mean(area(self.ooc, self.sizes))

    def reach(self, level: float) -> Reach:
        """Return the number of training images from which OOC accuracy is at least ``level``."""
        return reach(self.ooc, self.sizes, level)

    def _tables(self, split: str) -> list[Crossed]:
        return [
            scores_of(getattr(result.scores, split), [result.seeds.index(s) for s in self.seeds])
            for result in self.results
        ]


def data_curves(results: Iterable[Result]) -> list[DataCurve]:
    """Find the data-scaling curves in a set of results.

    Parameters
    ----------
    results : iterable of Result
        Any entries.

    Returns
    -------
    list of DataCurve
        One per entry that was scored at two or more sizes on the same test images, by name;
        entries with one size are left out.

    Raises
    ------
    InvalidInputError
        When one size appears twice, or the sizes of an entry have no seed in common.
    """
    groups: defaultdict[tuple[str, ...], list[Result]] = defaultdict(list)
    for result in results:
        score = result.scores.ooc_test
        key = (result.method.entry, result.data.identity, score.metric, score.metric_version)
        groups[key].append(result)
    return [_curve(key[0], groups[key]) for key in sorted(groups) if len(groups[key]) > 1]


def budget_area(result: Result, low: float, high: float) -> float | None:
    """Return the mean OOC accuracy that compute budgets between two bounds buy.

    Parameters
    ----------
    result : Result
        With its curve of accuracy against test-time compute.
    low, high : float
        GFLOP per image, the same for all entries that are compared.

    Returns
    -------
    float, optional
        Chance where nothing can be bought; see `stats_curves.budget_weights`. None when
        operations could not be counted.
    """
    curve = result.compute_curve
    costs = [cost for cost in curve.gflop_per_image if cost is not None]
    if len(costs) < len(curve.steps):
        return None
    heights = [result.scores.ooc_test.chance, *curve.ooc]
    return float(budget_weights(costs, low, high) @ np.array(heights))


def _curve(entry: str, results: Sequence[Result]) -> DataCurve:
    ordered = sorted(results, key=lambda one: one.data.n_train)
    sizes = [one.data.n_train for one in ordered]
    shared = sorted(set.intersection(*(set(one.seeds) for one in ordered)))
    if len(set(sizes)) < len(sizes) or not shared:
        raise InvalidInputError(
            f"data curve: {entry} needs one result per number of training images, all with a "
            f"common seed; got sizes {sizes} with {len(shared)} common seeds. Give one file each"
        )
    return DataCurve(tuple(ordered), tuple(shared))
