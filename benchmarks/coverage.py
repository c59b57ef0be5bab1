"""How often nominal 95 % intervals hold the truth, and how often tests cry wolf.

Run ``python benchmarks/coverage.py``; about ten minutes, ``--repetitions 100`` for a look. Answers
are drawn for the designs that presets render: every training run answers every out-of-combination
cell in every matched block, right or wrong by a logistic model whose effects have known standard
deviations (SD, on the logit scale) for runs, shapes, cells and blocks. The truth is the mean over
everything that could have been drawn.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from scipy import special

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.curves import area, reach
from recombine.benchmark.statistics.design import Crossed
from recombine.benchmark.statistics.multiple import Field
from recombine.renderer.presets.table import load_preset

SEED_BY_CELL = 0.4
"""SD of what one run does better or worse on one cell."""
DESIGNS = {
    "16 cells": ("object-background", 8),
    "64 cells": ("object-light", None),
    "128 cells": ("object-background", None),
    "256 cells": ("object-object", None),
}


@dataclass(frozen=True)
class Design:
    """Cells of a preset, as codes, and its number of matched test blocks."""

    cells: np.ndarray
    blocks: int


@cache
def design_of(preset, values=None):
    """Return the out-of-combination design of a preset."""
    found = load_preset(preset, values=values)
    cells = found.split.ooc_cells(found.schema.cell_shape)
    return Design(np.array(sorted(cells)), found.sizes.test)


@dataclass(frozen=True)
class Effects:
    """Standard deviations on the logit scale."""

    cell: float = 1.0
    share: float = 0.0  # of the cells' variance that shapes explain
    block: float = 0.0
    run: float = 0.25

    @property
    def total(self):
        """Return the SD of everything together."""
        return math.sqrt(self.cell**2 + self.block**2 + self.run**2 + SEED_BY_CELL**2)


@cache
def intercept(accuracy, spread):
    """Return the mean logit at which the mean accuracy over all effects is as wanted."""
    z = special.ndtri((np.arange(4000) + 0.5) / 4000) * spread
    low, high = -60.0, 60.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if special.expit(middle + z).mean() < accuracy else (low, middle)
    return low


def cell_effects(rng, design, effects):
    """Return effects of shapes, cells and blocks, ``(1, C, B)``."""
    shapes = design.cells[:, 0]
    shape = rng.normal(0, effects.cell * math.sqrt(effects.share), shapes.max() + 1)[shapes]
    cell = rng.normal(0, effects.cell * math.sqrt(1 - effects.share), len(shapes))
    block = rng.normal(0, effects.block, design.blocks)
    return (shape + cell)[None, :, None] + block


def answers(rng, design, accuracy, effects, seeds, shared=0.0, spread=0.0):
    """Return right and wrong answers ``(S, C, B)``; ``shared`` effects have SD ``spread``."""
    count = len(design.cells)
    own = cell_effects(rng, design, effects) + rng.normal(0, effects.run, (seeds, 1, 1))
    own = own + rng.normal(0, SEED_BY_CELL, (seeds, count, 1)) + shared
    mean = intercept(accuracy, math.hypot(effects.total, spread))
    return rng.random(own.shape) < special.expit(mean + own)


def crossed(design, right):
    """Return answers as the statistics read them."""
    return Crossed(right.mean(axis=2), design.cells, right.mean(axis=1))


# Intervals.


def t_over(values):
    """Return the ordinary t interval of some means."""
    half = special.stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def bootstrap_over_cells(right, rng=np.random.default_rng(1)):  # noqa: B008
    """Return the percentile interval of means over resampled cells."""
    means = right.mean(axis=(0, 2))
    drawn = means[rng.integers(0, len(means), (400, len(means)))].mean(axis=1)
    return tuple(np.quantile(drawn, (0.025, 0.975)))


def mixed_model(right):
    """Return the z interval of a normal mixed model of runs and cells, crossed."""
    # Balanced tables: REML equals the mean squares of the two-way analysis of variance.
    share = right.mean(axis=2)
    seeds, cells = share.shape
    rows, columns = share.mean(axis=1), share.mean(axis=0)
    rest = share - rows[:, None] - columns + share.mean()
    residual = np.sum(rest**2) / ((seeds - 1) * (cells - 1)) / (seeds * cells)
    variance = rows.var(ddof=1) / seeds + columns.var(ddof=1) / cells - residual
    half = 1.96 * math.sqrt(max(variance, residual))
    return share.mean() - half, share.mean() + half


def measure_1(right):
    """Return the interval of the measure 1.x: runs x cells bootstrap variance, Wilson form."""
    share = right.mean(axis=2)
    (seeds, cells), mean = share.shape, share.mean()
    rows, columns = share.mean(axis=1) - mean, share.mean(axis=0) - mean
    rest = share - mean - rows[:, None] - columns
    parts = {
        seeds - 1: np.sum(rows**2) / (seeds * (seeds - 1)),
        cells - 1: np.sum(columns**2) / (cells * (cells - 1)),
        (seeds - 1) * (cells - 1): np.sum(rest**2) / (seeds * cells * (seeds - 1) * (cells - 1)),
    }
    variance = sum(parts.values())
    df = variance**2 / sum(part**2 / n for n, part in parts.items())
    weight = special.stdtrit(df, 0.975) ** 2 * variance / (mean * (1 - mean))  # t^2 / n
    half = math.sqrt(weight * (mean * (1 - mean) + weight / 4))
    return tuple((mean + weight / 2 + side * half) / (1 + weight) for side in (-1, 1))


METHODS = {
    "ours": None,
    "measure 1.x": measure_1,
    "t over seeds": lambda right: t_over(right.mean(axis=(1, 2))),
    "bootstrap over cells": bootstrap_over_cells,
    "mixed model": mixed_model,
}


def coverage(rng, design, accuracy, effects, seeds, repetitions):
    """Return how often intervals hold the truth, and their mean width, per method."""
    hits, widths, usable = dict.fromkeys(METHODS, 0), dict.fromkeys(METHODS, 0.0), 0
    for _ in range(repetitions):
        right = answers(rng, design, accuracy, effects, seeds)
        ours = stats.crossed_mean(crossed(design, right)).ci95
        if ours is None:
            continue
        usable += 1
        for name, method in METHODS.items():
            low, high = ours if method is None else method(right) or (0.0, 0.0)
            hits[name] += low <= accuracy <= high
            widths[name] += high - low
    return {name: (hits[name] / usable, widths[name] / usable) for name in METHODS}


SETTINGS = {
    "cells differ (SD 1)": Effects(),
    "cells and blocks (1, .4), half by shape": Effects(share=0.5, block=0.4),
    "blocks differ much (1, 1), half by shape": Effects(share=0.5, block=1.0),
    "cells differ much (2.5)": Effects(cell=2.5),
    "cells differ much, .9 by shape": Effects(cell=2.5, share=0.9),
    "all of it (2.5, .9 by shape, block 1)": Effects(cell=2.5, share=0.9, block=1.0),
    "runs differ much (run 1)": Effects(share=0.5, block=0.4, run=1.0),
}
MIDDLE, ENDS = (0.1, 0.3, 0.5, 0.7, 0.9), (0.02, 0.98)


def interval_table(rng, repetitions, seeds=5, designs=DESIGNS):
    """Print coverage and width of every setting, and a summary per design."""
    print(f"\n## Intervals, {seeds} seeds: coverage/width\n")
    print("| design | effects | accuracy | " + " | ".join(METHODS) + " |")
    print("|---" * (3 + len(METHODS)) + "|")
    summary = {}
    for (label, key), (words, effects) in product(designs.items(), SETTINGS.items()):
        design = design_of(*key)
        for accuracy in (*MIDDLE, *ENDS):
            found = coverage(rng, design, accuracy, effects, seeds, repetitions)
            cells = " | ".join(f"{share:.3f}/{width:.3f}" for share, width in found.values())
            print(f"| {label} | {words} | {accuracy} | {cells} |", flush=True)
            zone = "middle" if accuracy in MIDDLE else "ends"
            for name, (share, _) in found.items():
                summary.setdefault((label, zone, name), []).append(share)
    print("\n| design | accuracy | interval | least | mean | most | below .92 |")
    print("|---|---|---|---|---|---|---|")
    for (label, zone, name), shares in summary.items():
        low = sum(share < 0.92 for share in shares)
        print(
            f"| {label} | {zone} | {name} | {min(shares):.3f} | {np.mean(shares):.3f} | "
            f"{max(shares):.3f} | {low} of {len(shares)} |"
        )


def failing_runs(rng, repetitions):
    """Print what happens when a run fails with probability .1: .1 in place of .9."""
    design, effects = design_of("object-background"), Effects()
    print("\n## A training run fails with probability .1 (.1 in place of .9): truth .82\n")
    for seeds in (3, 5, 10):
        held = 0
        for _ in range(repetitions):
            shared = np.where(rng.random((seeds, 1, 1)) < 0.1, -5.0, 0.0)
            right = answers(rng, design, 0.9, effects, seeds, shared=shared)
            found = stats.crossed_mean(crossed(design, right)).ci95
            truth = 0.9 * 0.9 + 0.1 * failed_accuracy(effects)
            held += found is not None and found[0] <= truth <= found[1]
        print(f"{seeds} seeds: the interval holds the truth in {held / repetitions:.2f}")


def failed_accuracy(effects):
    """Return the accuracy of a failed run."""
    z = special.ndtri((np.arange(4000) + 0.5) / 4000) * effects.total
    return float(special.expit(intercept(0.9, effects.total) - 5.0 + z).mean())


# Tests between two methods of equal mean accuracy.

PAIRS = {
    "alike": (Effects(1, 0.5, 0.4), Effects(0.6, 0.3, 0.2, 0.3), Effects(0.6, 0.3, 0.2, 0.3)),
    "own blocks (SD .5)": (Effects(1, 0.5, 0.4), Effects(0.6, 0.3, 0.5), Effects(0.6, 0.3, 0.5)),
    "own blocks (SD 1) and shapes": (
        Effects(0.7, 0.5, 0.4),
        Effects(1.2, 0.6, 1.0),
        Effects(1.2, 0.6, 1.0),
    ),
    "one noisy, one stable run": (
        Effects(1.4, 0.5, 0.2),
        Effects(0.3, 0.5, 0.1, 1.3),
        Effects(0.3, 0.5, 0.1, 0.1),
    ),
    "the same, cells alike": (
        Effects(0.6, 0.3, 0.1),
        Effects(0.15, 0.5, 0.1, 1.3),
        Effects(0.15, 0.5, 0.1, 0.1),
    ),
}


def pair_of_methods(rng, design, accuracy, kind, seeds):
    """Return the answers of two methods of one mean accuracy that share cells and blocks."""
    common, *each = kind
    shared = cell_effects(rng, design, common)
    spread = math.hypot(common.cell, common.block)
    return [
        answers(rng, design, accuracy, own, n, shared, spread)
        for own, n in zip(each, seeds, strict=True)
    ]


def measure_1_p(first, second):
    """Return the p-value of the measure 1.x, which knew runs and cells only."""
    return stats.paired_difference(first.mean(axis=2), second.mean(axis=2), None).p_value


def false_alarms(rng, design, accuracy, kind, seeds, repetitions):
    """Return how often equal methods are told apart (ours, 1.x), and how often we decline."""
    ours = before = declined = 0
    for _ in range(repetitions):
        first, second = pair_of_methods(rng, design, accuracy, kind, seeds)
        found = stats.paired_difference(crossed(design, first), crossed(design, second))
        declined += found.declined
        ours += found.p_value is not None and found.p_value < 0.05
        p_value = measure_1_p(first, second)
        before += p_value is not None and p_value < 0.05
    return ours / repetitions, before / repetitions, declined / repetitions


def test_table(rng, repetitions):
    """Print the level of the paired test."""
    print("\n## Level of the paired test at 5 % (equal methods called different)\n")
    print("| design | methods | seeds | accuracy | ours | measure 1.x | declined |")
    print("|---|---|---|---|---|---|---|")
    for label, key in (("16 cells", DESIGNS["16 cells"]), ("128 cells", DESIGNS["128 cells"])):
        design = design_of(*key)
        for (words, kind), seeds in product(PAIRS.items(), ((5, 5), (3, 3), (3, 10))):
            for accuracy in (0.02, 0.1, 0.5, 0.9, 0.98):
                level, before, declined = false_alarms(
                    rng, design, accuracy, kind, seeds, repetitions
                )
                print(
                    f"| {label} | {words} | {seeds[0]}, {seeds[1]} | {accuracy} | {level:.3f} | "
                    f"{before:.3f} | {declined:.2f} |",
                    flush=True,
                )


def power_table(rng, repetitions):
    """Print how often true differences are found between methods that are alike otherwise."""
    print("\n## How often a true difference at .5 is found\n")
    print("| design | seeds | 5 points | 10 points | 20 points |\n|---|---|---|---|---|")
    common, own, _ = PAIRS["alike"]
    for (label, key), seeds in product(DESIGNS.items(), (3, 5, 10)):
        design, found = design_of(*key), []
        for difference in (0.05, 0.1, 0.2):
            noticed = 0
            for _ in range(repetitions):
                shared = cell_effects(rng, design, common)
                spread = math.hypot(common.cell, common.block)
                tables = [
                    crossed(design, answers(rng, design, mean, own, seeds, shared, spread))
                    for mean in (0.5, 0.5 + difference)
                ]
                p_value = stats.paired_difference(*tables).p_value
                noticed += p_value is not None and p_value < 0.05
            found.append(f"{noticed / repetitions:.2f}")
        print(f"| {label} | {seeds} | " + " | ".join(found) + " |", flush=True)


# Statements about a board, and curves.


@dataclass(frozen=True)
class Boards:
    """Boards of one kind: true means, the first of which is the reference's, and effects."""

    means: tuple[float, ...]
    common: Effects  # cells and blocks that are hard for all
    own: tuple[Effects, ...]  # of every method, over again


