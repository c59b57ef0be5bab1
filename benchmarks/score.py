"""Speed of scoring, and what the harness adds to a bare forward pass.

python benchmarks/score.py             # a minute or two on two free cores
python benchmarks/score.py --images 500 --seeds 2 --px 32

Seconds are CPU seconds of one thread, so that other programs on the machine do not count. Nothing
is rendered: images are random numbers, since speed does not depend on them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from recombine.benchmark.inference import twin
from recombine.benchmark.inference.query import make_queries, run_inference
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring import aggregate
from recombine.benchmark.scoring.score import score_predictions, score_submission
from recombine.benchmark.serving.data import to_images
from recombine.benchmark.statistics import intervals as stats
from recombine.renderer.scenes.factors import Factor, Schema, Slot

RESAMPLES = 10_000
VALUES = tuple(f"v{i}" for i in range(8))
SCHEMA = Schema(
    (
        Slot("object", (
            Factor("shape", "categorical", values=VALUES),
            Factor("x", "continuous", low=-0.5, high=0.5, unit="m"),
            Factor("hue", "periodic"),
        )),
        Slot("background", (Factor("environment", "categorical", values=VALUES),)),
    ),
    ("object.shape", "background.environment"),
)  # fmt: skip


class Memory:
    """A dataset in memory: 8 x 8 cells, half of them held out."""

    preset, version, root, schema = "memory", "1.0", "ab" * 32, SCHEMA

    def __init__(self, test: int, px: int, train: int = 1000, val: int = 512) -> None:
        rng = np.random.default_rng(0)
        self.resolution = px
        cells = np.array([(i, j) for i in range(8) for j in range(8)])
        seen = (cells.sum(axis=1) % 8) < 4
        parts = {"id_train": (train, seen), "id_val": (val, seen)}
        parts |= {"id_test": (test // 2, seen), "ooc_test": (test - test // 2, ~seen)}
        self.cells = np.concatenate([cells[m][np.arange(n) % m.sum()] for n, m in parts.values()])
        self.splits = np.repeat(list(parts), [n for n, _ in parts.values()])
        self.blocks = np.arange(len(self.cells)) // 64
        self.latents = {
            "object.shape": self.cells[:, 0],
            "object.x": rng.uniform(-0.5, 0.5, len(self.cells)),
            "object.hue": rng.uniform(0, 2 * np.pi, len(self.cells)),
            "background.environment": self.cells[:, 1],
        }
        self._images = rng.integers(0, 256, (len(self.cells), px, px, 3), dtype=np.uint8)
        self.certificate, self.manifest = {"checks": []}, {"provenance": {}}

    def __len__(self) -> int:
        return len(self.cells)

    def indices(self, split: str, *, rung: int = 0) -> np.ndarray:
        """Return the images of a split."""
        return np.flatnonzero(self.splits == split) if rung == 0 else self.indices(split)

    def images(self, indices) -> np.ndarray:
        """Return pixels."""
        return self._images[indices]

    def masks(self, indices) -> np.ndarray:
        """Return empty masks."""
        return np.zeros(self._images[indices].shape[:3], np.uint8)

    def check(self) -> None:
        """Pass."""


class Codes:
    """An encoder whose slots know the factors up to noise; it finds them by the first pixels."""

    slot_dim = 32
    card = MethodCard(id="codes", name="Codes", data="open")

    def __init__(self, dataset: Memory, noise: float = 0.8) -> None:
        self.keys = {image[0, :3].tobytes(): i for i, image in enumerate(dataset._images)}
        shape, environment = (np.eye(8)[dataset.cells[:, i]] for i in (0, 1))
        hue, x = dataset.latents["object.hue"], dataset.latents["object.x"]
        rest = np.stack([np.cos(hue), np.sin(hue), x], axis=1)
        clean = np.zeros((len(dataset), 2, 32))
        clean[:, 0, :11], clean[:, 1, :8] = np.hstack([shape, rest]), environment
        drawn = np.random.default_rng(1).normal(size=clean.shape)
        self.slots = torch.from_numpy((clean + noise * drawn).astype(np.float32))

    def setup(self, spec, device) -> None:
        """Nothing to do."""

    def encode(self, images) -> SlotOutput:
        """Look the slots up."""
        pixels = (images[:, :, 0, :3] * 255).round().to(torch.uint8).permute(0, 2, 1).contiguous()
        # Costs are measured on changed copies of the images, which are nobody's: any slots will do.
        return SlotOutput(self.slots[[self.keys.get(one.numpy().tobytes(), 0) for one in pixels]])


class Block(nn.Module):
    """A residual block of ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs),
            nn.ReLU(), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.skip: nn.Module = nn.Identity()
        if stride > 1:
            skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.skip = nn.Sequential(skip, nn.BatchNorm2d(outputs))

    def forward(self, x):
        """Add body and skip."""
        return torch.relu(self.body(x) + self.skip(x))


