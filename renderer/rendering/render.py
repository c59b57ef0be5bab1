"""`render`: plan, draw every shard, seal, verify, preview. Each step resumes where it stopped."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import platform
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recombine.renderer.certificate.verify import Certificate, verify
from recombine.renderer.core.errors import IntegrityError, ResourceError, UsageError
from recombine.renderer.core.files import clear_leftovers, locked, require_space
from recombine.renderer.core.provenance import Build, combined, provenance, require_installed
from recombine.renderer.planning.ledger import keep_assets
from recombine.renderer.planning.plan import Plan
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import Preset
from recombine.renderer.rendering.pool import MAX_RSS, Unit, local_pool, run_units
from recombine.renderer.store.seal import write_manifest
from recombine.renderer.store.shards import (
    SHARD_SIZE,
    listed_differences,
    load_build,
    load_plan,
    save_build,
    save_plan,
    save_shard,
    shard_is_complete,
    shard_path,
    shard_provenance,
    shard_ranges,
    stored_shard_size,
)

# What `render` and `merge` do to a dataset folder: lock, prepare, list open units, finish.

Existing = Literal["skip", "verify", "overwrite", "error"]
SEALS = ("manifest.json", "certificate.json")
BEGUN = ("plan.h5", "build.json")
LOCK = "render"  # held by whoever renders into the folder, by all tasks of a job array together
MEASURED = ("interaction", "counterfactual")  # files written beside the data they describe


def prepare(
    folder: Path, plan: Plan, existing: Existing, shard_size: int, build: Build | None = None
) -> None:
    """Make a folder ready for a plan, or check that it holds this very plan."""
    present = (folder / "plan.h5").exists() or (folder / "shards").exists()
    if present and existing == "error":
        raise UsageError(
            f"render: --existing error expects an empty folder; {folder} holds a dataset. "
            "Choose another --out, or --existing skip to resume."
        )
    if present and existing == "overwrite":
        shutil.rmtree(folder / "shards", ignore_errors=True)
        measured = [p for kind in MEASURED for p in folder.glob(f"{kind}.*")]
        for path in (*(folder / n for n in (*BEGUN, *SEALS, "preview.png")), *measured):
            path.unlink(missing_ok=True)
    if not (folder / "plan.h5").exists():
        save_plan(folder, plan, shard_size)
    elif load_plan(folder).digest() != plan.digest():
        raise IntegrityError(
            f"render: {folder} must hold {plan.dataset} with these settings to resume; it "
            "holds another dataset. Choose another --out, or --existing overwrite."
        )
    keep_assets(folder, plan.assets)
    # A folder without a shard is bound to nothing yet: a mistake mended before the first one.
    if not any((folder / "shards").glob("*.h5")) or load_build(folder) is None:
        save_build(folder, build or Build.here())


def require_build(folder: Path, here: Build) -> None:
    """Check that a folder is drawn with the build that is here."""
    begun = load_build(folder)
    differs = ["build.json is missing"] if begun is None else begun.differences(here)
    if differs:
        raise IntegrityError(
            f"render: {folder} must be drawn with one build from its first image to its last; "
            f"this one differs ({listed_differences(differs)}). Go on with the build it was "
            "begun with, or start over with --existing overwrite."
        )


def units_of(folder: Path, plan: Plan) -> list[Unit]:
    """Return the units of a prepared folder, one per shard."""
    ranges = shard_ranges(len(plan), stored_shard_size(folder))
    return [Unit(n, r.start, r.stop) for n, r in enumerate(ranges)]


def open_units(folder: Path, plan: Plan, units: Sequence[Unit]) -> list[Unit]:
    """Return the units whose shard is absent, damaged or of another plan."""
    return [
        u for u in units if not shard_is_complete(folder, u.number, plan, range(u.start, u.stop))
    ]


def finish(folder: Path, plan: Plan) -> Certificate:
    """Seal, verify and preview a folder that holds every shard."""
    from recombine.renderer.store.preview import contact_sheet

    for place in (folder, folder / "shards"):
        clear_leftovers(place)
    shards = [
        (shard_path(folder, u.number), range(u.start, u.stop)) for u in units_of(folder, plan)
    ]
    write_manifest(
        folder,
        dataset=plan.dataset,
        plan_sha256=plan.digest(),
        shards=shards,
        provenance=combined(shard_provenance(path) for path, _ in shards),
    )
    certificate = verify(folder)
    contact_sheet(folder, folder / "preview.png")
    return require_passed(certificate, folder)


def unseal(folder: Path) -> None:
    """Remove the seals of a folder before any of its shards changes."""
    for name in SEALS:
        (folder / name).unlink(missing_ok=True)


def require_passed(certificate: Certificate, folder: Path) -> Certificate:
    """Return a certificate that passes."""
    if not certificate.passed:
        failed = [f"{c.name} ({c.found})" for c in certificate.checks if c.status == "fail"]
        raise IntegrityError(
            f"verify: {folder} must pass every check; it fails on {'; '.join(failed)}. "
            f"See {folder / 'certificate.json'}."
        )
    return certificate


BYTES_PER_PIXEL = 11  # colour 3, normals 3, depth 2, masks 3; an upper bound, labels compress
SPARE_BYTES = 20_000_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Engine:
    """Where units are drawn."""

    make_executor: Callable[[], Executor]  # returns a fresh `concurrent.futures.Executor`
    # picklable; draws one unit of a dataset folder in a worker of the executor
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
    with locked(folder / LOCK, wait=False):
        for place in (folder, folder / "shards"):
            if place.exists():
                clear_leftovers(place)
        prepare(folder, plan, existing, shard_size)
        draw(folder, plan, units_of(folder, plan), engine, progress)
        return finish(folder, plan)


def draw(
    folder: Path, plan: Plan, units: Sequence[Unit], engine: Engine, progress: Progress
) -> None:
    """Draw the units that are not complete yet."""
    left = open_units(folder, plan, units)
    total = sum(map(len, units))
    finished = total - sum(map(len, left))
    progress(finished, total)
    if left:
        require_build(folder, Build.here())
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
    """Draw the images of one shard in this process, a started worker, and write it."""
    from recombine.renderer.blender import worker

    plan = load_plan(folder)
    indices = range(unit.start, unit.stop)
    if _started is not None:
        require_build(folder, _started)
    rendered = [worker.render_one(plan.scene(i), plan.settings) for i in indices]
    # Once more: parts of Blender's side are imported on first use, from what lies there by then.
    here = Build.here()
    require_build(folder, here)
    save_shard(folder, unit.number, plan, indices, rendered, provenance(), here)


_started: Build | None = None  # what this worker found when it read the renderer's sources


def start_worker() -> None:
    """Prepare a process for rendering; the initializer of every worker."""
    global _started
    require_installed()
    _started = Build.here()
    from recombine.renderer.blender import worker

    worker.start_worker()


def require_blender() -> None:
    """Check that the Blender wheel can be imported, without importing it."""
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


# `render --shard i/n`: one task of a job array draws one group of shards; the last one seals.

DOOR = "folder"  # held for moments by whoever changes what all tasks share


@dataclass(frozen=True)
class Part:
    """The ``number``-th of ``of`` contiguous groups of shards, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``i/n``.

        Raises
        ------
        UsageError
            When it is not two whole numbers with 1 <= i <= n.

        Examples
        --------
        >>> Part.parse("3/8")
        Part(number=3, of=8)
        """
        number, _, of = text.partition("/")
        with contextlib.suppress(ValueError):
            part = cls(int(number), int(of))
            if 1 <= part.number <= part.of:
                return part
        raise UsageError(f"--shard: expected i/n with 1 <= i <= n, such as 3/8; got {text!r}.")

    def pick(self, units: list[Unit]) -> list[Unit]:
        """Return the units of this group; the groups of one n partition them."""
        begin, end = (len(units) * k // self.of for k in (self.number - 1, self.number))
        return units[begin:end]


@dataclass(frozen=True)
class PartOutcome:
    """What a finished task leaves."""

    images: int  # in this group
    missing: int  # shards of other groups that do not exist yet; nobody seals while there are any
    certificate: Certificate | None  # of the dataset, from the task that sealed it


def render_part(
    preset: Preset,
    folder: Path,
    part: Part,
    *,
    workers: int = 1,
    shard_size: int = SHARD_SIZE,
    progress: Progress = lambda _done, _total: None,
    engine: Engine | None = None,
) -> PartOutcome:
    """Render one group of shards into a folder that other tasks may be filling too.

    Whichever task finds every shard complete seals and verifies. Tasks need nothing of one
    another: any order, any machine that sees the folder, again after a kill.

    Parameters
    ----------
    preset : Preset
        What to render; the same for all tasks.
    folder : Path
        Dataset folder, shared or a task's own (then `merge` joins them).
    part : Part
        Which group.
    workers, shard_size, progress, engine
        As for `render_dataset`; progress counts the images of the group.

    Raises
    ------
    UsageError
        When this group, or the whole folder, is being rendered by another process.
    ResourceError
        When Blender, disk space or a worker fails.
    IntegrityError
        When the folder holds another dataset, or the finished data fail a check.
    """
    engine = engine or local_engine(workers)
    plan = make_plan(preset)
    require_space(folder, space_for(plan, -(-len(plan) // part.of)))
    own = f"shard-{part.number}-of-{part.of}"
    with locked(folder / LOCK, shared=True, wait=False), locked(folder / own, wait=False):
        with locked(folder / DOOR):
            prepare(folder, plan, "skip", shard_size)
        units = units_of(folder, plan)
        mine = part.pick(units)
        for unit in mine:
            clear_leftovers(folder / "shards", shard_path(folder, unit.number).name)
        draw(folder, plan, mine, engine, progress)
        with locked(folder / DOOR):
            missing, certificate = _seal_if_last(folder, plan, units)
    return PartOutcome(sum(map(len, mine)), missing, certificate)


def _seal_if_last(folder: Path, plan: Plan, units: list[Unit]) -> tuple[int, Certificate | None]:
    # Look before reading: while others still draw, every task would read all their shards.
    missing = sum(not shard_path(folder, u.number).exists() for u in units)
    if missing or all((folder / name).exists() for name in SEALS):
        return missing, None
    damaged = len(open_units(folder, plan, units))
    return damaged, None if damaged else finish(folder, plan)
