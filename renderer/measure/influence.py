"""Counterfactual pairs: two scenes that differ in one thing, and the pixels that it influences.

Both pictures are drawn with one Cycles seed, in linear radiance, without denoising. A path that
the change does not touch is then the same to the last bit, so a pixel that is equal in both is
not influenced by any of its paths.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.files import write_bytes, write_json
from recombine.renderer.core.types import Array
from recombine.renderer.measure.interaction import PARTS, VISIBLE
from recombine.renderer.measure.job import Arrays, Job, compute
from recombine.renderer.measure.pictures import MIDDLE, WARM, sheet
from recombine.renderer.planning.plan import Plan
from recombine.renderer.scenes.scene import Scene
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.shards import load_plan

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64


EDIT = "scene.edit"
"""The key of the schema that says what was edited, code 0 being the unedited scene."""


def influence_mask(
    a: Float[Array, "H W C"], b: Float[Array, "H W C"], *, threshold: float = 0.0
) -> Bool[Array, "H W"]:
    """Return the pixels that a change influences."""
    if a.shape != b.shape or not threshold >= 0:
        raise InvalidInputError(
            f"influence_mask: expected two pictures of one shape and a threshold >= 0; got "
            f"{a.shape}, {b.shape} and {threshold}. Draw both with the same settings."
        )
    difference = np.abs(np.asarray(a, np.float64) - b).max(-1)
    return np.asarray(difference > threshold)


def edit_between(a: Scene, b: Scene) -> str | None:
    """Name the one thing in which two scenes differ."""
    if a.cycles_seed != b.cycles_seed or len(a.objects) != len(b.objects):
        return None
    found = []
    for k, (one, other) in enumerate(zip(a.objects, b.objects, strict=True)):
        if one != other:
            found.append(f"object{k}" if one and other else f"without-object{k}")
    if a.environment != b.environment:
        found.append("background")
    if (a.light, a.sun_azimuth) != (b.light, b.sun_azimuth):
        found.append("light")
    if a.interaction != b.interaction:
        found.append("interaction")
    return found[0] if len(found) == 1 else None


def find_pairs(plan: Plan, indices: Int64[Array, " n"]) -> list[tuple[int, int, str]]:
    """Pair every image with the nearest image before it that differs in one thing."""
    # Where the dataset has edits of base scenes, only an unedited scene can come first in a pair.
    edits = plan.latents.get(EDIT)
    pairs = []
    for block in np.unique(plan.block[indices]):
        before: list[tuple[int, Scene]] = []
        for index in indices[plan.block[indices] == block].tolist():
            scene = plan.scene(index)
            is_base = edits is None or edits[index] == 0
            if edits is None or not is_base:
                pairs += _nearest(before, index, scene)
            if is_base:
                before.append((index, scene))
    return sorted(pairs, key=lambda pair: pair[1])


def _nearest(
    before: list[tuple[int, Scene]], index: int, scene: Scene
) -> list[tuple[int, int, str]]:
    for other, base in reversed(before):
        edit = edit_between(base, scene)
        if edit is not None:
            return [(other, index, edit)]
    return []


# Influence masks of a rendered dataset's counterfactual pairs.

PAIRS_PER_UNIT = 12
Pair = tuple[int, int, str]


@dataclass(frozen=True)
class Masks:
    """What was written."""

    summary: dict[str, Any]  # the content of ``counterfactual.json``
    data: Path  # ``counterfactual.h5``, ``counterfactual.json`` and ``counterfactual.png``
    table: Path  # ``counterfactual.h5``, ``counterfactual.json`` and ``counterfactual.png``
    picture: Path  # ``counterfactual.h5``, ``counterfactual.json`` and ``counterfactual.png``


def choose_pairs(plan: Plan, count: int) -> list[Pair]:
    """Choose test pairs: as many of every kind of edit, ID and OOC, as there are."""
    tested = np.flatnonzero(np.isin(plan.split, [SPLITS.index(p) for p in PARTS]))
    turns: dict[tuple[str, int], int] = {}
    ranked = []
    for pair in find_pairs(plan, tested):
        kind = (pair[2], int(plan.split[pair[1]]))
        turns[kind] = turns.get(kind, -1) + 1
        ranked.append((turns[kind], pair))
    if not ranked:
        raise InvalidInputError(
            f"counterfactual: expected test images of {plan.dataset} that differ in one slot or "
            "one removed object; found none. Render the preset counterfactual."
        )
    return sorted(pair for _, pair in sorted(ranked)[: count or None])


def mask_dataset(
    folder: Path,
    *,
    pairs: int = 0,
    samples: int = 0,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    make_executor: Callable[[], Executor] | None = None,
    out: Path | None = None,
) -> Masks:
    """Draw counterfactual pairs of a dataset undenoised and write their influence masks.

    Parameters
    ----------
    folder : Path
        A sealed dataset.
    pairs : int
        Test pairs; 0 takes all.
    samples : int
        Paths per pixel; 0 takes the dataset's own.
    workers : int
        Blender processes.
    progress : callable
        Told (pairs done, pairs in all).
    make_executor : callable, optional
        Any maker of executors whose workers have Blender.
    out : Path, optional
        Folder to write into; the dataset's own by default.

    Returns
    -------
    Masks
        The summary and the paths written.

    Raises
    ------
    InvalidInputError
        When the folder holds no dataset, or the dataset no pairs.
    ResourceError
        When Blender, disk space or a worker fails.
    """
    plan, home = load_plan(folder), out or folder
    chosen = choose_pairs(plan, pairs)
    names = _names(chosen)
    paths = samples or plan.settings.samples
    about: dict[str, Any] = {"format": "recombine.counterfactual/1", "plan_sha256": plan.digest()}
    about |= {"samples": paths, "edits": ",".join(names)}
    job = Job(home, "counterfactual", {**about, "pairs": [list(pair[:2]) for pair in chosen]})
    arrays = compute(
        job,
        functools.partial(mask_rows, folder, chosen, paths),
        len(chosen),
        step=PAIRS_PER_UNIT,
        workers=workers,
        progress=progress,
        make_executor=make_executor,
    )
    kinds = {name: _kind(arrays, arrays["edit"] == i) for i, name in enumerate(names)}
    found = {"dataset": plan.dataset, **about, "pairs": len(chosen), "kinds": kinds}
    done = Masks(found, job.target, *(home / f"counterfactual.{x}" for x in ("json", "png")))
    write_json(done.table, found)
    write_bytes(done.picture, _picture(arrays, names))
    return done


def mask_rows(folder: Path, pairs: list[Pair], samples: int, rows: range) -> Arrays:
    """Draw some of the chosen pairs in this worker."""
    from recombine.renderer.blender import tonemap
    from recombine.renderer.blender.draw import render_radiance

    plan = load_plan(folder)
    settings = replace(plan.settings, samples=samples, denoise=False)
    names = _names(pairs)

    @functools.lru_cache(maxsize=2)  # a base scene serves several pairs in a row
    def radiance(index: int) -> Array:
        return render_radiance(plan.scene(index), settings)

    picked = pairs[rows.start : rows.stop]
    out: dict[str, list[Array]] = {name: [] for name in ("mask", "visible", "a", "b")}
    for first, second, _ in picked:
        a, b = radiance(first), radiance(second)
        shown = tonemap.display(a), tonemap.display(b)
        out["mask"].append(influence_mask(a, b).astype(np.uint8))
        out["visible"].append(influence_mask(*shown, threshold=VISIBLE).astype(np.uint8))
        out["a"].append(tonemap.encode(a))
        out["b"].append(tonemap.encode(b))
    return {
        "index_a": np.array([pair[0] for pair in picked], np.int64),
        "index_b": np.array([pair[1] for pair in picked], np.int64),
        "edit": np.array([names.index(pair[2]) for pair in picked], np.uint8),
        **{name: np.stack(values) for name, values in out.items()},
    }


def _names(pairs: list[Pair]) -> list[str]:
    return sorted({edit for _, _, edit in pairs})


def _kind(arrays: Arrays, rows: Array) -> dict[str, float]:
    """Return the number of pairs of one kind and the mean shares of influenced pixels."""
    shares = {name: float(arrays[name][rows].mean()) for name in ("mask", "visible")}
    return {"pairs": int(rows.sum()), **shares}


def _picture(arrays: Arrays, names: list[str]) -> bytes:
    """Draw pairs and their masks: pale where a pixel differs at all, red where one sees it."""
    pale = (np.array(MIDDLE) + WARM) / 2
    level = (arrays["mask"] + arrays["visible"]).astype(int)
    palette = np.array([MIDDLE, pale, WARM]).astype(np.uint8)
    tiles = {"before": arrays["a"], "after": arrays["b"], "influence": palette[level]}
    order = np.argsort(arrays["edit"], kind="stable")
    titles = [names[arrays["edit"][i]].replace("-", "\n") for i in order]
    note = "pale: differs at all; red: by more than 4/255 on the display"
    return sheet({name: values[order] for name, values in tiles.items()}, titles, note)
