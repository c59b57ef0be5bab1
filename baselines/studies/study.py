"""Running an analysis: many small independent units, kept on disk one by one.

An analysis is a list of units (plain frozen dataclasses) and a function that turns a unit into
numbers. Every finished unit is a JSON file named after its content, so a killed run continues, and
a changed setting runs anew. The report is one JSON file: the numbers of every unit, and claims,
each with the numbers that decide it.
"""

from __future__ import annotations

import json
import math
import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch

from recombine.benchmark.submissions.fingerprint import content_key, environment, settings_of
from recombine.renderer.core.errors import ResourceError
from recombine.renderer.core.files import write_bytes
from recombine.renderer.core.surroundings import safe_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float
    from torch import Tensor

FORMAT = "recombine.analysis/1"

Unit = TypeVar("Unit")
Row = dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """A statement that an analysis can confirm or refute."""

    text: str  # the statement
    holds: bool  # whether the measured numbers agree
    evidence: dict[str, float]  # those numbers


@dataclass(frozen=True)
class Work(Generic[Unit]):
    """What is to be computed."""

    name: str  # of the analysis
    units: Sequence[Unit]  # picklable dataclasses, all different
    # module-level function from a unit to plain numbers; all randomness from the unit's seed
    compute: Callable[[Unit], Row]
    version: str  # to be raised when ``compute`` changes its meaning


def run(
    work: Work[Unit],
    folder: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Compute every unit that is not on disk yet."""
    paths = [_path(work, unit, folder) for unit in work.units]
    todo = [i for i, path in enumerate(paths) if not path.is_file()]
    report = progress or (lambda _done, _total: None)
    done = len(paths) - len(todo)
    report(done, len(paths))
    for number, row in _measured(work, todo, workers):
        text = json.dumps(row, allow_nan=False, sort_keys=True)
        write_bytes(paths[number], text.encode())
        done += 1
        report(done, len(paths))
    return [
        {**_fields(unit), **json.loads(path.read_bytes())}
        for unit, path in zip(work.units, paths, strict=True)
    ]


def write_report(
    folder: Path, name: str, settings: object, rows: Sequence[Row], claims: Sequence[Claim]
) -> Path:
    """Write ``report.json`` and return its path."""
    report = {
        "format": FORMAT,
        "analysis": name,
        "settings": settings_of(settings),
        "environment": environment("cpu"),
        "claims": [asdict(claim) for claim in claims],
        "rows": list(rows),
    }
    path = folder / "report.json"
    write_bytes(path, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
    return path


def mean_of(rows: Sequence[Row], key: str, **where: object) -> float:
    """Return the geometric mean of a positive number over the rows that match."""
    values = [row[key] for row in rows if all(row.get(k) == v for k, v in where.items())]
    if not values:
        return math.nan
    return math.exp(sum(math.log(max(value, 1e-12)) for value in values) / len(values))


def jacobians(
    function: Callable[[Float[Tensor, "points dim"]], Float[Tensor, "points outputs"]],
    points: Float[Tensor, "points dim"],
) -> Float[Tensor, "points outputs dim"]:
    """Return the Jacobian of a function at many points, one reverse pass per output."""
    start = points.detach().requires_grad_(True)
    outputs = function(start)
    rows = [
        torch.autograd.grad(outputs[:, i].sum(), start, retain_graph=True)[0]
        for i in range(outputs.shape[1])
    ]
    return torch.stack(rows, dim=1)


def _measured(work: Work[Unit], todo: Sequence[int], workers: int) -> Any:
    """Yield number and row of every unit, as they end."""
    if workers <= 1 or len(todo) <= 1:
        for number in todo:
            yield number, _one(work.compute, work.units[number])
        return
    context = multiprocessing.get_context("spawn")
    with safe_path(), ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures: dict[Future[Row], int] = {
            pool.submit(_one, work.compute, work.units[number]): number for number in todo
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise ResourceError(
                f"analyse {work.name}: a worker process died, most often for lack of memory; use "
                "fewer workers and run again, finished units are kept"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _one(compute: Callable[[Any], Row], unit: Any) -> Row:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these nets are too small for more, and results repeat
    try:
        return compute(unit)
    finally:
        torch.set_num_threads(threads)


def _fields(unit: object) -> Row:
    return {key: value for key, value in settings_of(unit).items() if key != "settings"}


def _path(work: Work[Unit], unit: Unit, folder: Path) -> Path:
    key = content_key(
        {
            "format": FORMAT,
            "analysis": work.name,
            "version": work.version,
            "unit": settings_of(unit),
            "torch": str(torch.__version__),
        }
    )
    return folder / "units" / f"{key[:32]}.json"