class ResNet18:
    """An encoder with the layers of He et al. (2016), table 1, and a linear slot head."""

    slot_dim = 64
    card = MethodCard(id="resnet18", name="ResNet-18", data="open")

    def __init__(self) -> None:
        torch.manual_seed(0)
        widths = ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
        blocks = [b for i, o, s in widths for b in (Block(i, o, s), Block(o, o, 1))]
        stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        pool = [nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.net = nn.Sequential(*stem, *pool, nn.Linear(512, 128), nn.Unflatten(1, (2, 64))).eval()

    def setup(self, spec, device) -> None:
        """Nothing to do."""

    def encode(self, images) -> SlotOutput:
        """Run the net."""
        return SlotOutput(self.net(images))


@dataclass(frozen=True)
class Plain:
    """Given factor predictions of some seeds and their splits."""

    dataset: Memory
    seeds: int

    def predicted(self, split: aggregate.Split) -> list[dict[str, np.ndarray]]:
        """Return the truth with a third of the answers wrong."""
        out = []
        for seed in range(self.seeds):
            rng, one = np.random.default_rng(seed), {}
            for key in SCHEMA.keys:
                truth = self.dataset.latents[key][split.indices]
                wrong = rng.random(len(truth)) < 0.3
                one[key] = np.where(wrong, truth[rng.permutation(len(truth))], truth)
            out.append(one)
        return out


def resampled(share: np.ndarray) -> np.ndarray:
    """Return the mean of every crossed resample of seeds and cells, the pigeonhole bootstrap."""
    rng = np.random.default_rng(0)
    rows, columns = (
        rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float) / n for n in share.shape
    )
    return np.einsum("bs,sc,bc->b", rows, share, columns, optimize=True)


def statistics(dataset: Memory, seeds: int) -> None:
    """Time scores and intervals of given predictions, with and without explicit resamples."""
    splits = [aggregate.group_by_cell(dataset, name) for name in ("id_test", "ooc_test")]
    given = [Plain(dataset, seeds).predicted(split) for split in splits]
    begin = time.process_time()
    scores = [aggregate.score_split(dataset, s, g) for s, g in zip(splits, given, strict=True)]
    aggregate.gap_part(*scores)
    closed = time.process_time() - begin
    draws = [resampled(aggregate.shares(one)) for one in scores]
    whole = time.process_time() - begin
    found = stats.crossed_mean(aggregate.shares(scores[1]), None)
    ratio = float(draws[1].std()) / (found.standard_error or 1.0)
    images = sum(len(split.indices) for split in splits)
    print(
        f"scores and intervals, {seeds} seeds x {images} predictions: {closed:.2f} s; with "
        f"{RESAMPLES:,} crossed resamples: {whole:.2f} s (resampled standard error / closed form "
        f"{ratio:.2f})",
        flush=True,
    )


def stored(dataset: Memory, seeds: int) -> None:
    """Time everything from stored slots to the sealed result, readouts included."""
    with tempfile.TemporaryDirectory() as folder:
        score_submission(
            Codes(dataset), dataset, seeds=range(seeds), out_dir=Path(folder), options=RunOptions()
        )
        paths = sorted(Path(folder).glob("*.safetensors"))
        begin = time.process_time()
        (result,) = score_predictions(paths, dataset)
        spent = time.process_time() - begin
    print(
        f"from stored slots to a sealed result, readouts fitted anew: {spent:.2f} s for {seeds} "
        f"seeds, {spent / seeds:.2f} s per seed (OOC {result.scores.ooc_test.estimate:.2f})",
        flush=True,
    )


def overhead(px: int, images: int, repeats: int, batch: int = 64) -> None:
    """Time the blind harness against a bare loop over the same images; medians of pairs."""
    dataset = Memory(images, px, train=0, val=0)
    method, indices = ResNet18(), np.arange(images)

    def bare() -> None:
        with torch.inference_mode():
            for start in range(0, images, batch):
                method.encode(to_images(dataset.images(indices[start : start + batch])))

    def blind() -> None:
        run_inference(
            method,
            dataset,
            indices,
            steps=(0,),
            batch_size=batch,
            device=torch.device("cpu"),
            min_slots=2,
        )

    def alone() -> None:
        with patch.object(twin, "_obstacle", lambda _: "switched off"):
            blind()

    bare()
    seconds: dict[Callable[[], None], list[float]] = {bare: [], alone: [], blind: []}
    for _ in range(repeats):  # interleaved, since a shared machine changes its speed
        for function, found in seconds.items():
            found.append(spent(function))
    for function, words in ((alone, "without"), (blind, "with")):
        pairs = zip(seconds[function], seconds[bare], strict=True)
        total = float(np.median([one / other for one, other in pairs]))
        each = total / share(images, batch, all_asked=function is blind)
        print(
            f"harness over a bare forward pass, ResNet-18 at {px} px, {words} the twin: "
            f"{100 * (each - 1):+.1f} % CPU time per image asked; with images asked again on "
            f"purpose {100 * (total - 1):+.1f} % for {images} images (measured)"
        )
        for many in (5000, 20_000):
            asked = share(many, batch, all_asked=function is blind)
            print(f"  and {100 * (each * asked - 1):+.1f} % for {many:,} images (computed)")


def spent(function: Callable[[], None]) -> float:
    """Return CPU seconds of this process and of the twins that it made."""
    begin = os.times()
    function()
    end = os.times()
    return sum(end[:4]) - sum(begin[:4])


def share(images: int, batch: int, *, all_asked: bool) -> float:
    """Return how many images are asked for every image that there is."""
    asked = [one for one in make_queries(images, batch) if all_asked or one.purpose != "twin"]
    return sum(len(one.rows) for one in asked) / images


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--px", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Memory(given.images, 8)
    statistics(dataset, given.seeds)
    stored(dataset, given.seeds)
    overhead(given.px, min(given.images, 512), given.repeats)


if __name__ == "__main__":
    main()
