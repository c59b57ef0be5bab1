"""Rendered tangents: training images drawn again with one slot changed a little.

The change of an image per unit of a latent is a column of the true decoder's Jacobian, here by a
one-sided difference of two renders with one Cycles seed, undenoised, in display units. A slot that
has no continuous latent changes its value instead, to one that training saw with the other slots:
no out-of-combination image is ever drawn.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.core.types import Array
from recombine.renderer.measure.job import Arrays, Job, compute
from recombine.renderer.planning.plan import Plan
from recombine.renderer.scenes.scene import OBJECT_FIELDS, scene_of
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.shards import load_plan

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

STEP = 0.2  # standard deviations of a uniform latent; radians of a periodic one
IMAGES_PER_UNIT = 8
_GROUND = "background.environment"
Nudge = tuple[dict[str, Any], float]
"""Changed latents, and the length of the change in standardised columns."""


def render_tangents(
    folder: Path,
    *,
    images: int = 256,
    samples: int = 64,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    make_executor: Callable[[], Executor] | None = None,
    out: Path | None = None,
) -> Path:
    """Draw training images with every slot changed a little, and write ``tangents.h5``.

    Parameters
    ----------
    folder : Path
        A sealed dataset.
    images : int
        Training images, drawn by a keyed seed; fewer where the dataset has fewer.
    samples : int
        Paths per pixel.
    workers, progress, make_executor, out
        As for `recombine.renderer.measure.influence.mask_dataset`.

    Returns
    -------
    Path
        File with ``pixel_hash`` (uint8, (n, 32)) of the stored image, ``slot`` (int64, (n, 2)) and
        ``tangent`` (float16, (n, 2, H, W, 3)): display units in [0, 1] per unit of the slot's
        standardised columns, for two different slots of each image.

    Raises
    ------
    InvalidInputError
        When the folder holds no dataset, or its scenes have fewer than two slots to change.
    ResourceError
        When Blender, disk space or a worker fails.
    """
    plan = load_plan(folder)
    trained = np.flatnonzero(_trained(plan))
    rng = keyed_rng(plan.dataset, "1", "tangents", 0)
    chosen = np.sort(rng.permutation(trained)[:images])
    about = {"format": "recombine.tangents/1", "plan_sha256": plan.digest(), "samples": samples}
    job = Job(out or folder, "tangents", {**about, "images": chosen.tolist()})
    work = functools.partial(tangent_rows, folder, chosen, samples)
    compute(
        job,
        work,
        len(chosen),
        step=IMAGES_PER_UNIT,
        workers=workers,
        progress=progress,
        make_executor=make_executor,
    )
    return job.target


def nudges(plan: Plan, index: int) -> dict[int, Nudge]:
    """Choose one small change for every slot of an image that has one."""
    latents = {key: column[index] for key, column in plan.latents.items()}
    rng = keyed_rng(plan.dataset, "1", "nudge", index)
    found: dict[int, Nudge] = {}
    for number, slot in enumerate(plan.schema.slots):
        keys = [f"{slot.name}.{f.name}" for f in slot.factors]
        smooth = [k for k in keys if _smooth(plan, k)]
        if smooth and latents.get(f"{slot.name}.present", 1):
            key = smooth[rng.integers(len(smooth))]
            found[number] = _shifted(plan, latents, key)
        elif slot.name == "background" and (twins := _twins(plan, latents, _GROUND)):
            value = twins[rng.integers(len(twins))]
            found[number] = ({**latents, _GROUND: value}, math.sqrt(2))
    return found


def tangent_rows(folder: Path, chosen: Int64[Array, " n"], samples: int, rows: range) -> Arrays:
    """Draw the tangents of some of the chosen images in this worker; see `render_tangents`."""
    from recombine.renderer.blender import tonemap
    from recombine.renderer.blender.draw import render_radiance

    plan, data = load_plan(folder), Dataset(folder)
    settings = replace(plan.settings, samples=samples, denoise=False)
    picked = chosen[rows.start : rows.stop]

    def display(latents: Mapping[str, Any], index: int) -> Array:
        seed = int(plan.cycles_seed[index])
        scene = scene_of(plan.schema, plan.config["constants"], latents, seed, plan.assets)
        return tonemap.display(render_radiance(scene, settings)) / 255

    slots, tangents = [], []
    for index in picked.tolist():
        some = list(nudges(plan, index).items())
        if len(some) < 2:
            raise InvalidInputError(
                f"tangents: expected two slots that can change in every scene of {plan.dataset}; "
                f"image {index} has {len(some)}. Choose a dataset with another slot."
            )
        order = keyed_rng(plan.dataset, "1", "slots", index).permutation(len(some))[:2]
        pair = [some[i] for i in np.sort(order)]
        base = display({key: column[index] for key, column in plan.latents.items()}, index)
        slots.append([number for number, _ in pair])
        tangents.append([(display(moved, index) - base) / step for _, (moved, step) in pair])
    return {
        "pixel_hash": np.asarray(data.annotation("pixel_hash", picked)),
        "slot": np.array(slots, np.int64),
        "tangent": np.array(tangents).astype(np.float16),
    }


def _smooth(plan: Plan, key: str) -> bool:
    slot, _, name = key.partition(".")
    moves = name in OBJECT_FIELDS if slot in plan.schema.objects else key == "light.azimuth"
    return moves and not plan.schema.factor(key).values


def _shifted(plan: Plan, latents: Mapping[str, Any], key: str) -> Nudge:
    factor, value = plan.schema.factor(key), float(latents[key])
    if factor.kind == "periodic":
        return {**latents, key: (value + STEP) % (2 * math.pi)}, STEP
    move = STEP * (factor.high - factor.low) / math.sqrt(12)
    inside = value + move <= factor.high
    return {**latents, key: value + move if inside else value - move}, STEP if inside else -STEP


def _twins(plan: Plan, latents: Mapping[str, Any], key: str) -> list[int]:
    """Return the other values of a factor that training saw with this image's other values."""
    same = [plan.latents[k] == latents[k] for k in plan.schema.recombined if k != key]
    alike = np.logical_and.reduce([_trained(plan), *same])
    return sorted(set(plan.latents[key][alike].tolist()) - {int(latents[key])})


def _trained(plan: Plan) -> Bool[Array, " N"]:
    """Return which images train every rung of the dataset's ladder."""
    trained = plan.split == SPLITS.index("id_train")
    every = np.bitwise_or.reduce(plan.rungs[trained])
    mine: Array = trained & (plan.rungs == every)
    return mine
