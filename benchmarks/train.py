"""Training speed of baselines: images per second, time waiting for data, peak memory.

python benchmarks/train.py                    # random images, no dataset needed
python benchmarks/train.py --data runs/smoke --size cpu --images 4000 --names supervised vae

Seconds are those of optimiser steps and of waiting for their batches; fits in closed form and the
choice of search settings are left out. "per CPU-s", "waiting" (share of the CPU seconds) and the
ratios to the first row hold on a busy machine too. Pixels are read once before the clock starts,
as training reads them once.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from recombine.baselines.registry import BASELINES, load_baseline
from recombine.baselines.training import loop
from recombine.benchmark.inference.cost import peak_rss, reset_peak_rss
from recombine.benchmark.protocol.contract import SplitSpec, TrainBudget
from recombine.benchmark.serving.data import Batch, TrainData, batch_hash
from recombine.renderer.core.errors import RecombineError
from recombine.renderer.store.dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from recombine.benchmark.serving.data import Field

FACTORS = {
    "object.shape": "categorical[4]",
    "object.x": "float[m]",
    "object.y": "float[m]",
    "object.yaw": "angle[rad]",
    "object.scale": "float[m]",
    "object.hue": "angle[rad]",
    "background.environment": "categorical[4]",
}


class RandomData:
    """Random pixels and labels in the form of `TrainData`; speed does not depend on content."""

    def __init__(self, n: int, px: int) -> None:
        self.spec = SplitSpec((px, px), 2, FACTORS)
        self.images_served = 0
        draw = torch.Generator().manual_seed(0)
        self.whole = Batch(
            torch.rand(n, 3, px, px, generator=draw),
            {
                key: torch.randint(4, (n,), generator=draw)
                if kind.startswith("categorical")
                else torch.rand(n, generator=draw) * 2 * math.pi
                for key, kind in FACTORS.items()
            },
            (torch.rand(n, px, px, generator=draw) > 0.9).long(),
        )

    def __len__(self) -> int:
        return len(self.whole.images)

    def arrays(self) -> Batch:
        """Return everything."""
        self.images_served += len(self)
        return self.whole

    def fingerprint(self) -> str:
        """Return a hash of everything."""
        return batch_hash(self.whole)

    def count_again(self, n_images: int) -> None:
        """Count images that are trained on again."""
        self.images_served += n_images

    def batches(self, batch_size: int, *, seed: int, drop_last: bool = False) -> Iterator[Batch]:
        """Yield one epoch."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        for rows in order.split(batch_size):
            if drop_last and len(rows) < min(batch_size, len(order)):
                return
            self.images_served += len(rows)
            masks = self.whole.masks
            yield Batch(
                self.whole.images[rows],
                {k: v[rows] for k, v in self.whole.factors.items()},
                None if masks is None else masks[rows],
            )


@dataclass
class Timed:
    """Data that measure how long the learner waits for them."""

    inner: Any
    wall: float = field(default=0.0)
    cpu: float = field(default=0.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __len__(self) -> int:
        return len(self.inner)

    def batches(self, batch_size: int, *, seed: int, drop_last: bool = False) -> Iterator[Batch]:
        """Yield the inner batches and add up the time until each arrives."""
        inner = self.inner.batches(batch_size, seed=seed, drop_last=drop_last)
        while True:
            begin = time.perf_counter(), time.process_time()
            batch = next(inner, None)
            if drop_last:  # as for steps; fits in closed form take all images at once
                self.wall += time.perf_counter() - begin[0]
                self.cpu += time.process_time() - begin[1]
            if batch is None:
                return
            yield batch


@dataclass
class Count:
    """A run log that only counts."""

    generated: int = field(default=0)

    def count_generated(self, n_images: int) -> None:
        """Add generated images."""
        self.generated += n_images

    def config_tried(self, config: Mapping[str, Any], id_val_score: float) -> None:
        """Ignore."""

    def scalar(self, name: str, value: float, step: int) -> None:
        """Ignore."""


@dataclass
class Steps:
    """Measures the optimiser steps of every training stage while it is entered."""

    plain: Callable[..., Any] = loop._step
    wall: float = field(default=0.0)
    cpu: float = field(default=0.0)
    count: int = field(default=0)
    images: int = field(default=0)

    def __call__(self, *arguments: Any) -> Any:
        """Make a step."""
        begin = time.perf_counter(), time.process_time()
        value = self.plain(*arguments)
        self.wall += time.perf_counter() - begin[0]
        self.cpu += time.process_time() - begin[1]
        self.count += 1
        self.images += len(arguments[3].images)
        return value

    def __enter__(self) -> Steps:
        loop._step = self
        return self

    def __exit__(self, *_: object) -> None:
        loop._step = self.plain


@dataclass(frozen=True)
class Row:
    """What one fit took."""

    steps: int
    images: int
    wall: float
    cpu: float
    waiting: float
    rss: int


def measure(name: str, options: argparse.Namespace) -> Row:
    """Fit one baseline once."""
    data, val = (Timed(d) for d in _data(options.data, options.resolution))
    for part in (data, val):
        part.arrays()
    log, budget = Count(), TrainBudget(max_images_seen=options.images)
    learner = load_baseline(name, options.size)
    reset_peak_rss()
    with Steps() as steps:
        learner.fit(data, val, seed=0, budget=budget, log=log)
    images = steps.images + log.generated
    wall, cpu = steps.wall + data.wall, steps.cpu + data.cpu
    return Row(steps.count, images, wall, cpu, data.cpu / max(cpu, 1e-9), peak_rss() or 0)


def main() -> None:
    """Fit every baseline once and print one line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="rendered dataset; random images without it")
    parser.add_argument("--size", default="cpu", choices=["tiny", "cpu", "gpu"])
    parser.add_argument("--names", nargs="*", default=list(BASELINES), help="baselines to train")
    parser.add_argument("--resolution", type=int, default=64, help="of random images")
    parser.add_argument("--images", type=int, help="most real images that a row sees; else all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    heads = ("steps", "images", "images/s", "per CPU-s", "ratio", "waiting", "peak MB", "ratio")
    print(f"{'learner':<27}" + "".join(f"{head:>10}" for head in heads))
    first: Row | None = None
    for name in options.names:
        try:
            row = measure(name, options)
        except RecombineError as error:  # weights that are not here, say
            print(f"{name:<27}{error}")
            continue
        if not row.steps:
            print(f"{name:<27}{'trains in closed form or not at all':>45}")
            continue
        first = first or row
        speed, base = row.images / row.cpu, first.images / first.cpu
        print(
            f"{name:<27}{row.steps:>10,}{row.images:>10,}{row.images / row.wall:>10.0f}"
            f"{speed:>10.0f}{speed / base:>10.2f}{row.waiting:>10.1%}{row.rss / 1e6:>10.0f}"
            f"{row.rss / first.rss:>10.2f}",
            flush=True,
        )


def _data(path: Path | None, px: int) -> tuple[Any, Any]:
    if path is None:
        return RandomData(1024, px), RandomData(128, px)
    dataset = Dataset(path)
    fields: tuple[Field, ...] = ("factors", "masks")
    return TrainData(dataset, "id_train", fields=fields), TrainData(
        dataset, "id_val", fields=fields
    )


if __name__ == "__main__":
    main()
