"""Reading speed: images per CPU-second of the dataset reader against a NumPy memory-map.

Both read the same pixels in the same run, alternating, so the ratio holds on a busy machine.

python benchmarks/read.py                        # random images, no dataset needed
python benchmarks/read.py --data runs/smoke
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from recombine.renderer.core.hdf5 import layouts
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.mapping import MappedShards

BATCH = 64


def main() -> None:
    """Time both readers in both orders and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="rendered dataset; random images without it")
    parser.add_argument("--resolution", type=int, default=128, help="of random images")
    parser.add_argument("--images", type=int, default=8192, help="to read per round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        reader, n = _reader(options.data, base, options.resolution)
        copy = _memory_map(reader, n, base / "images.npy")
        print(f"{'order':<12}{'reader':>10}{'memory-map':>12}{'ratio':>8}   images per CPU-second")
        for order in ("random", "sequential"):
            picks = _picks(order, n, options.images)
            rounds = [
                (_speed(reader, picks), _speed(copy.__getitem__, picks))
                for _ in range(options.rounds)
            ]
            ours, theirs = (statistics.median(r[k] for r in rounds) for k in (0, 1))
            ratio = statistics.median(a / b for a, b in rounds)
            print(f"{order:<12}{ours:>10,.0f}{theirs:>12,.0f}{ratio:>8.2f}")


def _reader(path: Path | None, base: Path, px: int) -> tuple[Callable[..., np.ndarray], int]:
    if path is not None:
        data = Dataset(path)
        return data.images, len(data)
    n = 2**28 // (px * px * 3)
    data = object.__new__(Dataset)  # the reading part only: no plan, no manifest
    pixels = np.random.default_rng(0).integers(0, 256, (n, px, px, 3), np.uint8)
    with h5py.File(base / "shard.h5", "w", libver="latest") as handle:
        handle.create_dataset("image", data=pixels)
    files = [{"file": "shard.h5"}]
    data.manifest = {"n_images": n, "dataset": "random/1", "shards": files}
    data._starts, data._shards = [0], MappedShards(base, data.manifest, None)
    with h5py.File(base / "shard.h5", "r") as handle:
        data._shards._known[0] = data._shards._mapped(base / "shard.h5")[0], layouts(handle)
    return data.images, n


def _memory_map(read: Callable[..., np.ndarray], n: int, file: Path) -> np.ndarray:
    first = read([0])
    copy = np.lib.format.open_memmap(file, "w+", first.dtype, (n, *first.shape[1:]))
    for start in range(0, n, BATCH):
        copy[start : start + BATCH] = read(range(start, min(n, start + BATCH)))
    copy.flush()
    return np.load(file, mmap_mode="r")


def _picks(order: str, n: int, count: int) -> list[list[int]]:
    whole = np.arange(count) % n
    if order == "random":
        whole = np.random.default_rng(1).integers(0, n, count)
    return [part.tolist() for part in np.split(whole, range(BATCH, count, BATCH))]


def _speed(read: Callable[[list[int]], np.ndarray], picks: list[list[int]]) -> float:
    begin = time.process_time()
    for batch in picks:
        read(batch)
    return sum(map(len, picks)) / (time.process_time() - begin)


if __name__ == "__main__":
    main()
