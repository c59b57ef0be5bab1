"""Arrays about a dataset that a process pool computes piece by piece, and that survive kill -9."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recombine.renderer.core.errors import RecombineError, ResourceError
from recombine.renderer.core.files import clear_leftovers, replacing, require_writable
from recombine.renderer.core.hdf5 import attribute, column, new_file, open_checked
from recombine.renderer.core.types import Array
from recombine.renderer.rendering.pool import Unit, local_pool, run_units
from recombine.renderer.rendering.render import require_blender, start_worker

Arrays = dict[str, Array]
Work = Callable[[range], Arrays]


@dataclass(frozen=True)
class Job:
    """One computation over a dataset."""

    folder: Path  # the dataset's own, or another one; ``NAME.h5`` is written into it
    name: str  # name of the result
    # plain data that decides the content; all but lists become attributes of the result
    about: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """Return the sha256 (hex) of what decides the content."""
        return hashlib.sha256(json.dumps(dict(self.about), sort_keys=True).encode()).hexdigest()

    @property
    def target(self) -> Path:
        """Return the path of the result."""
        return self.folder / f"{self.name}.h5"

    def part(self, unit: Unit) -> Path:
        """Return the path of one piece."""
        return self.folder / f".{self.name}-{self.identity[:12]}" / f"part-{unit.number:05d}.h5"


def compute(
    job: Job,
    work: Work,
    count: int,
    *,
    step: int,
    workers: int,
    progress: Callable[[int, int], None],
    make_executor: Callable[[], Executor] | None = None,
) -> Arrays:
    """Compute arrays in pieces, join them and write them beside the data."""
    if _is_of(job.target, job):
        progress(count, count)
        return _read(job.target)
    require_writable(job.folder)
    if make_executor is None:
        require_blender()
        make_executor = local_pool(workers, start_worker)
    units = [Unit(n, a, min(a + step, count)) for n, a in enumerate(range(0, count, step))]
    _run(job, work, units, progress, make_executor)
    pieces = [_read(job.part(u)) for u in units]
    arrays = {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}
    clear_leftovers(job.folder)
    _write(job.target, job, arrays)
    shutil.rmtree(job.part(units[0]).parent)
    return arrays


def _run(
    job: Job,
    work: Work,
    units: list[Unit],
    progress: Callable[[int, int], None],
    make_executor: Callable[[], Executor],
) -> None:
    """Compute the pieces that are not there yet."""
    left = [u for u in units if not _is_of(job.part(u), job)]
    count = sum(map(len, units))
    finished = count - sum(map(len, left))
    progress(finished, count)

    def done(unit: Unit) -> None:
        nonlocal finished
        finished += len(unit)
        progress(finished, count)

    task = functools.partial(_piece, job, work)
    run_units(left, task, make_executor, done=done, ledger=job.folder / "failures.jsonl")


def _piece(job: Job, work: Work, unit: Unit) -> None:
    _write(job.part(unit), job, work(range(unit.start, unit.stop)))


def _write(target: Path, job: Job, arrays: Arrays) -> None:
    with replacing(target) as path, new_file(path) as handle:
        handle.attrs["identity"] = job.identity
        for name, value in job.about.items():
            if not isinstance(value, list):  # an attribute is small; lists are datasets
                handle.attrs[name] = value
        for name, array in arrays.items():
            options = {}
            if array.ndim > 2:
                options = {"chunks": (1, *array.shape[1:]), "compression": 1, "shuffle": True}
            handle.create_dataset(name, data=array, **options)


def _read(path: Path) -> Arrays:
    with open_checked(path) as handle:
        return {str(name): column(handle, str(name)) for name in handle}


def _is_of(path: Path, job: Job) -> bool:
    if not path.exists():
        return False
    try:
        with open_checked(path) as handle:
            return attribute(handle, "identity") == job.identity
    except ResourceError:
        raise  # what the system refuses says nothing about the file
    except RecombineError:
        return False
