"""Training speed of every baseline: images per second, and the share of time waiting for data.

python benchmarks/train.py                    # random images, no dataset needed
python benchmarks/train.py --data runs/smoke --size cpu
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from recombine.baselines import BASELINES, load_baseline
from recombine.benchmark.data import Batch, TrainData
from recombine.benchmark.protocol import SplitSpec, TrainBudget
from recombine.renderer.errors import RecombineError
from recombine.renderer.reader import Dataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        return self.whole

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
    waited: float = field(default=0.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __len__(self) -> int:
        return len(self.inner)

    def batches(self, batch_size: int, *, seed: int, drop_last: bool = False) -> Iterator[Batch]:
        """Yield the inner batches and add up the time until each arrives."""
        inner = self.inner.batches(batch_size, seed=seed, drop_last=drop_last)
        while True:
            begin = time.perf_counter()
            batch = next(inner, None)
            self.waited += time.perf_counter() - begin
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


def main() -> None:
    """Fit every baseline once and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="rendered dataset; random images without it")
    parser.add_argument("--size", default="cpu", choices=["tiny", "cpu", "gpu"])
    parser.add_argument("--names", nargs="*", default=list(BASELINES), help="baselines to train")
    parser.add_argument("--resolution", type=int, default=64, help="of random images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{'learner':<27}{'real':>9}{'generated':>11}{'seconds':>9}{'images/s':>10}{'waiting':>9}"
    )
    for name in options.names:
        data, val = (Timed(d) for d in _data(options.data, options.resolution))
        log, begin = Count(), time.perf_counter()
        try:
            load_baseline(name, options.size).fit(data, val, seed=0, budget=TrainBudget(), log=log)
        except RecombineError as error:  # weights that are not here, say
            print(f"{name:<27}{error}")
            continue
        seconds = time.perf_counter() - begin
        real = data.images_served
        print(
            f"{name:<27}{real:>9,}{log.generated:>11,}{seconds:>9.1f}"
            f"{(real + log.generated) / seconds:>10.0f}{data.waited / seconds:>9.1%}"
        )


def _data(path: Path | None, px: int) -> tuple[Any, Any]:
    if path is None:
        return RandomData(1024, px), RandomData(128, px)
    dataset = Dataset(path)
    fields = ("factors", "masks")
    return TrainData(dataset, "id_train", fields=fields), TrainData(
        dataset, "id_val", fields=fields
    )


if __name__ == "__main__":
    main()
