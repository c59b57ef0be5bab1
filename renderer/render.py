"""`render`: plan, draw every shard, seal, verify, preview. Each step resumes where it stopped."""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from recombine.renderer.atomic import clear_leftovers, disk_error, require_space
from recombine.renderer.errors import IntegrityError, ResourceError, UsageError
from recombine.renderer.plan import Plan
from recombine.renderer.planning import make_plan
from recombine.renderer.pool import UNITS_PER_WORKER, Unit, local_pool, run_units
from recombine.renderer.presets import Preset
from recombine.renderer.seal import write_manifest
from recombine.renderer.store import (
    SHARD_SIZE,
    load_plan,
    save_plan,
    save_shard,
    shard_is_complete,
    shard_path,
    shard_ranges,
    stored_shard_size,
)
from recombine.renderer.verify import Certificate, verify

Existing = Literal["skip", "verify", "overwrite", "error"]
BYTES_PER_PIXEL = 9  # colour 3, normals 3, depth 2, mask 1; an upper bound, labels compress
SPARE_BYTES = 20_000_000


def render_dataset(
    preset: Preset,
    folder: Path,
    *,
    workers: int = 2,
    existing: Existing = "skip",
    shard_size: int = SHARD_SIZE,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    make_executor: Callable[[], Executor] | None = None,
) -> Certificate:
    """Render a preset into a folder, or finish what an earlier call began.

    Parameters
    ----------
    preset : Preset
        What to render.
    folder : Path
        Dataset folder.
    workers : int
        Blender processes of the default pool.
    existing : {"skip", "verify", "overwrite", "error"}
        What to do with shards already there: keep the intact ones, only verify, start over,
        or refuse.
    shard_size : int
        Images per shard; a folder that is resumed keeps the size it began with.
    progress : callable
        Told (images done, images in all) at the start and after every shard.
    make_executor : callable, optional
        Any maker of `concurrent.futures.Executor`; its workers must have Blender.

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
        return _require(verify(folder), folder)
    require_blender()
    plan = make_plan(preset)
    resolution = plan.settings.resolution
    require_space(folder, len(plan) * resolution**2 * BYTES_PER_PIXEL + SPARE_BYTES)
    with _locked(folder):
        _prepare(folder, plan, existing, shard_size)
        pool = make_executor or local_pool(workers, start_worker)
        _draw(folder, plan, pool, workers * UNITS_PER_WORKER, progress)
        _seal(folder, plan)
        certificate = verify(folder)
        _preview(folder)
    return _require(certificate, folder)


def require_blender() -> None:
    """Check that the Blender wheel can be imported, without importing it.

    Raises
    ------
    ResourceError
        When Python is not 3.11 or a wheel is missing.
    """
    if sys.version_info[:2] != (3, 11):
        raise ResourceError(
            "render: the Blender wheel needs Python 3.11; this is Python "
            f"{platform.python_version()}. Make a virtual environment with python3.11."
        )
    for module in ("bpy", "blenderproc"):
        if importlib.util.find_spec(module) is None:
            raise ResourceError(
                f"render: Blender is needed; the module {module!r} is not installed. "
                "Run `pip install 'recombine[render]'`, then `recombine doctor`."
            )


def start_worker() -> None:
    """Prepare a process for rendering; the initializer of every worker."""
    from recombine.renderer.blender import worker

    worker.start_worker()


def render_unit(folder: Path, unit: Unit) -> None:
    """Draw the images of one shard and write it.

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
    save_shard(folder, unit.number, plan, indices, rendered)


def _prepare(folder: Path, plan: Plan, existing: Existing, shard_size: int) -> None:
    present = (folder / "plan.h5").exists() or (folder / "shards").exists()
    if present and existing == "error":
        raise UsageError(
            f"render: --existing error expects an empty folder; {folder} holds a dataset. "
            "Choose another --out, or --existing skip to resume."
        )
    if present and existing == "overwrite":
        shutil.rmtree(folder / "shards", ignore_errors=True)
        for name in ("plan.h5", "manifest.json", "certificate.json", "preview.png"):
            (folder / name).unlink(missing_ok=True)
    for place in (folder, folder / "shards"):
        if place.exists():
            clear_leftovers(place)
    if (folder / "plan.h5").exists():
        if load_plan(folder).digest() != plan.digest():
            raise IntegrityError(
                f"render: {folder} must hold {plan.dataset} with these settings to resume; it "
                "holds another dataset. Choose another --out, or --existing overwrite."
            )
    else:
        save_plan(folder, plan, shard_size)


def _draw(
    folder: Path,
    plan: Plan,
    make_executor: Callable[[], Executor],
    per_pool: int,
    progress: Callable[[int, int], None],
) -> None:
    ranges = shard_ranges(len(plan), stored_shard_size(folder))
    units = [Unit(n, r.start, r.stop) for n, r in enumerate(ranges)]
    left = [
        u for u in units if not shard_is_complete(folder, u.number, plan, range(u.start, u.stop))
    ]
    finished = len(plan) - sum(map(len, left))
    progress(finished, len(plan))

    def done(unit: Unit) -> None:
        nonlocal finished
        finished += len(unit)
        progress(finished, len(plan))

    run_units(
        left,
        functools.partial(render_unit, folder),
        make_executor,
        done=done,
        ledger=folder / "failures.jsonl",
        per_pool=per_pool,
    )


def _seal(folder: Path, plan: Plan) -> None:
    ranges = shard_ranges(len(plan), stored_shard_size(folder))
    shards = [(shard_path(folder, n), r) for n, r in enumerate(ranges)]
    write_manifest(
        folder,
        dataset=plan.dataset,
        plan_sha256=plan.digest(),
        shards=shards,
        provenance=provenance(),
    )


def provenance() -> dict[str, Any]:
    """Return the versions and the machine that pixels may depend on."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        **{name: metadata.version(name) for name in ("bpy", "blenderproc", "numpy", "recombine")},
    }


def _preview(folder: Path) -> None:
    from recombine.renderer.preview import contact_sheet

    contact_sheet(folder, folder / "preview.png")


def _require(certificate: Certificate, folder: Path) -> Certificate:
    if not certificate.passed:
        failed = [f"{c.name} ({c.found})" for c in certificate.checks if c.status == "fail"]
        raise IntegrityError(
            f"verify: {folder} must pass every check; it fails on {'; '.join(failed)}. "
            f"See {folder / 'certificate.json'}."
        )
    return certificate


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise disk_error(folder, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise UsageError(
            f"render: {folder} must be free; another process is rendering into it. "
            "Wait for it, or choose another --out."
        ) from error
    try:
        yield
    finally:
        os.close(handle)
