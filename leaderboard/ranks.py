"""Rank sets: which ranks an entry may hold, given how sure we are.

Every pair of entries on a board is compared with the paired test of ``benchmark.stats`` (cells
are shared, seeds are not), and Holm's step-down keeps the chance of any false verdict on the
board below ``stats.LEVEL``. An entry that loses b of its comparisons and wins w of them out of M
entries has the rank set b+1 to M-w. A set that covers everything is printed in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from recombine.benchmark import stats
from recombine.leaderboard.numbers import DASH
from recombine.renderer.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from recombine.benchmark.arrays import Array

MIN_SEEDS_TEST = 3
MIN_SEEDS_UNMARKED = 5


@dataclass(frozen=True)
class Pair:
    """The comparison of two entries.

    Attributes
    ----------
    first, second : int
        Positions of the entries.
    difference : Estimate
        First minus second, with interval and unadjusted p-value.
    tested : bool
        False when one of the two has fewer than ``MIN_SEEDS_TEST`` seeds.
    separated : bool
        True when Holm's procedure calls the difference real.
    """

    first: int
    second: int
    difference: stats.Estimate
    tested: bool
    separated: bool


@dataclass(frozen=True)
class RankSet:
    """The ranks that an entry may hold.

    Attributes
    ----------
    low, high : int
        Best and worst possible rank, 1 <= low <= high <= of.
    of : int
        Entries on the board.
    reason : str
        Why the set covers the whole board; empty when it does not.
    """

    low: int
    high: int
    of: int
    reason: str = ""

    @property
    def separable(self) -> bool:
        """Tell whether the entry was told apart from at least one other."""
        return not self.reason

    @property
    def words(self) -> str:
        """Say the set in words.

        Examples
        --------
        >>> RankSet(1, 1, 4).words, RankSet(2, 4, 4).words
        ('1', '2–4')
        >>> RankSet(1, 4, 4, "fewer than 3 seeds").words
        'not separable'
        """
        if self.reason:
            return "not separable"
        return str(self.low) if self.low == self.high else f"{self.low}{DASH}{self.high}"


def compare_all(
    scores: Sequence[Float[Array, "seeds cells"]], level: float = stats.LEVEL
) -> list[Pair]:
    """Compare every pair of entries, with one family-wise error rate for all of them.

    Pairs without a test (too few seeds) are left out of the family: which pairs those are was
    fixed before any score was seen. A pair with seeds enough but no spread at all stays in it.

    Parameters
    ----------
    scores : sequence of array
        Per entry ``(S, C)`` accuracies in [0, 1]; S may differ, column c is one cell for all.
    level : float
        Probability of any false verdict, in (0, 1).

    Returns
    -------
    list of Pair
        In the order (0, 1), (0, 2), ..., (M-2, M-1); empty for fewer than two entries.

    Raises
    ------
    InvalidInputError
        When the entries do not have the same number of cells.
    """
    if len({array.shape[1] for array in scores}) > 1:
        raise InvalidInputError(
            "compare_all: entries of one board need the same cells, got "
            f"{[array.shape[1] for array in scores]} cells; compare entries of one dataset"
        )
    enough = [len(array) >= MIN_SEEDS_TEST for array in scores]
    indices = list(combinations(range(len(scores)), 2))
    tested = [(i, j) for i, j in indices if enough[i] and enough[j]]
    found = {pair: stats.paired_difference(scores[pair[0]], scores[pair[1]]) for pair in indices}
    verdicts = stats.holm([found[pair].p_value for pair in tested], level)
    separated = dict(zip(tested, verdicts, strict=True))
    return [
        Pair(i, j, found[i, j], (i, j) in separated, separated.get((i, j), False))
        for i, j in indices
    ]


def rank_sets(pairs: Sequence[Pair], seeds: Sequence[int]) -> list[RankSet]:
    """Return the rank set of every entry; rank 1 is the highest score.

    Parameters
    ----------
    pairs : sequence of Pair
        Every comparison, from ``compare_all``.
    seeds : sequence of int
        Number of training seeds of every entry.

    Returns
    -------
    list of RankSet
        In the order of ``seeds``. With probability 1 - level all sets hold their entry's true
        rank at once. Source: Holm (1979); ranks from pairwise tests as in Mogstad, Romano, Shaikh
        and Wilhelm (2024), Rev. Econ. Stud. 91(1), section 3.
    """
    better, worse = [0] * len(seeds), [0] * len(seeds)
    for pair in pairs:
        if pair.separated:
            ordered = (pair.first, pair.second)
            winner, loser = ordered if pair.difference.value > 0 else ordered[::-1]
            better[loser] += 1
            worse[winner] += 1
    return [
        RankSet(
            low=1 + better[i],
            high=len(seeds) - worse[i],
            of=len(seeds),
            reason="" if better[i] + worse[i] else _reason(n, len(seeds)),
        )
        for i, n in enumerate(seeds)
    ]


def _reason(seeds: int, entries: int) -> str:
    if entries == 1:
        return "the only entry on this board"
    if seeds < MIN_SEEDS_TEST:
        return f"fewer than {MIN_SEEDS_TEST} seeds, so no test is made"
    return "no difference to another entry is larger than its uncertainty"
