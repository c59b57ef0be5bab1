"""How often nominal 95 % intervals hold the truth, and how often tests cry wolf.

Run ``python benchmarks/coverage.py``; about a minute. Two kinds of scores: Gaussian effects, and
right or wrong answers of a probit model near the ends of the scale. Every method that appears is
in use somewhere; only intervals that resample seeds *and* cells hold.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import special

from recombine.benchmark import stats

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
    "crossed (this project)": lambda x: stats.crossed_mean(x, None).ci95,
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


def false_alarms(rng, seeds, cells, repetitions):
    """Return how often two equal methods are called different, and how often +0.06 is found."""
    false = found = 0
    for _ in range(repetitions):
        shared = rng.normal(0, 0.1, (1, cells))
        a, b = (gaussian(rng, seeds, cells, (0.02, 0.02)) + shared for _ in range(2))
        false += stats.paired_difference(a, b).p_value < 0.05
        found += stats.paired_difference(a + 0.06, b).p_value < 0.05
    return false / repetitions, found / repetitions


def main(repetitions):
    """Print every table."""
    rng = np.random.default_rng(0)
    print(f"{repetitions} repetitions each; {IMAGES} images per cell")
    for cells in (40, 8):
        for setting, spread in SETTINGS.items():
            for seeds in (2, 3, 5, 10):
                draws = [gaussian(rng, seeds, cells, spread) for _ in range(repetitions)]
                report(f"gaussian, {cells} cells, {seeds} seeds, {setting}", draws, TRUTH)
    for mean in (0.0, 1.5, 3.0):
        for setting, spread in PROBIT.items():
            truth = float(special.ndtr(mean / math.sqrt(2 + spread[0] ** 2 + spread[1] ** 2)))
            for seeds, cells in ((3, 8), (3, 40), (5, 40)):
                draws = [probit(rng, seeds, cells, spread, mean) for _ in range(repetitions)]
                label = f"accuracy {truth:.2f}, {cells} cells, {seeds} seeds, {setting}"
                report(label, draws, truth)
    for seeds, cells in ((3, 40), (5, 40), (3, 8), (5, 8)):
        false, found = false_alarms(rng, seeds, cells, repetitions)
        print(f"paired test, {seeds} seeds, {cells} cells: level {false:.3f}, power {found:.2f}")


def report(label, draws, truth):
    """Print one line per setting."""
    shares, usable = covered(draws, truth)
    cells = "  ".join(f"{name}: {share:.3f}" for name, share in shares.items())
    note = "" if usable == 1 else f"  (interval in {usable:.2f} of draws)"
    print(f"{label:52s} {cells}{note}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1500)
    main(parser.parse_args().repetitions)
