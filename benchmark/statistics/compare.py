"""Two results of one dataset side by side: what differs, how surely, and what could be seen.

Cells are paired, since both methods answered the same ones; training seeds are not. All numbers
come from the two files alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import (
    Crossed,
    factor_scores_of,
    gap_terms,
    scores_of,
)
from recombine.benchmark.statistics.intervals import Estimate
from recombine.benchmark.statistics.power import power_at
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.tables import html_lines, html_table, text_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recombine.benchmark.results.parts import Score
    from recombine.benchmark.results.result import Result
    from recombine.renderer.core.types import Array

COLUMNS = ("score", "A", "B", "A - B", "95 % interval", "p", "verdict")
UNMARKED_SEEDS = 5
FIVE_POINTS = 0.05


@dataclass(frozen=True)
class Contrast:
    """One score of both entries.

    Attributes
    ----------
    name : str
        ``"OOC"``, ``"ID"``, ``"gap"`` or a factor.
    first, second : float
        The scores.
    difference : Estimate
        First minus second.
    real : bool
        Whether the difference survives Holm's correction within its group: the three headline
        scores, or all factors.
    """

    name: str
    first: float
    second: float
    difference: Estimate
    real: bool

    def row(self, unit: float) -> tuple[str, ...]:
        """Return the cells under `COLUMNS`; ``unit`` is 100 for per cent, 1 for shares."""
        digits = 1 if unit == 100 else 3
        found = self.difference
        interval, p_value = "none", "none"
        verdict = "not tested" if found.declined else "no test"
        if found.ci95 is not None:
            low, high = found.ci95
            interval = f"{unit * low:+.{digits}f} to {unit * high:+.{digits}f}"
        if found.p_value is not None:
            p_value = f"{found.p_value:.3f}" if found.p_value >= 0.001 else "< 0.001"
            better = "A higher" if found.value > 0 else "B higher"
            verdict = better if self.real else "not told apart"
        scores = [f"{unit * one:.{digits}f}" for one in (self.first, self.second)]
        difference = f"{unit * found.value:+.{digits}f}"
        return (self.name, *scores, difference, interval, p_value, verdict)


@dataclass(frozen=True)
class Comparison:
    """What two result files say about each other.

    Attributes
    ----------
    headline : tuple of Contrast
        OOC, ID and gap.
    factors : tuple of Contrast
        Out-of-combination factor scores, the recombined ones first.
    detectable : float, optional
        Smallest true OOC difference that this pair of designs notices with 80 % power.
    power : float, optional
        How often it would notice a true OOC difference of 5 points.
    caveats : tuple of str
        What else differs between the two entries, in words.
    """

    headline: tuple[Contrast, ...]
    factors: tuple[Contrast, ...]
    detectable: float | None
    power: float | None
    caveats: tuple[str, ...]

    def tables(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """Return title and rows, under `COLUMNS`, of each table."""
        found = [("joint slot accuracy, %", [one.row(100) for one in self.headline])]
        if self.factors:
            title = "OOC factor scores (1 perfect, 0 chance)"
            found.append((title, [one.row(1) for one in self.factors]))
        return found

    def notes(self) -> list[str]:
        """Return what the design could have seen, and what else differs."""
        lines = [f"note: {caveat}" for caveat in self.caveats]
        if self.detectable is not None and self.power is not None:
            lines.insert(
                0,
                "This pair of designs notices an OOC difference of "
                f"{100 * self.detectable:.1f} points with 80 % power, and one of 5 points "
                f"{100 * self.power:.0f} % of the time.",
            )
        return lines

    def __repr__(self) -> str:
        parts = [f"{title}\n{text_table(COLUMNS, rows)}" for title, rows in self.tables()]
        return "\n".join([*parts, *self.notes()])

    def _repr_html_(self) -> str:
        parts = [html_table(COLUMNS, rows, title) for title, rows in self.tables()]
        return "".join(parts) + html_lines(self.notes())


def compare_results(first: Result, second: Result) -> Comparison:
    """Compare two results.

    Parameters
    ----------
    first, second : Result
        Of the same images and metric; numbers of seeds may differ.

    Returns
    -------
    Comparison
        Differences are first minus second: positive OOC means that the first is better.

    Raises
    ------
    InvalidInputError
        When the two answered other images, other cells, or were measured by another metric.
    """
    require_same(first, second)
    ids, oocs = (
        (
            scores_of(getattr(first.scores, split)),
            scores_of(getattr(second.scores, split)),
        )
        for split in ("id_test", "ooc_test")
    )
    ooc = stats.paired_difference(*oocs)
    means = {
        split: [getattr(one.scores, split).estimate for one in (first, second)]
        for split in ("id_test", "ooc_test")
    }
    headline = (
        ("OOC", *means["ooc_test"], ooc),
        ("ID", *means["id_test"], stats.paired_difference(*ids)),
        ("gap", first.gap.estimate, second.gap.estimate, gap_difference(ids, oocs)),
    )
    return Comparison(
        _contrasts(headline),
        _contrasts(tuple(_factors(first.scores.ooc_test, second.scores.ooc_test))),
        stats.detectable(ooc),
        power_at(ooc, FIVE_POINTS),
        tuple(_caveats(first, second)),
    )


def gap_difference(ids: tuple[Crossed, Crossed], oocs: tuple[Crossed, Crossed]) -> Estimate:
    """Return the gap of one method minus the gap of another."""
    each = [gap_terms(inside, outside) for inside, outside in zip(ids, oocs, strict=True)]
    means = [
        float(inside.cells.mean() - outside.cells.mean())
        for inside, outside in zip(ids, oocs, strict=True)
    ]
    value = means[0] - means[1]
    if any(one is None for one in each):
        return Estimate(value)
    # Cells and blocks are the same for both methods, so their parts are those of the differences;
    # blocks that are not the same count for each method.
    apart = any(_other_blocks(one, two) for one, two in (ids, oocs))
    own = [
        term
        for one in each
        for term in one or ()
        if term.name == "run" or (apart and term.name == "block")
    ]
    rest = [
        Crossed(
            (one.cells.mean(axis=0) - two.cells.mean(axis=0))[None],
            one.codes,
            None if apart else _block_means(one, two),
            one_network=True,
        )
        for one, two in (ids, oocs)
    ]
    return stats.estimate(value, [*own, *(gap_terms(*rest) or ())], (-2.0, 2.0))


def _other_blocks(first: Crossed, second: Crossed) -> bool:
    if first.blocks is None or second.blocks is None:
        return False
    return first.blocks.shape[1] != second.blocks.shape[1]


def _block_means(first: Crossed, second: Crossed) -> Array | None:
    if first.blocks is None or second.blocks is None:
        return None
    return np.asarray(first.blocks.mean(axis=0) - second.blocks.mean(axis=0))[None]


def require_same(first: Result, second: Result) -> None:
    """Refuse two results that are not of the same images, cells and metric."""
    pairs = {
        "data (identity)": (first.data.identity, second.data.identity),
        "recombined factors": (first.data.recombined, second.data.recombined),
        "metric": (first.scores.ooc_test.metric, second.scores.ooc_test.metric),
        "metric version": (
            first.scores.ooc_test.metric_version,
            second.scores.ooc_test.metric_version,
        ),
    }
    for name, (mine, theirs) in pairs.items():
        if mine != theirs:
            raise InvalidInputError(
                f"compare: both results need the same {name}, got {mine} and {theirs}; "
                "score both methods on one dataset with one version"
            )
    for split in ("id_test", "ooc_test"):
        cells = [sorted(getattr(one.scores, split).cells) for one in (first, second)]
        if cells[0] != cells[1]:
            raise InvalidInputError(
                f"compare: both results need the same {split} cells, got {len(cells[0])} and "
                f"{len(cells[1])} with different names; one was not scored on this data"
            )


_Row = tuple[str, float, float, Estimate]


def _factors(first: Score, second: Score) -> Iterator[_Row]:
    """Yield the factors that both were measured on, by the same metric."""
    both = [
        (name, factor, second.per_factor[name])
        for name, factor in first.per_factor.items()
        if name in second.per_factor
    ]
    for name, mine, theirs in sorted(both, key=lambda row: (not row[1].recombined, row[0])):
        if (mine.metric, mine.metric_version) != (theirs.metric, theirs.metric_version):
            continue
        difference = Estimate(mine.estimate - theirs.estimate)
        if mine.per_cell and theirs.per_cell:
            difference = stats.paired_difference(
                factor_scores_of(mine, first), factor_scores_of(theirs, second), bounds=None
            )
        yield name, mine.estimate, theirs.estimate, difference


def _contrasts(rows: Sequence[_Row]) -> tuple[Contrast, ...]:
    real = stats.holm([row[3].p_value for row in rows])
    return tuple(
        Contrast(name, float(mine), float(theirs), difference, yes)
        for (name, mine, theirs, difference), yes in zip(rows, real, strict=True)
    )


def _caveats(first: Result, second: Result) -> Iterator[str]:
    """Yield what a reader must know before blaming the method for the difference."""
    pairs = {
        "training images": (first.data.n_train, second.data.n_train),
        "pretraining": (first.track.data, second.track.data),
        "supervision": (first.track.supervision, second.track.supervision),
        "test compute": (first.track.test_compute, second.track.test_compute),
        "readout labels": (first.readout.n_train, second.readout.n_train),
        "configurations tried": (first.training.configs_tried, second.training.configs_tried),
        "selection rule": (first.training.selection.rule, second.training.selection.rule),
    }
    for name, (mine, theirs) in pairs.items():
        if mine != theirs:
            yield f"{name}: {mine} and {theirs}"
    if first.data.root != second.data.root:
        yield f"other pixels: roots {first.data.root[:12]} and {second.data.root[:12]}"
    tested = stats.paired_difference(
        scores_of(first.scores.ooc_test), scores_of(second.scores.ooc_test)
    )
    if tested.declined:
        yield f"OOC {stats.DECLINED}"
    for which, one in (("A", first), ("B", second)):
        if len(one.seeds) < UNMARKED_SEEDS:
            n = len(one.seeds)
            seeds = "1 seed" if n == 1 else f"{n} seeds"
            yield f"{which} has {seeds}: a sketch, {UNMARKED_SEEDS} make a claim"
        score = one.scores.ooc_test
        if np.ptp(np.asarray(score.hits) / np.asarray(score.counts)) == 0:
            yield f"{which} is equally right everywhere: its own spread is unknown"
