"""How often nominal 95 % intervals hold the truth, and how often tests cry wolf.

Run ``python benchmarks/coverage.py``; a few minutes. Two kinds of scores: Gaussian effects, and
right or wrong answers of a probit model up to the end of the scale. Every method that appears is
in use somewhere; only intervals that resample seeds *and* cells hold. Then the paired test, rank
sets, and what is derived from data-scaling curves.
"""

from __future__ import annotations

import argparse
import math
from functools import partial
from itertools import product

import numpy as np
from scipy import special

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.curves import area, reach
from recombine.benchmark.statistics.power import unanimous_bound
from recombine.leaderboard.board.ranks import compare_all, rank_sets

SETTINGS = {"seeds differ": (0.03, 0.02), "cells differ": (0.01, 0.10)}
PROBIT = {"seeds differ": (0.3, 0.2), "cells differ": (0.1, 0.8)}
TRUTH = 0.7
IMAGES = 25


def gaussian(rng, seeds, cells, spread):
    """Return a matrix of scores with expectation TRUTH; all seeds see the same images."""
    return (
        TRUTH
        + rng.normal(0, spread[0], (seeds, 1))
        + rng.normal(0, spread[1], (1, cells))
        + rng.normal(0, 0.02, (seeds, cells))
        + rng.normal(0, 0.2 / math.sqrt(IMAGES), (1, cells))
        + rng.normal(0, 0.4 / math.sqrt(IMAGES), (seeds, cells))
    )


def probit(rng, seeds, cells, spread, mean):
    """Return accuracies per seed and cell; images are hard or easy for all seeds alike."""
    latent = (
        mean
        + rng.normal(0, spread[0], (seeds, 1, 1))
        + rng.normal(0, spread[1], (1, cells, 1))
        + rng.normal(0, 1, (1, cells, IMAGES))
        + rng.normal(0, 1, (seeds, cells, IMAGES))
    )
    return (latent > 0).mean(axis=2)


def t_over(values):
    """Return the ordinary t interval of some means."""
    half = special.stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def one_se(scores):
    """Return mean plus or minus one standard error over seeds, ddof 0."""
    means = scores.mean(axis=1)
    half = means.std() / math.sqrt(len(means))
    return means.mean() - half, means.mean() + half


def std_over_seeds(scores):
    """Return mean plus or minus the standard deviation over seeds."""
    means = scores.mean(axis=1)
    return means.mean() - means.std(ddof=1), means.mean() + means.std(ddof=1)


METHODS = {
    "mean +- 1 SE over seeds": one_se,
    "mean +- std over seeds": std_over_seeds,
    "t over seeds": lambda x: t_over(x.mean(axis=1)),
    "t over cells": lambda x: t_over(x.mean(axis=0)),
    "crossed, plain t": lambda x: stats.crossed_mean(x, None).ci95,
    "crossed, Wilson (ours)": lambda x: stats.crossed_mean(x).ci95,
}


def covered(draws, truth):
    """Return the share of draws whose interval holds the truth, per method."""
    hits = dict.fromkeys(METHODS, 0)
    usable = [x for x in draws if stats.crossed_mean(x).ci95 is not None]
    for scores in usable:
        for name, method in METHODS.items():
            low, high = method(scores)
            hits[name] += low <= truth <= high
    return {name: count / len(usable) for name, count in hits.items()}, len(usable) / len(draws)


def false_alarms(draw_pair, repetitions):
    """Return how often two equal methods are called different, and how often +0.06 is found."""
    false = found = tested = 0
    for _ in range(repetitions):
        a, b = draw_pair()
        p_value = stats.paired_difference(a, b).p_value
        if p_value is None:
            continue
        tested += 1
        false += p_value < 0.05
        found += stats.paired_difference(a + 0.06, b).p_value < 0.05
    return false / tested, found / tested


def gaussian_pair(rng, seeds, cells):
    """Return scores of two equal methods that find the same cells hard."""
    shared = rng.normal(0, 0.1, (1, cells))
    return tuple(gaussian(rng, seeds, cells, (0.02, 0.02)) + shared for _ in range(2))


def probit_pair(rng, seeds, cells, mean):
    """Return accuracies of two equal methods that find the same cells and images hard."""
    shared = mean + rng.normal(0, 0.6, (1, cells, 1)) + rng.normal(0, 1, (1, cells, IMAGES))
    own = [
        shared
        + rng.normal(0, 0.2, (seeds, 1, 1))
        + rng.normal(0, 0.3, (1, cells, 1))
        + rng.normal(0, 1, (seeds, cells, IMAGES))
        for _ in range(2)
    ]
    return tuple((latent > 0).mean(axis=2) for latent in own)


