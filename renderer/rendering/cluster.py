"""`render --cluster`: the workers of a dask.distributed scheduler draw the units.

Blender runs in processes beside the dask worker, one per thread of it: Blender wants the main
thread of a process, a crash of it must not take the worker down, and worn ones are replaced.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from recombine.renderer.core.errors import ResourceError, UsageError
from recombine.renderer.core.files import disk_error
from recombine.renderer.core.provenance import Build, provenance
from recombine.renderer.rendering.pool import MAX_RSS, Unit, Worker
from recombine.renderer.rendering.render import Engine, open_units, render_unit, start_worker
from recombine.renderer.store.shards import listed_differences, load_plan

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 30  # seconds to find the scheduler and its first worker
_idle: list[Worker] = []  # of this dask worker; a thread takes one and puts it back
MUST_AGREE = ("bpy", "blenderproc", "numpy", "recombine")


@contextmanager
def cluster_engine(
    address: str, folder: Path, *, patience: float = PATIENCE, max_rss: int = MAX_RSS
) -> Iterator[Engine]:
    """Connect to a scheduler, check its workers and yield an engine that draws on them.

    Parameters
    ----------
    address : str
        For example ``tcp://node1:8786``.
    folder : Path
        Dataset folder; every worker must see it under the same path.
    patience : float
        Seconds to wait for the scheduler and for a first worker.
    max_rss : int
        Bytes of resident memory above which a Blender process is replaced after its unit.

    Raises
    ------
    ResourceError
        When dask.distributed is missing, no scheduler answers, no worker is there, or a worker
        does not see the folder or has other versions.
    """
    with _client(address, patience) as client:
        _check_workers(client, address, folder.absolute())
        yield Engine(
            partial(_executor, client, address), partial(render_unit_apart, max_rss=max_rss)
        )


def render_unit_apart(folder: Path, unit: Unit, max_rss: int = MAX_RSS) -> None:
    """Draw one unit in a Blender process that belongs to this dask worker."""
    try:
        worker = _idle.pop()
    except IndexError:
        worker = Worker(start_worker)
    reply = worker.run(partial(_render_if_open, folder.absolute(), unit))
    if worker.is_worn(reply, max_rss):
        worker.leave()
    else:
        _idle.append(worker)
    if reply.error:
        raise reply.error


def _render_if_open(folder: Path, unit: Unit) -> None:
    # A scheduler runs a finished unit again when the worker that held its result dies.
    if open_units(folder, load_plan(folder), [unit]):
        render_unit(folder, unit)


@contextmanager
def _client(address: str, patience: float) -> Iterator[Client]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ResourceError(
            "render: --cluster needs dask.distributed, which is not installed. "
            "Run `pip install 'recombine[cluster]'` here and on every worker."
        ) from error
    try:
        client = Client(address, timeout=patience, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError) as error:
        raise ResourceError(
            f"render: --cluster expects a dask scheduler at {address}; none answered within "
            f"{patience:g} s. Start one with `dask scheduler`, or check the address."
        ) from error
    except ValueError as error:
        raise UsageError(
            f"render: --cluster expects an address such as tcp://host:8786; got {address!r}."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=patience)
        except TimeoutError as error:
            raise ResourceError(
                f"render: the scheduler at {address} needs workers; none came within "
                f"{patience:g} s. Start some with `dask worker {address} --nthreads 1`."
            ) from error
        yield client


def _executor(client: Client, address: str) -> Executor:
    if client.status != "running":
        raise ResourceError(
            f"render: the scheduler at {address} must stay up; it went away. Everything drawn so "
            "far is kept: start it again and run the same command to resume."
        )
    # Impure: a unit that failed must run again, not be remembered as failed.
    make: Callable[..., Executor] = client.get_executor
    return make(pure=False)


def _check_workers(client: Client, address: str, folder: Path) -> None:
    token = uuid.uuid4().hex
    probe = folder / f".probe.{token}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text(token)
        answers = cast("dict[str, dict[str, Any]]", client.run(_probe, str(probe), token))
    except ImportError as error:
        raise ResourceError(
            f"render: every worker of {address} needs recombine; one has none ({error}). "
            "Run `pip install 'recombine[render,cluster]'` on every worker."
        ) from error
    except OSError as error:
        raise disk_error(folder, error) from error
    finally:
        probe.unlink(missing_ok=True)
    blind = sorted(a["host"] for a in answers.values() if not a["sees"])
    if blind:
        raise ResourceError(
            f"render: every worker of {address} must see {folder} and may write there; "
            f"{_few(blind)} cannot. Put --out on a shared file system that is mounted at the same "
            "path everywhere, or use `--shard i/n` with local folders and `recombine dataset "
            "merge`."
        )
    _check_versions({a["host"]: a["provenance"] for a in answers.values()})
    _check_builds({a["host"]: a["build"] for a in answers.values()})


def _check_versions(found: Mapping[str, Mapping[str, str]]) -> None:
    here = provenance()
    wanted = {k: here[k] for k in MUST_AGREE if k in here}
    for host, there in sorted(found.items()):
        other = {k: there.get(k, "missing") for k in wanted if there.get(k) != wanted[k]}
        if other:
            raise ResourceError(
                f"render: every worker needs {wanted}; {host} has {other}. "
                "Install the same versions everywhere: pixels depend on them."
            )
        if "bpy" not in there or "blenderproc" not in there:
            raise ResourceError(
                f"render: every worker needs Blender; {host} has none. "
                "Run `pip install 'recombine[render]'` there."
            )


def _check_builds(found: Mapping[str, Mapping[str, Any]]) -> None:
    here = Build.here()
    for host, there in sorted(found.items()):
        if differs := here.differences(Build.from_dict(there)):
            raise ResourceError(
                f"render: every worker needs the build of the renderer that is here; {host} "
                f"differs in {listed_differences(differs)}. Install the same everywhere: pixels "
                "depend on it."
            )


def _probe(path: str, token: str) -> dict[str, Any]:
    import socket

    file = Path(path)
    sees = file.is_file() and file.read_text() == token and os.access(file.parent, os.W_OK)
    return {
        "sees": sees,
        "host": socket.gethostname(),
        "provenance": provenance(),
        "build": Build.here().to_dict(),
    }


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
