"""Why a decoder's inversion succeeds or fails: its pictures at the true slots, and its searches.

Prints, in and out of combination: the squared pixel error at the true slots; how often the true
value of the first object's categorical factor draws the best picture of all values, everything
else true; the error of the encoder's continuous factors in standard deviations; and of the wrong
answers of a search, how many have a lower pixel error than the truth. A diagnosis: it looks at
out-of-combination images, so nothing may be chosen from it. About two minutes per row and seed.

    python benchmarks/decoders.py --data runs/object-background autoencoder leak
    python benchmarks/decoders.py --data runs/object-background leak --without light
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recombine.baselines.generative.slot_autoencoder import SlotModel
from recombine.baselines.nn.compositing import squared_error
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.search import Inversion, SearchSettings
from recombine.benchmark.inference.runlog import FileRunLog
from recombine.benchmark.serving.data import FIELDS_OF_TRACK, TrainData, to_images
from recombine.renderer.store.dataset import Dataset

WITHOUT = {"masks": {"mask_weight": 0.0}, "light": {"light": False}}
SEARCHES = (SearchSettings(0.8, 0.12, 0.5, 30), SearchSettings(0.4, 0.12, 0.2, 100))


def main() -> None:
    """Train every row on the dataset and print its lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("rows", nargs="+", help="baselines that invert a decoder of given slots")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", default="cpu")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images", type=int, default=344, help="per split")
    parser.add_argument("--without", choices=sorted(WITHOUT), help="train without")
    parser.add_argument("--log", type=Path, default=Path("runs/decoders.jsonl"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset(args.data)
    data = TrainData(dataset, "id_train", fields=FIELDS_OF_TRACK["supervised"])
    for name in args.rows:
        learner = replace(load_baseline(name, args.size), **WITHOUT.get(args.without, {}))
        for seed in range(args.seeds):
            torch.manual_seed(seed)
            with FileRunLog(args.log) as log:
                model = learner.stage(data, seed=seed, share=1.0, log=log).eval()
            for split in ("id_test", "ooc_test"):
                images, factors = some(dataset, data, split, args.images)
                print(f"{name} seed {seed} {split}: {words(model, images, factors)}", flush=True)


def some(
    dataset: Dataset, data: TrainData, split: str, count: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return evenly spaced images of a split, and their factors."""
    every = dataset.indices(split)
    rows = every[np.linspace(0, len(every) - 1, min(count, len(every))).astype(int)]
    factors = {k: torch.as_tensor(np.asarray(dataset.latents[k])[rows]) for k in data.spec.factors}
    return to_images(dataset.images(rows)), factors


def words(model: SlotModel, images: Tensor, factors: dict[str, Tensor]) -> str:
    """Return the figures of one split as a line."""
    recognition = model.recognition
    layout, truth = recognition.layout, recognition.targets(factors)
    slot = layout.posed[0]
    column = next(c for c in layout.slots[slot] if c.kind == "categorical")
    with torch.no_grad():
        errors = []
        for value in range(column.width):
            other = truth.clone()
            other[:, slot, column.span] = 0
            other[:, slot, column.start + value] = 1
            errors.append(squared_error(model.decoder(other).image, images))
        guess = recognition.guess(images)
    table, right = torch.stack(errors, 1), truth[:, slot, column.span].argmax(1)
    at_truth = table.gather(1, right[:, None])[:, 0]
    off = (guess - truth)[:, slot].square().mean(0).sqrt()
    poses = {c.factor: f"{off[c.start]:.2f}" for c in layout.slots[slot] if c.kind == "float"}
    found = [searched(model, images, truth, at_truth, one) for one in SEARCHES]
    return (
        f"error {1e4 * at_truth.mean():.1f}e-4, true {column.factor} best "
        f"{(table.argmin(1) == right).float().mean():.2f}, encoder off by {poses}; "
        + "; ".join(found)
    )


def searched(
    model: SlotModel, images: Tensor, truth: Tensor, at_truth: Tensor, settings: SearchSettings
) -> str:
    """Return what a search reaches, and how often a wrong answer beats the truth in pixels."""
    search = Inversion(model.recognition, model.decoder, settings, "bf16")
    state = search.init(images)
    for _ in range(settings.steps):
        state = search.step(images, state)
    good = torch.ones(len(truth), dtype=torch.bool)
    for k, slot in enumerate(search.layout.slots):
        for c in (c for c in slot if c.kind == "categorical"):
            good &= state.best[:, k, c.span].argmax(1) == truth[:, k, c.span].argmax(1)
    lower = (state.error < at_truth)[~good].float()
    share = f"{lower.mean():.2f}" if len(lower) else "none"
    return (
        f"{settings.steps} steps: right {good.float().mean():.3f}, wrong with lower error {share}"
    )


if __name__ == "__main__":
    main()