METHODS_OF_A_BOARD = 12
LOOK = 1024
"""Draws of every limit, a quarter of a board's: errors of many limits average out."""
NOISY = Effects(0.3, 0.5, 0.1, 1.3), Effects(0.3, 0.5, 0.1, 0.1)
BOARDS = {
    "equal at .5": Boards(
        (0.5,) * METHODS_OF_A_BOARD, Effects(1, 0.5, 0.4), (Effects(0.6, 0.3, 0.3, 0.3),)
    ),
    "equal at .1": Boards(
        (0.1,) * METHODS_OF_A_BOARD, Effects(1, 0.5, 0.4), (Effects(0.6, 0.3, 0.3, 0.3),)
    ),
    "equal at .9, runs of half of them differ much": Boards(
        (0.9,) * METHODS_OF_A_BOARD, Effects(1.2, 0.5, 0.2), NOISY
    ),
    "equal at .5, runs of half of them differ much": Boards(
        (0.5,) * METHODS_OF_A_BOARD, Effects(1.2, 0.5, 0.2), NOISY
    ),
    "equal at .5, own blocks and shapes": Boards(
        (0.5,) * METHODS_OF_A_BOARD, Effects(0.7, 0.5, 0.4), (Effects(1.2, 0.6, 1.0),)
    ),
    "equal at .5, cells differ much, .9 by shape": Boards(
        (0.5,) * METHODS_OF_A_BOARD, Effects(2.0, 0.9, 0.4), (Effects(1.5, 0.9, 0.3, 0.3),)
    ),
    "unlike (.3 to .7, three at chance)": Boards(
        (0.3,) * 3 + (0.5,) * 3 + (0.65,) * 2 + (0.7,) + (1 / 64,) * 3,
        Effects(1, 0.5, 0.4),
        (Effects(0.6, 0.3, 0.3, 0.3), Effects(0.6, 0.3, 0.3, 0.8)),
    ),
}


