"""`dataset merge`: join the shards of a dataset that was drawn in several folders, and seal it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recombine.renderer.certificate.verify import Certificate
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.core.files import locked, replacing, require_space
from recombine.renderer.core.hdf5 import attribute, open_checked
from recombine.renderer.planning.plan import Plan
from recombine.renderer.rendering.pool import Unit
from recombine.renderer.rendering.render import LOCK, finish, open_units, prepare, units_of
from recombine.renderer.store.shards import load_plan, one_build, shard_path, stored_shard_size


@dataclass(frozen=True)
class Merged:
    """What `merge` did."""

    certificate: Certificate  # of the joined dataset
    shards: int  # in all
    twice: int  # shards that more than one folder had, with equal content


def seal_folder(folder: Path) -> Certificate:
    """Seal one folder that tasks have filled; the last task does the same by itself."""
    with locked(_existing(folder) / LOCK, wait=False):
        plan = load_plan(folder)
        _require_none(open_units(folder, plan, units_of(folder, plan)), plan, [folder])
        return finish(folder, plan)


def merge(
    sources: Sequence[Path],
    out: Path,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Merged:
    """Join the shards of several folders into a new one, then seal and verify it."""
    # Files are hard-linked where the file system allows it, else copied. The identity is that of
    # one uninterrupted run. Run again after an interruption; shards that arrived are kept.
    sources = [_existing(s) for s in sources]
    if out.resolve() in [s.resolve() for s in sources]:
        raise UsageError(f"merge: --out must be a new folder; {out} is one of the sources.")
    plan, size = _common_plan(sources)
    units = units_of(sources[0], plan)
    found, twice = _find(sources, plan, units)
    build = one_build([found[unit] for unit in units])
    require_space(out, sum(p.stat().st_size for p in found.values() if not _linkable(p, out)))
    with locked(out / LOCK, wait=False):
        prepare(out, plan, "skip", size, build)
        for n, unit in enumerate(open_units(out, plan, units)):
            progress(n, len(units))
            with replacing(shard_path(out, unit.number)) as path:
                _link_or_copy(found[unit], path)
        progress(len(units), len(units))
        return Merged(finish(out, plan), len(units), twice)


def _existing(folder: Path) -> Path:
    if not (folder / "plan.h5").is_file():
        raise InvalidInputError(
            f"merge: {folder} must hold a dataset begun by `recombine render`; it has no plan.h5. "
            "Check the path."
        )
    return folder


def _common_plan(sources: Sequence[Path]) -> tuple[Plan, int]:
    plan, size = load_plan(sources[0]), stored_shard_size(sources[0])
    for other in sources[1:]:
        if load_plan(other).digest() != plan.digest():
            raise IntegrityError(
                f"merge: all folders must hold {plan.dataset} of one plan; {other} holds another "
                f"than {sources[0]}. Render both with the same preset and options."
            )
        if stored_shard_size(other) != size:
            raise IntegrityError(
                f"merge: all folders must have shards of one size; {other} has "
                f"{stored_shard_size(other)} images per shard, {sources[0]} has {size}. "
                "Render both with the same --shard-size."
            )
    return plan, size


def _find(
    sources: Sequence[Path], plan: Plan, units: Sequence[Unit]
) -> tuple[dict[Unit, Path], int]:
    found: dict[Unit, Path] = {}
    twice = 0
    for source in sources:
        absent = set(open_units(source, plan, units))
        for unit in (u for u in units if u not in absent):
            path = shard_path(source, unit.number)
            if unit not in found:
                found[unit] = path
                continue
            one_build([found[unit], path])
            if _content(path) == _content(found[unit]):
                twice += 1
            else:
                raise IntegrityError(
                    f"merge: images {unit.start}..{unit.stop - 1} must be equal wherever they "
                    f"are; {path} and {found[unit]} differ. Look at both with `recombine "
                    "rerender --check` and remove the wrong one."
                )
    _require_none([u for u in units if u not in found], plan, sources)
    return found, twice


def _require_none(missing: Sequence[Unit], plan: Plan, folders: Sequence[Path]) -> None:
    if missing:
        ranges = ", ".join(f"{u.start}..{u.stop - 1}" for u in missing[:8])
        more = f" and {len(missing) - 8} more shards" if len(missing) > 8 else ""
        raise InvalidInputError(
            f"merge: {plan.dataset} needs all {len(plan)} images; {ranges}{more} are missing or "
            f"damaged in {', '.join(map(str, folders))}. Run the tasks that drew them again."
        )


def _content(path: Path) -> str:
    with open_checked(path) as handle:
        return attribute(handle, "content_sha256")


def _linkable(path: Path, out: Path) -> bool:
    parent = next(p for p in (out, *out.absolute().parents) if p.exists())
    return path.stat().st_dev == parent.stat().st_dev


def _link_or_copy(source: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
