"""The same dataset root, however it is rendered.

From 1, 2 and 4 workers, from two tasks merged, from a cluster that loses a worker, and from
renders that are killed with -9 again and again.

python benchmarks/scale.py                       # a few minutes on two cores
python benchmarks/scale.py --kills 20 --scale 0.1
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recombine.renderer.store.dataset import Dataset


@dataclass(frozen=True)
class Recipe:
    """What every run renders."""

    preset: str
    scale: float
    resolution: int
    shard_size: int

    def command(self, out: Path, workers: int, *more: str) -> list[str]:
        """Return the command line of a render into a folder."""
        words = [sys.executable, "-P", "-m", "recombine.cli.main", "render", self.preset]
        options = {
            "--scale": self.scale,
            "--resolution": self.resolution,
            "--shard-size": self.shard_size,
            "--workers": workers,
            "--out": out,
        }
        return words + [str(w) for pair in options.items() for w in pair] + list(more)


def main() -> int:
    """Render in every way and compare the roots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="smoke")
    parser.add_argument("--scale", type=float, default=0.05)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--shard-size", type=int, default=8)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    recipe = Recipe(options.preset, options.scale, options.resolution, options.shard_size)
    roots: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        for workers in (1, 2, 4):
            out = base / f"workers-{workers}"
            run(recipe.command(out, workers))
            say(roots, f"{workers} workers", out)
        parts = [base / "part-1", base / "part-2"]
        for k, part in enumerate(parts, start=1):
            run(recipe.command(part, 2, "--shard", f"{k}/2"))
        merge = [sys.executable, "-P", "-m", "recombine.cli.main", "dataset", "merge"]
        merge += map(str, parts)
        run([*merge, "--out", str(base / "merged")])
        say(roots, "two tasks apart, merged", base / "merged")
        cluster(recipe, base / "cluster")
        say(roots, "dask, one of two workers killed", base / "cluster")
        for n, out in enumerate(killed(recipe, base, options.kills)):
            say(roots, f"killed with -9, dataset {n + 1}", out)
    same = len(set(roots.values())) == 1
    print("all roots are equal" if same else "THE ROOTS DIFFER")
    return 0 if same else 1


def say(roots: dict[str, str], label: str, out: Path) -> None:
    """Print the root of a finished dataset and keep it."""
    data = Dataset(out)
    data.check()
    roots[label] = data.root
    print(f"{label:<36}{len(data):>6} images  root {data.root}", flush=True)


def run(words: list[str]) -> None:
    """Run a command quietly; its failure is ours."""
    subprocess.run(words, check=True, capture_output=True)


def cluster(recipe: Recipe, out: Path) -> None:
    """Render on a scheduler with two workers, and kill one once a shard is there."""
    with dask(out.with_name("scheduler.json")) as (address, workers):
        render = subprocess.Popen(
            recipe.command(out, 1, "--cluster", address),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not list(out.glob("shards/shard-*.h5")) and render.poll() is None:
            time.sleep(0.1)
        workers[0].kill()
        if render.wait():
            raise SystemExit("the render on the cluster failed")


@contextlib.contextmanager
def dask(file: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Yield the address of a scheduler and its two worker processes."""
    program = [sys.executable, "-P", "-m", "dask"]
    where = ["--scheduler-file", str(file), "--no-dashboard"]
    start = functools.partial(
        subprocess.Popen[bytes], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    running = [start([*program, "scheduler", "--port", "0", *where])]
    try:
        while not file.exists():
            time.sleep(0.1)
        worker = [*program, "worker", "--nthreads", "1", "--no-nanny", *where]
        running += [start(worker) for _ in range(2)]
        yield json.loads(file.read_text())["address"], running[1:]
    finally:
        for process in running:
            process.kill()
            process.wait()


def killed(recipe: Recipe, base: Path, kills: int) -> Iterator[Path]:
    """Yield datasets whose renders were killed at random moments, `kills` times in all."""
    draw = random.Random(0)
    begin = time.monotonic()
    run(recipe.command(base / "timed", 2))
    whole = time.monotonic() - begin
    done = number = 0
    while done < kills:
        out = base / f"killed-{number}"
        there: list[int] = []
        while True:
            begin = time.monotonic()
            process = subprocess.Popen(
                recipe.command(out, 2),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(draw.uniform(0, 0.7 * whole) if done < kills else None)
                if code:
                    raise SystemExit(f"a render that was not killed ended with {code}")
                whole = time.monotonic() - begin if not there else whole
                break
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done += 1
            there.append(len(list(out.glob("shards/shard-*.h5"))))
        print(f"  {done} of {kills} kills, with so many shards done: {there}", flush=True)
        number += 1
        yield out


if __name__ == "__main__":
    sys.exit(main())
