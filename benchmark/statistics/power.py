"""What a design can tell: its power, and what remains possible when every answer is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from recombine.benchmark.statistics.intervals import LEVEL

if TYPE_CHECKING:
    from recombine.benchmark.statistics.intervals import Estimate

POINTS = 2048
"""Quantiles of the chi-square distribution that are averaged."""


def power_at(found: Estimate, truth: float) -> float | None:
    """Return how often a design like this one would notice a true value.

    Parameters
    ----------
    found : Estimate
        Its standard error and degrees of freedom count, its value does not: the power at the
        value that was just seen says no more than the p-value.
    truth : float
        The value to be noticed, such as 0.05.

    Returns
    -------
    float, optional
        In [0.05, 1], integrated over the error of the standard error; None without one.
    """
    if found.standard_error is None or found.df is None:
        return None
    critical = float(special.stdtrit(found.df, 1 - LEVEL / 2))
    spread = np.sqrt(special.chdtri(found.df, (np.arange(POINTS) + 0.5) / POINTS) / found.df)
    shift = truth / found.standard_error
    noticed = special.ndtr(shift - critical * spread) + special.ndtr(-shift - critical * spread)
    return float(noticed.mean())


def unanimous_bound(seeds: int, cells: int) -> float:
    """Return the lowest accuracy that all-right answers of this design leave possible."""
    # Where every image is right there is no spread and no interval; this much can still be said,
    # whatever runs and cells have in common. The diagonal of the S x C table is min(S, C)
    # independent draws with mean m and values up to 1, so all of them are 1 with probability at
    # most m^min(S, C): Clopper and Pearson (1934), Biometrika 26(4), one-sided, for that many
    # draws.
    return float(LEVEL ** (1 / min(seeds, cells)))
