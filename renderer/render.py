"""`render`: plan, draw every shard, seal, verify, preview. Each step resumes where it stopped."""

from __future__ import annotations

import functools
import importlib.util
import platform
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from recombine.renderer.atomic import clear_leftovers, require_space
from recombine.renderer.errors import ResourceError
from recombine.renderer.plan import Plan
from recombine.renderer.planning import make_plan
from recombine.renderer.pool import Unit, run_units
from recombine.renderer.pool_workers import MAX_RSS, local_pool
from recombine.renderer.presets import Preset
from recombine.renderer.provenance import provenance
from recombine.renderer.render_folder import (
    Existing,
    finish,
    locked,
    open_units,
    prepare,
    require_passed,
    units_of,
    unseal,
)
from recombine.renderer.store import SHARD_SIZE, load_plan, save_shard
from recombine.renderer.verify import Certificate, verify

BYTES_PER_PIXEL = 9  # colour 3, normals 3, depth 2, mask 1; an upper bound, labels compress
SPARE_BYTES = 20_000_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Engine:
    """Where units are drawn.

    Attributes
    ----------
    make_executor : callable
        Returns a fresh `concurrent.futures.Executor`.
    task : callable
        Picklable; draws one unit of a dataset folder in a worker of the executor.
    """

    make_executor: Callable[[], Executor]
    task: Callable[[Path, Unit], None]


def local_engine(workers: int, max_rss: int = MAX_RSS) -> Engine:
    """Return the engine of this machine: one single-threaded Blender per worker process.

    Parameters
    ----------
    workers : int
        Processes; as many as there are cores.
    max_rss : int
        Bytes of resident memory above which a worker is replaced after its unit.

    Raises
    ------
    ResourceError
        When Python is not 3.11 or a wheel of Blender is missing.
    """
    require_blender()
    return Engine(local_pool(workers, start_worker, max_rss=max_rss), render_unit)


def render_dataset(
    preset: Preset,
    folder: Path,
    *,
    workers: int = 2,
    existing: Existing = "skip",
    shard_size: int = SHARD_SIZE,
    progress: Progress = lambda _done, _total: None,
    engine: Engine | None = None,
) -> Certificate:
    """Render a preset into a folder, or finish what an earlier call began.

    Parameters
    ----------
    preset : Preset
        What to render.
    folder : Path
        Dataset folder.
    workers : int
        Blender processes of the default engine.
    existing : {"skip", "verify", "overwrite", "error"}
        What to do with shards already there: keep the intact ones, only verify, start over,
        or refuse.
    shard_size : int
        Images per shard; a folder that is resumed keeps the size it began with.
    progress : callable
        Told (images done, images in all) at the start and after every shard.
    engine : Engine, optional
        Where to draw; worker processes of this machine by default.

    Returns
    -------
    Certificate
        The sealed outcome of every check.

    Raises
    ------
    UsageError
        When the folder is in use or ``existing`` forbids what is there.
    ResourceError
        When Blender, disk space or a worker fails.
    IntegrityError
        When the folder holds another dataset, or the finished data fail a check.
    """
    if existing == "verify":
        return require_passed(verify(folder), folder)
    engine = engine or local_engine(workers)
    plan = make_plan(preset)
    require_space(folder, space_for(plan, len(plan)))
    with locked(folder):
        for place in (folder, folder / "shards"):
            if place.exists():
                clear_leftovers(place)
        prepare(folder, plan, existing, shard_size)
        draw(folder, plan, units_of(folder, plan), engine, progress)
        return finish(folder, plan)


def draw(
    folder: Path, plan: Plan, units: Sequence[Unit], engine: Engine, progress: Progress
) -> None:
    """Draw the units that are not complete yet.

    Parameters
    ----------
    folder : Path
        A prepared dataset folder.
    plan : Plan
        Its plan.
    units : sequence of Unit
        What must be complete afterwards.
    engine : Engine
        Where to draw.
    progress : callable
        Told (images done, images in all) at the start and after every unit.
    """
    left = open_units(folder, plan, units)
    total = sum(map(len, units))
    finished = total - sum(map(len, left))
    progress(finished, total)
    if left:
        unseal(folder)

    def done(unit: Unit) -> None:
        nonlocal finished
        finished += len(unit)
        progress(finished, total)

    run_units(
        left,
        functools.partial(engine.task, folder),
        engine.make_executor,
        done=done,
        ledger=folder / "failures.jsonl",
        describe=functools.partial(cells_of, plan),
    )


def render_unit(folder: Path, unit: Unit) -> None:
    """Draw the images of one shard in this process, a started worker, and write it.

    Parameters
    ----------
    folder : Path
        Dataset folder with its plan.
    unit : Unit
        Which images.
    """
    from recombine.renderer.blender import worker

    plan = load_plan(folder)
    indices = range(unit.start, unit.stop)
    rendered = [worker.render_one(plan.scene(i), plan.settings) for i in indices]
    save_shard(folder, unit.number, plan, indices, rendered, provenance())


def start_worker() -> None:
    """Prepare a process for rendering; the initializer of every worker."""
    from recombine.renderer.blender import worker

    worker.start_worker()


def require_blender() -> None:
    """Check that the Blender wheel can be imported, without importing it.

    Raises
    ------
    ResourceError
        When Python is not 3.11 or a wheel is missing.
    """
    if sys.version_info[:2] != (3, 11):
        raise ResourceError(
            f"render: rendering needs Python 3.11; this is Python {platform.python_version()}, for "
            "which Blender has no wheel. Run `python3.11 -m venv .venv`, then "
            "`.venv/bin/pip install 'recombine[render]'`; all else works on this Python."
        )
    for module in ("bpy", "blenderproc"):
        if importlib.util.find_spec(module) is None:
            raise ResourceError(
                f"render: Blender is needed; the module {module!r} is not installed. "
                "Run `pip install 'recombine[render]'`, then `recombine doctor`."
            )


def space_for(plan: Plan, n_images: int) -> int:
    """Return the bytes that some images of a plan need at most on disk."""
    return n_images * plan.settings.resolution**2 * BYTES_PER_PIXEL + SPARE_BYTES


def cells_of(plan: Plan, unit: Unit) -> str:
    """Return which cells a unit holds, so that a hole in the balance has a name."""
    pick = slice(unit.start, unit.stop)
    keys = plan.schema.recombined
    values = [plan.schema.factor(k).values for k in keys]
    codes = zip(*(plan.latents[k][pick].tolist() for k in keys), strict=True)
    named = Counter(
        " x ".join(
            names[int(c)] if names else f"{c:.3g}" for names, c in zip(values, cell, strict=True)
        )
        for cell in codes
    )
    few = [f"{cell} ({n})" for cell, n in named.most_common(4)]
    more = f" and {len(named) - 4} more cells" if len(named) > 4 else ""
    return f"images {unit.start}..{unit.stop - 1} [{', '.join(few)}{more}]"
