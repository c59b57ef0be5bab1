"""How long a baseline has to train: joint accuracy on ID validation images against the steps.

Run ``python benchmarks/steps.py DATA NAME... [--factors 1 2 4]``. A schedule is multiplied by each
factor, seed 100; the linear readout is fitted on 1,000 ID training images. Out-of-combination
images are never opened. Rule of docs/study.md: the smallest factor after which doubling adds less
than one point.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from recombine.baselines.registry import lengthened, load_baseline
from recombine.benchmark.metrics.base import joint_correct
from recombine.benchmark.metrics.readout import Representation, fit_readout
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.benchmark.serving.data import FIELDS_OF_TRACK, TrainData, to_images
from recombine.renderer.store.dataset import Dataset

SEED, LABELS, BATCH = 100, 1000, 128


class Silent:
    """A run log that keeps the last value of every curve."""

    def __init__(self):
        """Begin empty."""
        self.last = {}

    def count_generated(self, n_images):
        """Count nothing."""

    def config_tried(self, config, id_val_score):
        """Keep nothing."""

    def scalar(self, name, value, step):  # noqa: ARG002
        """Keep the last value."""
        self.last[name] = round(value, 4)


def slots_of(method, images, steps):
    """Return the slots of some images after search steps."""
    found = []
    for part in torch.split(images, BATCH):
        if hasattr(method, "encode"):
            with torch.inference_mode():
                found.append(method.encode(part).slots)
            continue
        state = method.init(part)
        for _ in range(steps):
            state = method.step(part, state)
        found.append(method.read(state).slots)
    return torch.cat(found).numpy()


def accuracy(method, dataset, rung, steps):
    """Return the joint accuracy on ID validation images, in per cent."""
    rows = dataset.indices("id_train", rung=rung)
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:LABELS])
    looks = dataset.indices("id_val", rung=rung)
    fitted, seen = (
        Representation(
            slots_of(method, to_images(dataset.images(i)), steps),
            {k: dataset.latents[k][i] for k in dataset.schema.keys},
        )
        for i in (rows, looks)
    )
    readout = fit_readout(fitted, seen, dataset.schema, only=dataset.schema.recombined)
    predicted, keys = readout.predict(seen.slots), dataset.schema.recombined
    right = joint_correct(*(np.stack([f[k] for k in keys], 1) for f in (predicted, seen.factors)))
    return 100 * float(np.mean(right))


def main():
    """Print a line per row and factor."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rung", type=int, default=0)
    parser.add_argument("--steps", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset(given.data)
    for name in given.names:
        for factor in given.factors:
            learner = lengthened(load_baseline(name), factor)
            fields = FIELDS_OF_TRACK[learner.card.supervision]
            train = TrainData(dataset, "id_train", fields=fields, rung=given.rung)
            val = TrainData(dataset, "id_val", fields=fields, rung=given.rung)
            log, begin = Silent(), time.process_time()
            method = learner.fit(train, val, seed=SEED, budget=TrainBudget(), log=log)
            trained = time.process_time() - begin
            method.setup(train.spec, torch.device("cpu"))
            found = {s: round(accuracy(method, dataset, given.rung, s), 1) for s in given.steps}
            line = {"row": name, "factor": factor, "ID-val %": found, "CPU-s": round(trained, 1)}
            print(json.dumps({**line, "last losses": log.last}), flush=True)


if __name__ == "__main__":
    main()