def rank_coverage(rng, means, seeds, cells, repetitions):
    """Return how often all rank sets of a board hold the true ranks, and their mean width."""
    means = np.asarray(means)
    low, high = (means[:, None] < means).sum(1) + 1, len(means) - (means[:, None] > means).sum(1)
    good, width = 0, []
    for _ in range(repetitions):
        shared = rng.normal(0, 0.1, (1, cells))
        scores = [gaussian(rng, seeds, cells, (0.02, 0.02)) - TRUTH + m + shared for m in means]
        sets = rank_sets(compare_all(scores), [seeds] * len(means))
        good += all(s.low <= a and b <= s.high for s, a, b in zip(sets, low, high, strict=True))
        width += [s.high - s.low + 1 for s in sets]
    return good / repetitions, np.mean(width)


def curve_coverage(rng, seeds, cells, repetitions, sizes=(100, 300, 1000, 3000)):
    """Return the coverage of the area under a data-scaling curve and of images-to-reach."""
    heights = TRUTH + 0.15 * np.log(np.array(sizes) / 600)
    inside_area = inside_reach = 0
    for _ in range(repetitions):
        shift = gaussian(rng, seeds, cells, (0.02, 0.05)) - TRUTH
        scores = heights[:, None, None] + shift + rng.normal(0, 0.03, (len(sizes), seeds, cells))
        low, high = stats.crossed_mean(area(scores, sizes)).ci95
        truth = area(heights[:, None, None], sizes).mean()
        inside_area += low <= truth <= high
        found = reach(scores, sizes, TRUTH)
        inside_reach += (found.low or 1e9) <= 600 <= (found.high or 1e9)
    return inside_area / repetitions, inside_reach / repetitions


def main(repetitions):
    """Print every table."""
    rng = np.random.default_rng(0)
    print(f"{repetitions} repetitions each; {IMAGES} images per cell")
    intervals(rng, repetitions)
    tests(rng, repetitions)
    ranks_and_curves(rng, repetitions)


def intervals(rng, repetitions):
    """Print the coverage of intervals of one score."""
    for cells, (setting, spread), seeds in product((40, 8), SETTINGS.items(), (2, 3, 5, 10)):
        draws = [gaussian(rng, seeds, cells, spread) for _ in range(repetitions)]
        report(f"gaussian, {cells} cells, {seeds} seeds, {setting}", draws, TRUTH)
    for mean, (setting, spread), seeds, cells in product(
        (0.0, 1.5, 3.0, 4.0), PROBIT.items(), (3, 5), (8, 40)
    ):
        truth = float(special.ndtr(mean / math.sqrt(2 + spread[0] ** 2 + spread[1] ** 2)))
        draws = [probit(rng, seeds, cells, spread, mean) for _ in range(repetitions)]
        report(f"accuracy {truth:.3f}, {cells} cells, {seeds} seeds, {setting}", draws, truth)


def tests(rng, repetitions):
    """Print level and power of the paired test."""
    for seeds, cells in ((3, 40), (5, 40), (10, 40), (3, 8), (5, 8)):
        design = f"{seeds} seeds, {cells} cells"
        false, found = false_alarms(partial(gaussian_pair, rng, seeds, cells), repetitions)
        print(f"paired test, gaussian, {design}: level {false:.3f}, power at 0.06 {found:.2f}")
        for mean in (0.0, 3.0):
            false, _ = false_alarms(partial(probit_pair, rng, seeds, cells, mean), repetitions)
            print(f"paired test, probit mean {mean}, {design}: level {false:.3f}", flush=True)


def ranks_and_curves(rng, repetitions):
    """Print how often rank sets hold all true ranks, and the coverage of curves' summaries."""
    boards = {
        "12 methods a point apart": 0.6 + 0.01 * np.arange(12),
        "6 equal methods": np.full(6, 0.7),
        "mixed": np.array([0.3, 0.5, 0.5, 0.52, 0.8]),
    }
    for (name, means), (seeds, cells) in product(boards.items(), ((3, 8), (5, 40))):
        share, width = rank_coverage(rng, means, seeds, cells, repetitions)
        print(
            f"rank sets, {name}, {seeds} seeds, {cells} cells: all true ranks inside "
            f"{share:.3f}, mean width {width:.1f} of {len(means)}",
            flush=True,
        )
    for seeds, cells in ((3, 8), (3, 40), (5, 40)):
        inside = curve_coverage(rng, seeds, cells, max(1, repetitions // 4))
        print(
            f"data curve, {seeds} seeds, {cells} cells: area {inside[0]:.3f}, "
            f"images to reach {inside[1]:.3f}",
            flush=True,
        )


def report(label, draws, truth):
    """Print one line per setting."""
    shares, usable = covered(draws, truth)
    cells = "  ".join(f"{name}: {share:.3f}" for name, share in shares.items())
    note = ""
    if usable < 1:
        bound = unanimous_bound(*draws[0].shape)
        note = f"  (interval in {usable:.2f} of draws; all right leaves {bound:.2f} possible)"
    print(f"{label:52s} {cells}{note}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1500)
    main(parser.parse_args().repetitions)
