"""Curves made of result files: one entry at several training set sizes, or at several costs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.stats_curves import Reach, area, budget_weights, reach
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jaxtyping import Float

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.results.result_parts import Score
    from recombine.benchmark.statistics.intervals import Estimate
    from recombine.renderer.core.types import Array


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
    def ooc(self) -> Float[Array, "sizes seeds cells"]:
        """Return out-of-combination shares, ``(m, S, C)``."""
        return self._stack("ooc_test")

    @cached_property
    def id(self) -> Float[Array, "sizes seeds cells"]:
        """Return in-combination shares, ``(m, S, C)``."""
        return self._stack("id_test")

    @cached_property
    def area(self) -> Estimate:
        """Return the area under the OOC curve over log size: its mean height."""
        return stats.crossed_mean(area(self.ooc, self.sizes))

    def reach(self, level: float) -> Reach:
        """Return the number of training images from which OOC accuracy is at least ``level``."""
        return reach(self.ooc, self.sizes, level)

    def _stack(self, split: str) -> Array:
        tables = []
        for result in self.results:
            rows = [result.seeds.index(seed) for seed in self.seeds]
            tables.append(_shares(getattr(result.scores, split))[rows])
        return np.stack(tables)


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
        groups[(result.method.entry, result.data.root, score.metric, score.metric_version)].append(
            result
        )
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


def _shares(score: Score) -> Array:
    order = sorted(range(score.n_cells), key=score.cells.__getitem__)
    out: Array = np.asarray(score.hits, float) / np.asarray(score.counts, float)
    return out[:, order]
