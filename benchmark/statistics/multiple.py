"""Many methods against one, with one chance of any error for all comparisons together.

Each comparison is the paired test of `intervals.paired_difference`. All of them share a side, so
their errors go together: the runs of that side, and the combinations and blocks that are hard for
it and easy for the others. Corrections that know only the number of comparisons (Bonferroni, Holm)
pay for a thousand of them as if they were a thousand separate draws. Here the largest of all test
statistics is compared with its own distribution, drawn from the estimated parts of the variances
(max-t: Dunnett 1955, J. Am. Stat. Assoc. 50(272); for correlations and variances that are
estimated, Hothorn, Bretz and Westfall 2008, Biom. J. 50(3), sec. 3). A method whose own runs differ
little adds next to nothing to that distribution, however many of its kind there are.

* `best`: which methods may be the best of all (multiple comparisons with the best; Hsu 1984,
  Ann. Stat. 12(3)). A method may not be when another is better by more than chance explains, with
  its own distribution of the largest statistic of all others against it.
* `apart`: which methods are better or worse than one of them, step by step (Westfall and Young
  1993, algorithm 2.8).

Statistics with few degrees of freedom have longer tails, and would decide for all. So a statistic
counts on the scale of the normal distribution (Wallace 1959, Ann. Math. Stat. 30(4), eq. 5.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import CellDesign, terms
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool, Float

    from recombine.benchmark.statistics.design import Crossed
    from recombine.renderer.core.types import Array

DRAWS = 4096
"""Boards drawn for the distribution of a largest statistic: its tail of 5 % is known to .35 %."""
SEED = 20261130
ELEMENTS = 400_000
"""Numbers in one drawing of all boards, about."""
LOOK, UNSURE = 512, 0.25
"""Boards drawn first, and how near to a limit that they give the others must be drawn too."""
HIGHEST = 8
"""Methods against which all others are compared first."""


@dataclass(frozen=True, eq=False)
class Against:
    """All methods minus one of them.

    Attributes
    ----------
    difference : array
        ``(M,)`` score of every method minus that of the one.
    p_value : array
        ``(M,)`` two-sided and unadjusted; NaN where there is no test.
    score : array
        ``(M,)`` the statistic on the scale of the normal distribution, with at least the runs'
        common variance; NaN where the design or the guard allows no test, and where nothing
        differs but the means.
    """

    difference: Float[Array, " methods"]
    p_value: Float[Array, " methods"]
    score: Float[Array, " methods"]
    parts: _Parts

    @property
    def exact(self) -> Bool[Array, " methods"]:
        """Tell which pairs differ by the same amount everywhere, and were tested by signs."""
        return np.asarray(~np.isnan(self.p_value) & np.isnan(self.score) & (self.difference != 0))

    @property
    def alone(self) -> Float[Array, " methods"]:
        """Return two-sided p-values as the field knows the runs, unadjusted."""
        scores = 2 * special.ndtr(-np.abs(self.score))
        return np.asarray(np.where(self.exact, self.p_value, scores))

    @property
    def tested(self) -> Bool[Array, " methods"]:
        """Tell which comparisons may be decided at all."""
        return np.asarray(~np.isnan(self.score) | self.exact)


@dataclass(frozen=True, eq=False)
class _Parts:
    """Parts of the variances of all methods minus one, with their degrees of freedom."""

    runs: Array  # (M,) of every method, as the guard takes them
    base: Array  # (M,) of the one that all are compared with
    cells: Array  # (P, M) values of factors, cells
    blocks: Array  # (2, M) paired; or of either side, where the two saw others
    run_df: Array  # (M,)
    base_df: float
    cell_df: Array  # (P,)
    block_df: Array  # (2, M)
    cap: Array  # (M,) most degrees of freedom of any part

    def only(self, keep: Array) -> _Parts:
        """Return the parts of some methods."""
        return _Parts(
            self.runs[keep], self.base[keep], self.cells[:, keep], self.blocks[:, keep],
            self.run_df[keep], self.base_df, self.cell_df, self.block_df[:, keep], self.cap[keep],
        )  # fmt: skip

    def single(self) -> _Parts:
        """Return the same with half as many digits, which draws are not worth."""
        arrays: dict[str, Any] = {
            name: np.asarray(value, np.float32)
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return replace(self, **arrays)

    def total(self, chi: _Chi) -> tuple[Array, Array]:
        """Return the variances and their degrees of freedom, for estimated parts."""
        rows = [
            (self.runs * chi.runs, self.run_df),
            (self.base * chi.base, np.full(self.base.shape, self.base_df)),
            *(
                (part * c, np.full(part.shape, n))
                for part, c, n in zip(self.cells, chi.cells, self.cell_df, strict=True)
            ),
            *((p * c, n) for p, c, n in zip(self.blocks, chi.blocks, self.block_df, strict=True)),
        ]
        variance, squares = (np.zeros(1, self.runs.dtype) for _ in range(2))
        for part, n in rows:
            variance = np.asarray(variance + part)
            squares = np.asarray(squares + part**2 / np.minimum(n, self.cap))
        return variance, squares


@dataclass(frozen=True, eq=False)
class _Chi:
    """Estimated over true, for every part of a variance; 1 stands for the estimates at hand."""

    runs: Array
    base: Array
    cells: Sequence[Array]
    blocks: Sequence[Array]

    @classmethod
    def ones(cls, cells: int) -> _Chi:
        """Return the estimates as they are."""
        one = np.ones(1)
        return cls(one, one, [one] * cells, [one, one])


class Field:
    """Methods that answered the same images, ready to be compared with each other.

    Parameters
    ----------
    tables : sequence of Crossed
        Scores of every method, in [0, 1], on the same cells.
    draws : int
        Most boards drawn for the distribution of a largest statistic.

    Raises
    ------
    InvalidInputError
        When the methods have different numbers of cells.
    """

    def __init__(self, tables: Sequence[Crossed], draws: int = DRAWS) -> None:
        widths = [table.cells.shape[1] for table in tables]
        if len(set(widths)) > 1:
            raise InvalidInputError(
                f"Field: methods to compare need the same cells, got {widths} cells; compare "
                "entries of one dataset"
            )
        # Of a large family fewer: a limit is as sure, but for its last digit.
        self.draws = min(draws, max(LOOK, ELEMENTS // max(len(tables), 1)))
        width = widths[0] if widths else 1
        self.means = np.array([t.cells.mean(axis=0) for t in tables]).reshape(len(tables), width)
        self.blocks = [None if t.blocks is None else t.blocks.mean(axis=0) for t in tables]
        self.known = np.array([terms(table) is not None for table in tables], dtype=bool)
        runs = [stats.RunSpread.of(t.cells.mean(axis=1), float(t.cells.mean())) for t in tables]
        self.errors, self.share, self.variance = (
            np.array([getattr(one, name) for one in runs])
            for name in ("errors", "share", "variance")
        )
        self.df = np.array([one.runs - 1.0 if one.runs > 1 else math.inf for one in runs])
        self.design = CellDesign.of(tables[0].codes if tables else None, width)
        # How much runs differ is known from a few of them: not less than the methods' common share.
        drawn, bent = np.isfinite(self.df), self.share * (1 - self.share)
        spread = np.sum(self.variance[drawn] * (self.df[drawn] + 1))
        common = spread / max(float(np.sum(bent[drawn])), 1e-12)
        self.least = np.where(drawn, common * bent / (self.df + 1), 0.0)
        off = self.means - self.means.mean(axis=1, keepdims=True)
        sums = [off @ (group[:, None] == np.arange(n)) for group, n in self._groups]
        self._projected = [*sums, off]  # what sums of squares over values and cells are made of
        self._by_width = _by_width(self.blocks)

    @property
    def _groups(self) -> Iterator[tuple[Array, int]]:
        return zip(self.design.groups, self.design.levels, strict=False)

    def __len__(self) -> int:
        return len(self.known)

    def against(self, one: int) -> Against:
        """Compare all methods with one of them.

        Parameters
        ----------
        one : int
            Its place.

        Returns
        -------
        Against
            Every method minus that one, as `intervals.paired_difference` compares two.
        """
        count = self.means.shape[1]
        difference = (self.means - self.means[one]).mean(axis=1)
        squares_of = [np.sum((each - each[one]) ** 2, axis=1) for each in self._projected]
        cells = np.maximum(np.stack(squares_of, axis=1) @ self.design.weights.T, 0.0).T
        # As `stats.guarded`: near an end of the scale runs that differ much decide nothing.
        few = np.minimum(self.errors, self.errors[one]) < stats.FEW_TO_TEST
        common = (self.share + self.share[one]) / 2
        declined = few & (np.minimum(common, 1 - common) < stats.NEAR_END)
        cap = np.where(few, np.minimum(self.df, self.df[one]), math.inf)
        bent = common * (1 - common)
        scale = np.maximum(1.0, bent / np.maximum(self.share * (1 - self.share), 1e-9))
        base_scale = np.maximum(1.0, bent / max(self.share[one] * (1 - self.share[one]), 1e-9))
        blocks, block_df = self._block_parts(one)
        parts = _Parts(
            self.variance * np.where(few, scale, 1.0),
            self.variance[one] * np.where(few, base_scale, 1.0),
            cells,
            blocks,
            self.df,
            float(self.df[one]),
            np.maximum(np.array(self.design.levels) - 1.0, 1.0),
            block_df,
            cap,
        )
        variance, squares = parts.total(_Chi.ones(len(parts.cells)))
        usable = self.known & self.known[one] & ~declined
        usable[one] = False
        spread = usable & (variance > stats.NO_SPREAD)
        p_value, score = np.full((2, len(self)), math.nan)
        df = variance[spread] ** 2 / squares[spread]
        p_value[spread] = 2 * special.stdtr(
            df, -np.abs(difference[spread]) / np.sqrt(variance[spread])
        )
        flat = usable & ~spread
        p_value[flat] = np.where(difference[flat] == 0, 1.0, stats.sign_test(count))
        parts = replace(
            parts,
            runs=np.maximum(parts.runs, self.least),
            base=np.maximum(parts.base, self.least[one]),
        )
        variance, squares = parts.total(_Chi.ones(len(parts.cells)))
        df = variance[spread] ** 2 / squares[spread]
        score[spread] = _normal(difference[spread] / np.sqrt(variance[spread]), df)
        return Against(difference, p_value, score, parts)

    def _block_parts(self, one: int) -> tuple[Array, Array]:
        """Return the parts of blocks and their degrees of freedom."""
        base = self.blocks[one]
        variance, df = np.zeros((2, len(self))), np.full((2, len(self)), math.inf)
        for width, (rows, means) in self._by_width.items():
            if base is None:
                continue
            paired = width == len(base)
            each = [means - base] if paired else [means, np.broadcast_to(base, (1, len(base)))]
            for k, part in enumerate(each):
                if part.shape[1] > 1:
                    variance[k, rows] = part.var(axis=1, ddof=1) / part.shape[1]
                    df[k, rows] = part.shape[1] - 1
        return variance, df

    def _paired_blocks(self, one: int) -> Array:
        """Return the differences of blocks to one method, 0 where they saw others."""
        base = self.blocks[one]
        out = np.zeros((len(self), 0 if base is None else len(base)))
        if base is not None:
            rows, means = self._by_width[len(base)]
            out[rows] = means - base
        return out

    @cached_property
    def _drawn(self) -> tuple[Array, Array]:
        """Return the luck of every method's runs, and how its spread is estimated."""
        rng = np.random.default_rng(SEED)
        luck = rng.standard_normal((len(self), self.draws), np.float32).T
        df = np.where(np.isinf(self.df), 1.0, self.df)[:, None]
        chi = 2 * rng.standard_gamma(df / 2, (len(self), self.draws)).astype(np.float32) / df
        return luck, np.where(np.isinf(self.df), 1.0, chi.T).astype(np.float32)

    def simulate(
        self, one: int, others: Bool[Array, " methods"], draws: int | None = None
    ) -> Float[Array, "draws others"]:
        """Draw the scores of some methods against one, as if all were equally good.

        Parameters
        ----------
        one : int
            What they are compared with.
        others : array
            ``(M,)`` which of them.
        draws : int, optional
            How many, all by default.

        Returns
        -------
        array
            ``(draws, m)`` scores.
        """
        keep, draws = np.flatnonzero(others), draws or self.draws
        parts, (luck, chi) = self.against(one).parts.only(keep).single(), self._drawn
        rng = np.random.default_rng([SEED, 1])
        blocks = self._paired_blocks(one)[keep]
        paired = np.any(blocks != 0, axis=1)
        # What two methods saw in other blocks has no luck in common.
        apart = parts.blocks[0] * ~paired + parts.blocks[1]
        top = (
            np.sqrt(parts.runs) * luck[:draws, keep]
            - np.sqrt(parts.base) * luck[:draws, [one]]
            + np.sqrt(parts.cells.sum(axis=0))
            * _shared(rng, draws, self.means[keep] - self.means[one])
            + np.sqrt(parts.blocks[0] * paired) * _shared(rng, draws, blocks)
        )
        if np.any(apart):
            top += np.sqrt(apart) * rng.standard_normal(top.shape)
        cells = [_chi_square(rng, draws, n) for n in parts.cell_df]
        # Blocks are the same number for nearly all: one draw, for the fewest of them.
        block = _chi_square(rng, draws, float(parts.block_df[0].min(initial=math.inf)))
        variance, squares = parts.total(
            _Chi(chi[:draws, keep], chi[:draws, [one]], cells, [block, block])
        )
        return _normal(top / np.sqrt(variance), variance**2 / squares)

    def beaten(
        self, one: int, by: Bool[Array, " methods"] | None = None, level: float = stats.LEVEL
    ) -> bool:
        """Return whether one method is shown to be worse than another.

        Parameters
        ----------
        one : int
            Its place.
        by : array, optional
            ``(M,)`` the others that count; all by default. The correction is for all in any case.
        level : float
            Probability of yes although none is better.

        Returns
        -------
        bool
            Nothing may be read from it about two others.
        """
        found = self.against(one)
        ahead = found.tested & (found.difference > 0)
        if by is not None:
            ahead &= by
        if np.any(ahead & (found.alone / 2 <= level / max(int(found.tested.sum()), 1))):
            return True
        likely = ahead & ~found.exact & (found.score > special.ndtri(1 - level))
        if not np.any(likely):
            return False
        # A pair without any spread has no part in the draws: it is paid for by its share.
        rest = level * (1 - found.exact.sum() / found.tested.sum())
        most, others = float(found.score[likely].max()), found.tested & ~found.exact
        limit = _critical(self.simulate(one, others, min(LOOK, self.draws)), rest)
        if abs(most - limit) < UNSURE:
            limit = _critical(self.simulate(one, others), rest)
        return most > limit

    def best(self, level: float = stats.LEVEL) -> Bool[Array, " methods"]:
        """Return which methods may be the best.

        Parameters
        ----------
        level : float
            Probability that the best is not among them.

        Returns
        -------
        array
            ``(M,)``
        """
        out = np.ones(len(self), dtype=bool)
        # Most are far below the highest, which their number alone then tells.
        for one in np.argsort(-self.share, kind="stable")[:HIGHEST]:
            found = self.against(int(one))
            out &= ~((found.difference < 0) & (found.alone / 2 <= level / len(self)))
        for one in np.flatnonzero(out):
            out[one] = not self.beaten(int(one), level=level)
        return out

    def apart(self, one: int, level: float = stats.LEVEL) -> Bool[Array, " methods"]:
        """Return which methods are told apart from one of them, better or worse.

        Parameters
        ----------
        one : int
            Its place.
        level : float
            Probability of any false verdict.

        Returns
        -------
        array
            ``(M,)``; `Against.difference` says in which direction.
        """
        found = self.against(one)
        count, flat = int(found.tested.sum()), int(found.exact.sum())
        out = found.exact & (found.alone <= level / max(count, 1))
        measured = np.flatnonzero(found.tested & ~found.exact)
        if not len(measured):
            return np.asarray(out)
        order = measured[np.argsort(-np.abs(found.score[measured]), kind="stable")]
        mask = np.zeros(len(self), dtype=bool)
        mask[measured] = True
        drawn = np.abs(self.simulate(one, mask))
        # What remains after each step: the largest of a statistic and of all that are smaller.
        drawn = drawn[:, np.searchsorted(measured, order)]
        largest = np.maximum.accumulate(drawn[:, ::-1], axis=1)[:, ::-1]
        for step, j in enumerate(order):
            limit = _critical(largest[:, [step]], level * (1 - flat / count), sides=2)
            if abs(found.score[j]) <= limit:
                break
            out[j] = True
        return np.asarray(out)


