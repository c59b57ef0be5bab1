"""Where wrong answers go: to a combination that training showed, or to another one.

For every run and search step, the shares of out-of-combination images that are read right, read as
a combination that training showed (what a shortcut does), and read as another wrong one. Training
shows a part of the combinations; a guess that knows nothing hits them in that proportion. A
diagnosis of predictions that are there already: nothing is trained or searched.

    python benchmarks/errors.py --data runs/object-background runs/results/runs/autoencoder/cpu-nall
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.readout import fit_readout
from recombine.benchmark.predictions.alignment import align_predictions
from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.running.harness import readout_indices
from recombine.benchmark.scoring.score import stored_options
from recombine.renderer.store.dataset import Dataset

if TYPE_CHECKING:
    from recombine.benchmark.predictions.file import Predictions
    from recombine.renderer.core.types import Array


def main() -> None:
    """Print one line per folder of runs and search step, the mean over its seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders with seed-*.safetensors")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="*", help="else the first and the last")
    args = parser.parse_args()
    dataset = Dataset(args.data)
    print(f"{'runs':<40}{'step':>6}{'right':>8}{'seen':>8}{'other':>8}{'seeds':>7}")
    for folder in args.runs:
        runs = [read_predictions(path) for path in sorted(folder.glob("seed-*.safetensors"))]
        for step in args.steps or sorted({runs[0].facts.steps[0], runs[0].facts.steps[-1]}):
            found = np.mean([shares(run, dataset, step) for run in runs], axis=0)
            print(f"{'/'.join(folder.parts[-2:]):<40}{step:>6}", end="")
            print("".join(f"{share:>8.3f}" for share in found) + f"{len(runs):>7}", flush=True)


def shares(run: Predictions, dataset: Dataset, step: int) -> tuple[float, float, float]:
    """Return the shares of right answers, seen combinations and other ones, out of combination."""
    options, keys = stored_options(run.facts.options), dataset.schema.recombined
    aligned, tests = align_predictions(run, dataset, step), dataset.indices("ooc_test")
    fitted, val = readout_indices(dataset, options), dataset.indices("id_val")
    known = aligned.known(fitted), aligned.known(val)
    readout = fit_readout(*known, dataset.schema, only=keys, match=aligned.match)
    answers = readout.predict(aligned.at(tests))
    answered = np.stack([np.asarray(answers[key]) for key in keys], axis=1)
    right = (answered == _combinations(dataset, tests)).all(axis=1)
    trained = dataset.indices("id_train", rung=options.rung)
    shown = {tuple(row) for row in np.unique(_combinations(dataset, trained), axis=0)}
    seen = np.array([tuple(row) in shown for row in answered]) & ~right
    return right.mean(), seen.mean(), (~right & ~seen).mean()


def _combinations(dataset: Dataset, images: Array) -> Array:
    return np.stack([dataset.latents[key][images] for key in dataset.schema.recombined], axis=1)


if __name__ == "__main__":
    main()
