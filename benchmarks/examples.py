"""Whether the examples in one file reach the accuracy of their rows.

    python benchmarks/examples.py runs/smoke
    python benchmarks/examples.py runs/smoke --names supervised --seeds 5

Example and row are trained with the same seeds, asked and read out alike. Printed is the joint slot
accuracy on in-combination (ID) test images, averaged over seeds, and the difference over its
standard error, which the spread between seeds gives: beyond two it is more than noise. --ooc prints
the accuracy out of combination as well; leave it off where that must not be looked at yet. Finished
runs are kept in --out and found again.
"""

from __future__ import annotations

import argparse
from math import sqrt
from pathlib import Path
from statistics import mean, variance

import recombine as rc
from recombine.baselines.registry import BASELINES

EXAMPLES = Path(__file__).parents[1] / "examples"
ROWS = {
    "supervised": "supervised.py:Supervised",
    "autoencoder-replay": "autoencoder_replay.py:AutoencoderReplay",
    "typed-vae-masks": "typed_vae.py:TypedVae",
    "typed-vae-masks-replay": "typed_vae.py:TypedVaeReplay",
}


def compared(example: tuple[float, ...], row: tuple[float, ...]) -> str:
    """Return both means, their difference and how many standard errors that is, in words."""
    difference = mean(example) - mean(row)
    error = sqrt((variance(example) + variance(row)) / len(row))
    ratio = f"{difference / error:+.1f} standard errors" if error else "no spread between seeds"
    return (
        f"example {mean(example):6.1%}  row {mean(row):6.1%}  "
        f"difference {100 * difference:+5.1f} points, {ratio}"
    )


def main() -> None:
    """Train, score and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--names", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30, help="search steps")
    parser.add_argument("--ooc", action="store_true", help="print OOC accuracy as well")
    parser.add_argument("--out", type=Path, default=Path("runs/examples"))
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds: expected at least 2, for the spread between them")
    how = {"seeds": args.seeds, "out": args.out, "options": rc.RunOptions(steps=(0, args.steps))}
    for name in args.names:
        if name not in BASELINES:
            print(f"{name}: not a row of the baselines")
            continue
        examples = rc.score(str(EXAMPLES / ROWS[name]), args.data, trust_local=True, **how)
        rows = rc.score(name, args.data, **how)
        for example, row in zip(examples, rows, strict=True):
            for split in ("id_test", "ooc_test") if args.ooc else ("id_test",):
                seeds = (getattr(r.scores, split).per_seed for r in (example, row))
                print(f"{name:24} {row.method.inference:14} {split:9} {compared(*seeds)}")


if __name__ == "__main__":
    main()
