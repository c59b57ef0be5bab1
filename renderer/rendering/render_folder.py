"""What `render` and `merge` do to a dataset folder: lock, prepare, list open units, finish."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from recombine.renderer.certificate.verify import Certificate, verify
from recombine.renderer.core.atomic import clear_leftovers, disk_error
from recombine.renderer.core.errors import IntegrityError, UsageError
from recombine.renderer.core.provenance import combined
from recombine.renderer.planning.plan import Plan
from recombine.renderer.rendering.pool import Unit
from recombine.renderer.store.seal import write_manifest
from recombine.renderer.store.shards import (
    load_plan,
    save_plan,
    shard_is_complete,
    shard_path,
    shard_provenance,
    shard_ranges,
    stored_shard_size,
)

Existing = Literal["skip", "verify", "overwrite", "error"]
SEALS = ("manifest.json", "certificate.json")
MEASURED = ("interaction", "counterfactual")  # files written beside the data they describe


@contextmanager
def locked(
    folder: Path, name: str = ".lock", *, shared: bool = False, patient: bool = False
) -> Iterator[None]:
    """Hold a lock file of a dataset folder; it is let go even by a kill.

    Parameters
    ----------
    folder : Path
        Made when it does not exist.
    name : str
        Lock file.
    shared : bool
        Suffer others that share it too; several tasks may then draw into one folder.
    patient : bool
        Wait for the lock instead of refusing.

    Raises
    ------
    UsageError
        When another process holds it and ``patient`` is off.
    ResourceError
        When the folder is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / name, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise disk_error(folder, error) from error
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind if patient else kind | fcntl.LOCK_NB)
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


def prepare(folder: Path, plan: Plan, existing: Existing, shard_size: int) -> None:
    """Make a folder ready for a plan, or check that it holds this very plan.

    Parameters
    ----------
    folder : Path
        Dataset folder.
    plan : Plan
        What will be drawn.
    existing : {"skip", "verify", "overwrite", "error"}
        What to do with a dataset already there.
    shard_size : int
        Images per shard of a new dataset.

    Raises
    ------
    UsageError
        When something is there and ``existing`` is ``error``.
    IntegrityError
        When the folder holds another dataset.
    """
    present = (folder / "plan.h5").exists() or (folder / "shards").exists()
    if present and existing == "error":
        raise UsageError(
            f"render: --existing error expects an empty folder; {folder} holds a dataset. "
            "Choose another --out, or --existing skip to resume."
        )
    if present and existing == "overwrite":
        shutil.rmtree(folder / "shards", ignore_errors=True)
        measured = [p for kind in MEASURED for p in folder.glob(f"{kind}.*")]
        for path in (*(folder / n for n in ("plan.h5", *SEALS, "preview.png")), *measured):
            path.unlink(missing_ok=True)
    if not (folder / "plan.h5").exists():
        save_plan(folder, plan, shard_size)
    elif load_plan(folder).digest() != plan.digest():
        raise IntegrityError(
            f"render: {folder} must hold {plan.dataset} with these settings to resume; it "
            "holds another dataset. Choose another --out, or --existing overwrite."
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
    """Seal, verify and preview a folder that holds every shard.

    Raises
    ------
    IntegrityError
        When the finished data fail a check.
    """
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
    """Return a certificate that passes.

    Raises
    ------
    IntegrityError
        When a check failed.
    """
    if not certificate.passed:
        failed = [f"{c.name} ({c.found})" for c in certificate.checks if c.status == "fail"]
        raise IntegrityError(
            f"verify: {folder} must pass every check; it fails on {'; '.join(failed)}. "
            f"See {folder / 'certificate.json'}."
        )
    return certificate
