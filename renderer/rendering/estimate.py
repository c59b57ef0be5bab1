"""`render --estimate`: what a dataset will cost on this machine, from a few real renders."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import h5py
import numpy as np

from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import Plan
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import Preset
from recombine.renderer.rendering.pool import UNITS_PER_WORKER, WorkerPool
from recombine.renderer.rendering.render import require_blender, start_worker
from recombine.renderer.scenes.scene import LABELS, Rendered, RenderSettings, Scene
from recombine.renderer.store.shards import SHARD_SIZE, write_column

SAMPLES = 8
SMALL_COLUMNS = 600  # bytes per image of hashes, seeds, indices and latents
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Range:
    """A mean with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def times(self, factor: float) -> Range:
        """Return the range in another unit."""
        return Range(self.mean * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Estimate:
    """What rendering will take on this machine."""

    images: int  # in all; worker processes; image edge in pixels; how many renders this rests on
    workers: int  # in all; worker processes; image edge in pixels; how many renders this rests on
    # in all; worker processes; image edge in pixels; how many renders this rests on
    resolution: int
    samples: int  # in all; worker processes; image edge in pixels; how many renders this rests on
    cpu_seconds: Range  # per image, in a worker that has met its environment and shapes before
    start_seconds: float  # CPU, per worker: loading Blender and meeting every value once
    hours: Range  # of wall time, if each worker has a core to itself
    gigabytes: Range  # on disk

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Trial:
    """Two renders of one cell: the first meets its values, the second is the usual case."""

    first: float  # CPU seconds
    second: float  # CPU seconds
    size: int  # bytes of the second on disk


def estimate(
    preset: Preset,
    *,
    workers: int,
    samples: int = SAMPLES,
    progress: Progress = lambda _done, _total: None,
) -> Estimate:
    """Render a few images of a preset and predict the cost of all."""
    require_blender()
    plan = make_plan(preset)
    pairs = _pairs(plan, samples)
    trials = []
    progress(0, len(pairs))
    with WorkerPool(1, start_worker, units_per_worker=len(pairs) + 1) as pool:
        loading = pool.submit(time.process_time).result()
        for first, second in pairs:
            scenes = plan.scene(first), plan.scene(second)
            trials.append(pool.submit(_try, *scenes, plan.settings).result())
            progress(len(trials), len(pairs))
    return predict(plan, trials, workers, loading)


def predict(plan: Plan, trials: Sequence[Trial], workers: int, loading: float) -> Estimate:
    """Return the cost of a whole plan from trials."""
    per_image = _interval([t.second for t in trials])
    size = _interval([t.size for t in trials])
    # A worker meets each environment, shape and material once; the longest list decides.
    factors = [plan.schema.factor(key) for key in plan.schema.keys]
    values = max((f.size for f in factors if f.kind == "categorical"), default=1)
    meeting = max(0.0, float(np.mean([t.first - t.second for t in trials])))
    start = loading + values * meeting
    lives = max(workers, len(plan) / (SHARD_SIZE * UNITS_PER_WORKER))
    cpu = [len(plan) * s + lives * start for s in asdict(per_image).values()]
    return Estimate(
        images=len(plan),
        workers=workers,
        resolution=plan.settings.resolution,
        samples=2 * len(trials),
        cpu_seconds=per_image,
        start_seconds=start,
        hours=Range(*cpu).times(1 / 3600 / workers),
        gigabytes=size.times(len(plan) / 1e9),
    )


def _interval(values: Sequence[float]) -> Range:
    from scipy import stats

    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return Range(mean, max(mean - half, min(values)), mean + half)


def _pairs(plan: Plan, n: int) -> list[tuple[int, int]]:
    """Return pairs of images of equal categories, the cells spread over the plan."""
    rng = keyed_rng(str(plan.config["name"]), str(plan.config["version"]), "estimate", 0)
    keys = [k for k in plan.schema.keys if plan.schema.factor(k).kind == "categorical"]
    codes = np.stack([plan.latents[k] for k in keys], axis=1)
    pairs = []
    for first in rng.permutation(len(plan))[:n].tolist():
        twins = np.flatnonzero((codes == codes[first]).all(axis=1))
        pairs.append((first, int(rng.choice(twins))))
    return pairs


def _try(first: Scene, second: Scene, settings: RenderSettings) -> Trial:
    cold, _ = _timed(first, settings)
    warm, drawn = _timed(second, settings)
    return Trial(cold, warm, stored_size(drawn))


def _timed(scene: Scene, settings: RenderSettings) -> tuple[float, Rendered]:
    from recombine.renderer.blender import worker

    begin = time.process_time()
    drawn = worker.render_one(scene, settings)
    return time.process_time() - begin, drawn


def stored_size(drawn: Rendered) -> int:
    """Return the bytes that one image and its labels take in a shard."""
    total = SMALL_COLUMNS
    with h5py.File("size", "w", driver="core", backing_store=False, libver="latest") as handle:
        for name in ("image", *LABELS):
            values: Array = getattr(drawn, name)
            column = write_column(handle, name, values[None])
            handle.flush()  # compression happens here
            total += column.id.get_storage_size()
    return total