def _critical(drawn: Array, level: float, sides: int = 1) -> float:
    """Return what the largest of some scores exceeds by chance, no less than a single one would."""
    single = float(special.ndtri(1 - level / sides))
    return max(single, float(np.quantile(drawn.max(axis=1), 1 - level)))


def _chi_square(rng: np.random.Generator, draws: int, df: float) -> Array:
    if math.isinf(df):
        return np.ones((draws, 1), np.float32)
    return np.asarray(rng.chisquare(df, (draws, 1)) / df, np.float32)


def _shared(rng: np.random.Generator, draws: int, rows: Array) -> Array:
    """Draw normal deviates that go together as rows of differences do."""
    if not rows.size:
        return np.zeros((1, len(rows)), np.float32)
    off = rows - rows.mean(axis=1, keepdims=True)
    size = np.maximum(np.sqrt(np.sum(off**2, axis=1, keepdims=True)), 1e-12)
    loads = (off / size).astype(np.float32)
    return np.asarray(rng.standard_normal((draws, rows.shape[1]), np.float32) @ loads.T)


def _by_width(blocks: Sequence[Array | None]) -> dict[int, tuple[Array, Array]]:
    """Put methods together that have as many blocks: their places and means."""
    widths = np.array([0 if one is None else len(one) for one in blocks], dtype=int)
    return {
        int(width): (
            np.flatnonzero(widths == width),
            np.array([one for one in blocks if one is not None and len(one) == width]),
        )
        for width in np.unique(widths[widths > 0])
    }


def _normal(t: Array, df: Array) -> Array:
    """Return the normal deviate that is about as rare as a t statistic."""
    size = np.sqrt(df * np.log1p(t**2 / df)) * ((8 * df + 1) / (8 * df + 3))
    return np.asarray(np.copysign(size, t))