def tables_of(rng, design, boards, seeds, more=()):
    """Return the scores of a board's methods, and of ``more`` with other means."""
    shared = cell_effects(rng, design, boards.common)
    spread = math.hypot(boards.common.cell, boards.common.block)
    return [
        crossed(
            design,
            answers(rng, design, mean, boards.own[i % len(boards.own)], seeds, shared, spread),
        )
        for i, mean in enumerate((*boards.means, *more))
    ]


SETTINGS_OF_A_BOARD = tuple(product(("16 cells", "128 cells"), (3, 5)))


def board_table(rng, repetitions, names=tuple(BOARDS)):
    """Print how often a board's statements are wrong anywhere; a quarter of each setting."""
    said = ", ".join(f"{key}, {seeds} seeds" for key, seeds in SETTINGS_OF_A_BOARD)
    print(f"\n## A board's statements, {METHODS_OF_A_BOARD} methods: wrong anywhere at 5 %\n")
    print(f"(All settings; in brackets: {said})\n")
    print("| board | a best method left out | wrong about a reference |\n|---|---|---|")
    for words in names:
        found = np.array([
            [one_board(rng, BOARDS[words], key, seeds) for _ in range(repetitions // 4)]
            for key, seeds in SETTINGS_OF_A_BOARD
        ])  # fmt: skip
        cells = [
            f"{rates.mean():.3f} ({', '.join(f'{rate:.3f}' for rate in rates)})"
            for rates in found.mean(axis=1).T
        ]
        print(f"| {words} | {'; '.join(cells[:2])} | {'; '.join(cells[2:])} |", flush=True)


def one_board(rng, boards, key, seeds):
    """Return which statements of one board are wrong.

    Of equal methods two are followed as the best and as the reference: where runs of half of the
    methods differ much, they do of the first and not of the second.
    """
    truth = np.array(boards.means)
    top = np.resize(np.flatnonzero(truth == truth.max()), 2)
    field = Field(tables_of(rng, design_of(*DESIGNS[key]), boards, seeds), LOOK)
    left_out = [field.beaten(int(one)) for one in top]
    return (*left_out, *(wrong_about(field, truth, one) for one in (0, 1)))


def wrong_about(field, truth, one):
    """Return whether any verdict about methods and one of them is wrong."""
    side = np.sign(field.against(one).difference)
    return bool(np.any(field.apart(one) & (side != np.sign(truth - truth[one]))))


def flood_table(rng, repetitions):
    """Print what entries at chance, of as many submitters, do to the statements about others."""
    print("\n## Entries at chance added, 5 seeds: what is said about the 12 that were there\n")
    print("| cells | added | may be the best | told from the reference | said otherwise |")
    print("|---|---|---|---|---|")
    first = Boards(
        (0.1,) + (0.1,) * 2 + (0.3,) * 3 + (0.5,) * 3 + (0.65,) * 3,
        Effects(1, 0.5, 0.4),
        (Effects(0.6, 0.3, 0.3, 0.3),),
    )
    for key in ("16 cells", "128 cells"):
        design, said = design_of(*DESIGNS[key]), {}
        for _ in range(repetitions):
            tables = tables_of(rng, design, first, 5, (1 / 64,) * 1000)
            for more in (0, 30, 100, 300, 1000):
                field = Field(tables[: 12 + more], LOOK)
                best = np.array([not field.beaten(i) for i in range(12)])
                said.setdefault(more, []).append((best, field.apart(0)[:12]))
        for more, all_of_them in said.items():
            best, apart = (np.array(one) for one in zip(*all_of_them, strict=True))
            before = [np.array(one) for one in zip(*said[0], strict=True)]
            other = np.mean((best != before[0]) | (apart != before[1])) * 12
            print(
                f"| {key.split()[0]} | {more} | {best.sum(1).mean():.2f} | "
                f"{apart.sum(1).mean():.2f} | {other:.2f} |",
                flush=True,
            )


def curve_table(rng, repetitions, sizes=(100, 300, 1000, 3000)):
    """Print the coverage of the area under a data-scaling curve and of images-to-reach."""
    print("\n## Data-scaling curves: coverage of the area and of images to reach .5\n")
    heights = np.array([0.3, 0.43, 0.57, 0.7])
    truth = float(np.exp(np.interp(0.5, heights, np.log(sizes))))
    mean = stats_area(heights, sizes)
    for key, seeds in product(("16 cells", "128 cells"), (3, 5)):
        design, inside = design_of(*DESIGNS[key]), [0, 0]
        for _ in range(repetitions):
            common = Effects(1, 0.5, 0.4)
            shared, spread = cell_effects(rng, design, common), math.hypot(1, 0.4)
            tables = [
                crossed(design, answers(rng, design, h, Effects(0.3), seeds, shared, spread))
                for h in heights
            ]
            low, high = stats.crossed_mean(area(tables, sizes)).ci95
            inside[0] += low <= mean <= high
            found = reach(tables, sizes, 0.5)
            inside[1] += (found.low or 1e9) <= truth <= (found.high or 1e9)
        print(f"{key}, {seeds} seeds: {inside[0] / repetitions:.3f}, {inside[1] / repetitions:.3f}")


def stats_area(heights, sizes):
    """Return the true area under a curve."""
    return float(area([Crossed(np.full((1, 1), h)) for h in heights], sizes).cells.mean())


TABLES = {
    "intervals": lambda rng, n: interval_table(rng, n),
    "few-seeds": lambda rng, n: interval_table(rng, n, 3, {"16 cells": DESIGNS["16 cells"]}),
    "many-seeds": lambda rng, n: interval_table(rng, n, 10, {"64 cells": DESIGNS["64 cells"]}),
    "failing": failing_runs,
    "tests": test_table,
    "power": lambda rng, n: power_table(rng, max(1, n // 2)),
    "boards": board_table,
    "flood": lambda rng, n: flood_table(rng, max(1, n // 20)),
    "curves": lambda rng, n: curve_table(rng, max(1, n // 4)),
}


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=list(TABLES))
    options = parser.parse_args()
    print(f"{options.repetitions} repetitions; nominal 95 %")
    for name in options.tables:
        TABLES[name](np.random.default_rng(0), options.repetitions)


if __name__ == "__main__":
    main()
