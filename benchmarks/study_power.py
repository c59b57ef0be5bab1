"""The smallest difference that the reference study can see, before anything of it is run.

Run ``python benchmarks/study_power.py``; about five minutes. Two methods answer the cells and
matched blocks that a preset really renders (`coverage.answers`). Cells, blocks and runs have
effects whose standard deviations on the logit scale are those of the committed 1.x results (audit
of their per-cell counts: cells 1.6 probit = 2.6 logit, .4 to .8 of it by shape; runs .3 probit =
.5 logit); a share of the cells' effects is common to both methods. The test is the project's own
paired difference.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from coverage import Design, Effects, answers, cell_effects, crossed, design_of

from recombine.benchmark.statistics import intervals as stats

DESIGNS = {  # preset, values, test blocks at the study's scale
    "object-background, 128 cells x 10": ("object-background", None, 10),
    "object-texture, 128 cells x 3": ("object-texture", None, 3),
}
CELL, RUN, BLOCK = 2.6, 0.5, 0.6
SETTINGS = {
    "cells alike (.8 common), .4 by shape": (0.8, 0.4),
    "cells alike (.8 common), .8 by shape": (0.8, 0.8),
    "cells half alike (.5 common), .4 by shape": (0.5, 0.4),
    "cells half alike (.5 common), .8 by shape": (0.5, 0.8),
}
DIFFERENCES = (0.05, 0.10, 0.15, 0.20, 0.30)


def found(rng, design, common, share, seeds, difference):
    """Return the p-value and half-width of one simulated comparison around one half."""
    both = Effects(CELL * math.sqrt(common), share, BLOCK * math.sqrt(common), 0.0)
    own = Effects(CELL * math.sqrt(1 - common), share, BLOCK * math.sqrt(1 - common), RUN)
    shared = cell_effects(rng, design, both)
    spread = math.hypot(both.cell, both.block)
    tables = [
        crossed(design, answers(rng, design, mean, own, seeds, shared, spread))
        for mean in (0.5 + difference / 2, 0.5 - difference / 2)
    ]
    result = stats.paired_difference(*tables)
    half = math.nan if result.ci95 is None else (result.ci95[1] - result.ci95[0]) / 2
    return result.p_value, half


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    rng = np.random.default_rng(0)
    heads = " | ".join(f"{100 * d:.0f} points" for d in DIFFERENCES)
    print(f"| design | effects | seeds | half-width, points | {heads} |")
    print("|---" * (4 + len(DIFFERENCES)) + "|")
    for label, key in DESIGNS.items():
        preset, values, blocks = key
        design = Design(design_of(preset, values).cells, blocks)
        for words, (common, share) in SETTINGS.items():
            for seeds in (3, 5, 10):
                noticed, halves = [], []
                for difference in DIFFERENCES:
                    pairs = [
                        found(rng, design, common, share, seeds, difference)
                        for _ in range(repetitions)
                    ]
                    noticed.append(np.mean([p is not None and p < 0.05 for p, _ in pairs]))
                    halves += [half for _, half in pairs]
                cells = " | ".join(f"{one:.2f}" for one in noticed)
                print(
                    f"| {label} | {words} | {seeds} | {100 * np.nanmean(halves):.1f} | {cells} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
