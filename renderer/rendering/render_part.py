"""`render --shard i/n`: one task of a job array draws one group of shards; the last one seals."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from recombine.renderer.certificate.verify import Certificate
from recombine.renderer.core.atomic import clear_leftovers, require_space
from recombine.renderer.core.errors import UsageError
from recombine.renderer.planning.plan import Plan
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import Preset
from recombine.renderer.rendering.pool import Unit
from recombine.renderer.rendering.render import Engine, Progress, draw, local_engine, space_for
from recombine.renderer.rendering.render_folder import (
    SEALS,
    finish,
    locked,
    open_units,
    prepare,
    units_of,
)
from recombine.renderer.store.shards import SHARD_SIZE, shard_path

DOOR = ".lock-folder"  # held for moments by whoever changes what all tasks share


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
    """What a finished task leaves.

    Attributes
    ----------
    images : int
        In this group.
    missing : int
        Shards of other groups that do not exist yet; nobody seals while there are any.
    certificate : Certificate or None
        Of the dataset, from the task that sealed it.
    """

    images: int
    missing: int
    certificate: Certificate | None


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
    own = f".lock-shard-{part.number}-of-{part.of}"
    with locked(folder, shared=True), locked(folder, own):
        with locked(folder, DOOR, patient=True):
            prepare(folder, plan, "skip", shard_size)
        units = units_of(folder, plan)
        mine = part.pick(units)
        for unit in mine:
            clear_leftovers(folder / "shards", shard_path(folder, unit.number).name)
        draw(folder, plan, mine, engine, progress)
        with locked(folder, DOOR, patient=True):
            missing, certificate = _seal_if_last(folder, plan, units)
    return PartOutcome(sum(map(len, mine)), missing, certificate)


def _seal_if_last(folder: Path, plan: Plan, units: list[Unit]) -> tuple[int, Certificate | None]:
    # Look before reading: while others still draw, every task would read all their shards.
    missing = sum(not shard_path(folder, u.number).exists() for u in units)
    if missing or all((folder / name).exists() for name in SEALS):
        return missing, None
    damaged = len(open_units(folder, plan, units))
    return damaged, None if damaged else finish(folder, plan)
