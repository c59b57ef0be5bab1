"""Measuring the interaction of a rendered dataset, in-combination against out-of-combination."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.atomic import write_bytes, write_json
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.core.types import Array
from recombine.renderer.measure.interaction import MAX_OBJECTS, measure_scene
from recombine.renderer.measure.interaction_summary import summary
from recombine.renderer.measure.job import Arrays, Job, compute
from recombine.renderer.measure.pictures import picture
from recombine.renderer.planning.plan import Plan
from recombine.renderer.splits.splits import SPLITS
from recombine.renderer.store.reader import Dataset
from recombine.renderer.store.shards import load_plan

if TYPE_CHECKING:
    from jaxtyping import Int64

LEVEL = "scene.interaction"
"""The key of the schema that holds the level of the dial, where a dataset varies it."""
PARTS = ("id_test", "ooc_test")
SCENES_PER_UNIT = 2


@dataclass(frozen=True)
class Report:
    """What a measurement wrote.

    Attributes
    ----------
    summary : dict
        The content of ``interaction.json``.
    data, table, picture : Path
        ``interaction.h5``, ``interaction.json`` and ``interaction.png``.
    """

    summary: dict[str, Any]
    data: Path
    table: Path
    picture: Path


def choose(plan: Plan, scenes: int) -> Int64[Array, " n"]:
    """Choose test scenes to measure: as many ID as OOC, from matched blocks.

    Pairs of one ID and one OOC image are drawn from every block in turn, and from every level
    of the dial where the dataset has several, so both sides share their nuisances. Which cells
    of a block come first follows from a keyed seed, not from anything measured.

    Parameters
    ----------
    plan : Plan
        Plan of the dataset.
    scenes : int
        Scenes wanted, both sides together.

    Returns
    -------
    int64 array of shape (n,)
        Sorted image indices; n <= scenes, even.

    Raises
    ------
    InvalidInputError
        When no block holds test images with 1 to `MAX_OBJECTS` objects on both sides.
    """
    tested = np.isin(plan.split, [SPLITS.index(p) for p in PARTS])
    small = tested.copy()
    small[tested] = [_fits(plan, int(i)) for i in np.flatnonzero(tested)]
    level = plan.latents.get(LEVEL, np.zeros(len(plan), np.int64))
    strata = sorted(set(zip(plan.block[small].tolist(), level[small].tolist(), strict=True)))
    pairs: list[tuple[int, int, int, int]] = []
    for place, (block, value) in enumerate(strata):
        here = small & (plan.block == block) & (level == value)
        rng = keyed_rng(plan.dataset, "1", "interaction", block)
        sides = [rng.permutation(np.flatnonzero(here & (plan.split == SPLITS.index(p))))
                 for p in PARTS]  # fmt: skip
        found = zip(*(side.tolist() for side in sides), strict=False)
        pairs += [(turn, place, *pair) for turn, pair in enumerate(found)]
    if not pairs:
        raise InvalidInputError(
            f"interaction: expected test blocks with ID and OOC scenes of 1 to {MAX_OBJECTS} "
            "objects; found none. Choose a dataset with fewer objects per scene."
        )
    chosen = sorted(pairs)[: scenes // 2]
    return np.sort(np.array([index for pair in chosen for index in pair[2:]], np.int64))


def measure_dataset(
    folder: Path,
    *,
    scenes: int = 64,
    samples: int = 64,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    make_executor: Callable[[], Executor] | None = None,
) -> Report:
    """Measure scenes of a rendered dataset and write the result beside the data.

    Parameters
    ----------
    folder : Path
        A sealed dataset.
    scenes : int
        Test scenes, half of them ID and half OOC; fewer where the dataset has fewer.
    samples : int
        Paths per pixel and picture; 4, 8 or 16 pictures are drawn for 1, 2 or 3 objects.
    workers : int
        Blender processes.
    progress : callable
        Told (scenes done, scenes in all).
    make_executor : callable, optional
        Any maker of executors whose workers have Blender.

    Returns
    -------
    Report
        The summary and the paths written.

    Raises
    ------
    InvalidInputError
        When the folder holds no dataset, or none of its scenes can be measured.
    ResourceError
        When Blender, disk space or a worker fails.
    """
    plan = load_plan(folder)
    indices = choose(plan, scenes)
    about = {"format": "recombine.interaction/1", "plan_sha256": plan.digest()}
    job = Job(folder, "interaction", {**about, "samples": samples, "scenes": indices.tolist()})
    arrays = compute(
        job,
        functools.partial(measure_rows, folder, indices, samples),
        len(indices),
        step=SCENES_PER_UNIT,
        workers=workers,
        progress=progress,
        make_executor=make_executor,
    )
    found = {"dataset": plan.dataset, **about, "samples": samples}
    found |= summary(arrays, _groups(plan, arrays["index"]))
    report = Report(found, job.target, folder / "interaction.json", folder / "interaction.png")
    write_json(report.table, found)
    write_bytes(report.picture, picture(arrays, _titles(plan, arrays["index"])))
    return report


def measure_rows(folder: Path, indices: Int64[Array, " n"], samples: int, rows: range) -> Arrays:
    """Measure some of the chosen scenes in this worker.

    Parameters
    ----------
    folder : Path
        A sealed dataset.
    indices : int64 array of shape (n,)
        The chosen scenes.
    samples : int
        Paths per pixel.
    rows : range
        Which of ``indices``.

    Returns
    -------
    dict of str to array
        The datasets of ``interaction.h5``, as named and described in `Measured`.
    """
    plan, data = load_plan(folder), Dataset(folder)
    settings = replace(plan.settings, samples=samples, denoise=False)
    picked = indices[rows.start : rows.stop]
    masks = data.masks(picked)
    found = [
        measure_scene(plan.scene(int(i)), settings, mask)
        for i, mask in zip(picked, masks, strict=True)
    ]
    arrays = {"index": picked}
    arrays |= {name: np.stack([getattr(m, name) for m in found]) for name in vars(found[0])}
    arrays["second"] = arrays["second"].astype(np.float16)
    return arrays


def _fits(plan: Plan, index: int) -> bool:
    return 1 <= sum(thing is not None for thing in plan.scene(index).objects) <= MAX_OBJECTS


def _groups(plan: Plan, index: Int64[Array, " n"]) -> dict[str, Array]:
    """Return which rows belong to which group of the summary."""
    groups = {part: plan.split[index] == SPLITS.index(part) for part in PARTS}
    if LEVEL in plan.latents:
        names = plan.schema.factor(LEVEL).values
        level = plan.latents[LEVEL][index]
        groups |= {f"level {name}": level == code for code, name in enumerate(names)}
    return groups


def _titles(plan: Plan, index: Int64[Array, " n"]) -> list[str]:
    def title(i: int) -> str:
        text = f"{i} {'OOC' if SPLITS[plan.split[i]] == 'ooc_test' else 'ID'}"
        if LEVEL in plan.latents:
            text += f"\n{plan.schema.factor(LEVEL).values[plan.latents[LEVEL][i]]}"
        return text

    return [title(int(i)) for i in index]
