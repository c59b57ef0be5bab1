"""How much the objects of a scene interact in its pixels, measured by mixed differences.

Objects are removed in every combination and each combination is drawn with one Cycles seed, in
linear radiance, without denoising. The picture f of a set S of present objects splits exactly
into terms (the Moebius transform over subsets)

    m(S) = sum over T inside S of (-1)^(|S| - |T|) f(T),      f(S) = sum over T inside S of m(T).

m of one object is what it adds to the empty scene, m of two what neither adds alone (a shadow of
one on the other, a reflection, occlusion), and so on. All terms of order 2 and more are 0 if and
only if the picture is the sum of its parts: additive in the presence of objects. Removal is
what is measured; how a picture depends jointly on the *values* of two slots is another question.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.files import write_bytes, write_json
from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.core.types import Array
from recombine.renderer.measure.job import Arrays, Job, compute
from recombine.renderer.measure.pictures import picture
from recombine.renderer.planning.plan import Plan
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.shards import load_plan

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int64, UInt8

    from recombine.renderer.scenes.scene import RenderSettings, Scene


MAX_OBJECTS = 3
VISIBLE = 4.0  # display units of 255: the least difference that counts as visible
_ROUNDING = 16 * float(np.finfo(np.float32).eps)
"""Mixed differences below this share of a pixel's radiance are the rounding of its paths' sum."""
_OTHER_SEED = 0x2545F491  # any constant: the second seed of a scene differs from its first
_LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. 709


@dataclass(frozen=True)
class Measured:
    """The interaction of one scene."""

    energy: Float64[Array, " 3"]
    # what Monte-Carlo noise alone would contribute to the energy of the mean of the two maps
    floor: Float64[Array, " 3"]
    energy_se: Float64[Array, " 3"]  # standard error of `energy` over Monte-Carlo noise
    # share of pixels in which picture and sum of parts differ visibly, by more than 4/255
    share: float
    # the same for half the difference of the two estimates, which is noise alone
    share_floor: float
    zero: float  # share of pixels in which every term of order 2 and more is 0, to single precision
    # share of the first-order energy that lies outside the objects' masks, grown by one pixel:
    # shadows, light and reflections on the environment
    outside: float
    # luminance of all second-order terms together, signed, linear radiance
    second: Float[Array, "H W"]
    scene: UInt8[Array, "H W 3"]  # the picture, and the sum of its parts (terms of order 0 and 1)
    parts: UInt8[Array, "H W 3"]  # the picture, and the sum of its parts (terms of order 0 and 1)
    objects: int  # number of objects; there is no term of a higher order


def terms(renders: Float[Array, "S ..."]) -> Float64[Array, "S ..."]:
    """Return the terms of every subset from the pictures of every subset."""
    out = np.array(renders, np.float64)
    count = len(out).bit_length() - 1
    if len(out) != 2**count:
        raise InvalidInputError(
            f"terms: expected the pictures of all 2, 4 or 8 subsets; got {len(out)} pictures. "
            "Draw every combination of present and absent objects."
        )
    for bit in range(count):
        # Axes: higher bits, this bit, lower bits and pixels.
        halves = out.reshape(2 ** (count - bit - 1), 2, -1)
        halves[:, 1] -= halves[:, 0]
    return out


def orders(count: int) -> Int64[Array, " S"]:
    """Return the number of objects in each of the subsets of ``count`` objects."""
    return np.array([s.bit_count() for s in range(2**count)])


def energies(
    first: Float[Array, "S H W C"], second: Float[Array, "S H W C"]
) -> tuple[Float64[Array, " 3"], Float64[Array, " 3"], Float64[Array, " 3"]]:
    """Return energy, Monte-Carlo floor and standard error of every order."""
    # With independent estimates a and b of a term, E[a . b] is its energy, whatever the noise. For
    # symmetric noise, ((|a|^2 - |b|^2) / 2)^2 estimates the variance of a . b in a pixel, and |a -
    # b|^2 / 4 the energy that noise adds to the mean of both. Pixels count as independent.
    order = orders(len(first).bit_length() - 1)
    values = first[0].size
    energy, floor, error = np.zeros(3), np.zeros(3), np.zeros(3)
    for n in range(1, int(order.max()) + 1):
        a, b = first[order == n], second[order == n]
        energy[n - 1] = (a * b).sum() / values
        floor[n - 1] = ((a - b) ** 2).sum() / 4 / values
        # Terms of one order share their paths, so a pixel is summed over them before squaring.
        spread = ((a**2).sum((0, -1)) - (b**2).sum((0, -1))) / 2
        error[n - 1] = np.sqrt((spread**2).sum()) / values
    return energy, floor, error


def subsets(scene: Scene) -> list[Scene]:
    """Return a scene with its objects removed in every combination."""
    present = [i for i, thing in enumerate(scene.objects) if thing is not None]
    if not 1 <= len(present) <= MAX_OBJECTS:
        raise InvalidInputError(
            f"interaction: expected 1 to {MAX_OBJECTS} objects in a scene; got {len(present)}. "
            "Measure scenes with fewer objects: the pictures needed double with each."
        )
    out = []
    for s in range(2 ** len(present)):
        gone = {i for k, i in enumerate(present) if not s >> k & 1}
        kept = (None if i in gone else thing for i, thing in enumerate(scene.objects))
        out.append(replace(scene, objects=tuple(kept)))
    return out


def measure(
    first: Float[Array, "S H W 3"], second: Float[Array, "S H W 3"], mask: UInt8[Array, "H W"]
) -> Measured:
    """Measure the interaction of a scene from the pictures of its subsets."""
    from recombine.renderer.blender.tonemap import display, encode

    a, b = _settled(first), _settled(second)
    order = orders(len(a).bit_length() - 1)
    energy, floor, error = energies(a, b)
    mean = (a + b) / 2
    whole, mixed = mean.sum(0), mean[order >= 2].sum(0)
    noise = (a - b)[order >= 2].sum(0) / 2
    high = np.concatenate([a[order >= 2], b[order >= 2]])
    beyond = ~_grown(mask > 0)
    spilt = (a * b)[order == 1][:, beyond].sum() / whole.size

    def seen(change: Array) -> float:
        return float((np.abs(display(whole) - display(whole - change)).max(-1) > VISIBLE).mean())

    return Measured(
        energy=energy,
        floor=floor,
        energy_se=error,
        share=seen(mixed),
        share_floor=seen(noise),
        zero=float((high == 0).all((0, -1)).mean()),
        outside=float(spilt / energy[0]) if energy[0] > 0 else 0.0,
        second=(mean[order == 2].sum(0) @ _LUMINANCE).astype(np.float32),
        scene=encode(whole),
        parts=encode(whole - mixed),
        objects=int(order.max()),
    )


def measure_scene(scene: Scene, settings: RenderSettings, mask: UInt8[Array, "H W"]) -> Measured:
    """Draw the subsets of a scene with two seeds and measure its interaction."""
    from recombine.renderer.blender.draw import render_radiance

    if settings.denoise:
        raise InvalidInputError(
            "interaction: expected settings without denoising, which mixes pixels and is not "
            "additive; got denoise=True. Set denoise=False."
        )
    seeds = (scene.cycles_seed, scene.cycles_seed ^ _OTHER_SEED)
    first, second = (
        np.stack([render_radiance(replace(s, cycles_seed=n), settings) for s in subsets(scene)])
        for n in seeds
    )
    return measure(first, second, mask)


def _settled(renders: Float[Array, "S H W 3"]) -> Float64[Array, "S H W 3"]:
    """Return the terms, those of order 2 and more that are mere rounding set to 0."""
    found = terms(renders)
    mixed = orders(len(found).bit_length() - 1) >= 2
    brightest = np.abs(renders).max((0, -1), keepdims=True)
    found[mixed] *= np.abs(found[mixed]) > _ROUNDING * brightest
    return found


def _grown(mask: Bool[Array, "H W"]) -> Bool[Array, "H W"]:
    # The pixel filter reaches three quarters of a pixel beyond the edge.
    wide = np.pad(mask, 1)
    height, width = mask.shape
    shifts = [wide[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.asarray(np.logical_or.reduce(shifts))


# From the interaction of scenes to that of a dataset.

CLEAR = 3.0
"""Standard errors above 0 from which an energy counts as measured."""


def summary(arrays: Mapping[str, Array], groups: Mapping[str, Bool[Array, " n"]]) -> dict[str, Any]:
    """Return the interaction of groups of scenes as plain data."""
    everything = np.ones(len(arrays["index"]), bool)
    found = {name: group(arrays, rows) for name, rows in groups.items() if rows.any()}
    return {
        "scenes": len(everything),
        "all": group(arrays, everything),
        "groups": found,
        "contrasts": {
            f"{b} - {a}": _contrast(found[a], found[b])
            for a, b in itertools.pairwise(found)
            if a.split()[0] == b.split()[0] or a == "id_test"
        },
    }


def _contrast(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, float]:
    noise, spread = (math.hypot(a[k][0], b[k][0]) for k in ("relative_se", "relative_spread"))
    return {"difference": b["relative"][0] - a["relative"][0], "se": noise, "spread": spread}


def group(arrays: Mapping[str, Array], rows: Bool[Array, " n"]) -> dict[str, Any]:
    """Return the interaction of one group of scenes."""
    n = int(rows.sum())
    energy, floor = arrays["energy"][rows], arrays["floor"][rows]
    error = np.sqrt((arrays["energy_se"][rows] ** 2).sum(0)) / n
    mean = energy.mean(0)
    first = mean[0] if mean[0] > 0 else math.inf
    verdicts = [
        _verdict(mean[n], error[n], floor[:, n].max(), bool((arrays["objects"][rows] > n).any()))
        for n in (1, 2)
    ]
    means = {k: float(arrays[k][rows].mean()) for k in ("share", "share_floor", "zero", "outside")}
    return {
        "scenes": n,
        "energy": mean.tolist(),
        "relative": (mean[1:] / first).tolist(),
        "relative_se": (error[1:] / first).tolist(),
        "relative_floor": (floor.mean(0)[1:] / first).tolist(),
        "relative_spread": _jackknife(energy).tolist(),
        "verdict": verdicts,
        **means,
    }


def _jackknife(energy: Array) -> Array:
    """Return the standard error over scenes of the ratios of order 2 and 3 to order 1."""
    n = len(energy)
    if n < 2:
        return np.zeros(2)
    without = energy.sum(0) - energy
    ratio = without[:, 1:] / np.maximum(without[:, :1], np.finfo(float).tiny)
    return np.asarray(np.sqrt((n - 1) / n * ((ratio - ratio.mean(0)) ** 2).sum(0)))


def _verdict(energy: float, error: float, floor: float, exists: bool) -> str:
    if not exists:
        return "no such order"
    if energy == error == floor == 0:
        return "zero"
    return "measured" if energy > CLEAR * error else "at the floor"


# Measuring the interaction of a rendered dataset, in-combination against out-of-combination.

LEVEL = "scene.interaction"
"""The key of the schema that holds the level of the dial, where a dataset varies it."""
PARTS = ("id_test", "ooc_test")
SCENES_PER_UNIT = 2


@dataclass(frozen=True)
class Report:
    """What a measurement wrote."""

    summary: dict[str, Any]  # the content of ``interaction.json``
    data: Path  # ``interaction.h5``, ``interaction.json`` and ``interaction.png``
    table: Path  # ``interaction.h5``, ``interaction.json`` and ``interaction.png``
    picture: Path  # ``interaction.h5``, ``interaction.json`` and ``interaction.png``


def choose(plan: Plan, scenes: int) -> Int64[Array, " n"]:
    """Choose test scenes to measure: as many ID as OOC, from matched blocks."""
    # Pairs of one ID and one OOC image are drawn from every block in turn, and from every level of
    # the dial where the dataset has several, so both sides share their nuisances. Which cells of a
    # block come first follows from a keyed seed, not from anything measured.
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
    out: Path | None = None,
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
    out : Path, optional
        Folder to write into; the dataset's own by default.

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
    plan, home = load_plan(folder), out or folder
    indices = choose(plan, scenes)
    about = {"format": "recombine.interaction/1", "plan_sha256": plan.digest()}
    job = Job(home, "interaction", {**about, "samples": samples, "scenes": indices.tolist()})
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
    report = Report(found, job.target, home / "interaction.json", home / "interaction.png")
    write_json(report.table, found)
    write_bytes(report.picture, picture(arrays, _titles(plan, arrays["index"])))
    return report


def measure_rows(folder: Path, indices: Int64[Array, " n"], samples: int, rows: range) -> Arrays:
    """Measure some of the chosen scenes in this worker."""
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
