"""Images drawn again from their stored latents: to compare them, or as a dataset's reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recombine.renderer.certificate.evidence import Redraw
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.core.provenance import PACKAGES, Build, other_build, provenance
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import Plan
from recombine.renderer.rendering.pool import local_pool
from recombine.renderer.rendering.render import require_blender, start_worker
from recombine.renderer.scenes.scene import Rendered, RenderSettings, Scene
from recombine.renderer.store.agreement import IMAGE_DB, agreement, psnr
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.reference import EDGES, choose, write_reference
from recombine.renderer.store.shards import (
    label_hash,
    listed_differences,
    load_plan,
    pixel_hash,
    shard_build,
    shard_provenance,
)

GROUP = 8  # images
CAST_GROUP = 64  # images: to annotate one takes a hundredth of the time that drawing it takes
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Comparison:
    """How an image drawn again compares with the stored one.

    Attributes
    ----------
    index : int
        The image.
    build : tuple of str
        How this build differs from the one that drew the stored image; empty when it is the same.
    pixels_equal, labels_equal : bool
        Whether all colours, and all annotations, are the same to the last bit.
    psnr : float or None
        Peak signal-to-noise ratio in dB; None when the pixels are equal (it would be infinite).
    max_difference : int
        Largest difference of a colour value, 0 to 255.
    differing : float
        Share of pixels that differ, 0 to 1.
    near : bool
        Whether another processor may have made all the difference, see `agreement`.
    """

    index: int
    build: tuple[str, ...]
    pixels_equal: bool
    labels_equal: bool
    psnr: float | None
    max_difference: int
    differing: float
    near: bool

    @property
    def passed(self) -> bool:
        """Tell whether the promise holds: bit-exact on the recorded build, close elsewhere."""
        if not self.build:
            return self.pixels_equal and self.labels_equal
        return self.near and self.labels_equal

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, with the verdict and the tolerance."""
        return asdict(self) | {"passed": self.passed, "tolerance_db": IMAGE_DB}


def rerender(folder: Path, index: int, *, resolution: int | None = None) -> Rendered:
    """Draw one image of a dataset again from its stored latents, in a fresh Blender process."""
    data = Dataset(folder)
    _require_index(data, index)
    if resolution is not None and not 16 <= resolution <= 1024:
        raise InvalidInputError(
            f"rerender: --resolution expects 16 to 1024 pixels; got {resolution}. Use 256."
        )
    require_blender()
    with local_pool(1, start_worker)() as pool:
        return pool.submit(_draw, folder, index, resolution).result()


def compare(folder: Path, index: int, drawn: Rendered) -> Comparison:
    """Compare an image with the stored one.

    Parameters
    ----------
    folder : Path
        A sealed dataset.
    index : int
        The image, from 0.
    drawn : Rendered
        What `rerender` returned at the dataset's own resolution.

    Raises
    ------
    IntegrityError
        When the stored pixels do not match their own stored hash.
    """
    data = Dataset(folder)
    _require_index(data, index)
    stored = data.image(index)
    hashes = {k: data.annotation(k, [index])[0].tobytes() for k in ("pixel_hash", "label_hash")}
    if pixel_hash(stored) != hashes["pixel_hash"]:
        raise IntegrityError(
            f"rerender: image {index} of {folder} must match its stored hash; it was changed. "
            f"See `recombine dataset verify {folder}`."
        )
    return Comparison(
        index=index,
        build=tuple(_build(data, index)),
        pixels_equal=pixel_hash(drawn.image) == hashes["pixel_hash"],
        labels_equal=label_hash(vars(drawn)) == hashes["label_hash"],
        psnr=psnr(stored, drawn.image),
        max_difference=int(np.abs(stored.astype(int) - drawn.image).max()),
        differing=float((stored != drawn.image).any(axis=-1).mean()),
        near=agreement([(stored, drawn.image)]).close,
    )


def redraw(folder: Path, per_split: int, *, workers: int = 1) -> Redraw:
    """Return how `verify` draws some images of every split again, in fresh Blender processes.

    Parameters
    ----------
    folder : Path
        A sealed dataset.
    per_split : int
        Images of each split, at least 1.
    workers : int
        Blender processes.

    Raises
    ------
    UsageError
        When the number is below 1.
    ResourceError
        When Blender is not there.
    """
    if per_split < 1:
        raise UsageError(f"verify: --redraw expects 1 or more images; got {per_split}.")
    require_blender()

    def draw(indices: Sequence[int]) -> Iterator[Rendered]:
        return draw_some(load_plan(folder), indices, workers=workers)

    return Redraw(per_split, draw)


def draw_reference(
    plan: Plan,
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress = lambda _done, _total: None,
) -> Path:
    """Draw the reference of a plan: 64 of its images, nothing of the rest.

    Parameters
    ----------
    plan : Plan
        Of the whole dataset.
    folder : Path
        Where ``reference.json`` and ``windows.webp`` are written.
    workers : int
        Blender processes.
    progress : callable
        Told (images done, images in all).

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ResourceError
        When Blender is not there.
    IntegrityError
        When the renderer's sources change meanwhile.
    """
    require_blender()
    before = Build.here()
    index = choose(plan, EDGES[0]).index
    drawn = []
    progress(0, len(index))
    for image in draw_some(plan, index.tolist(), workers=workers):
        drawn.append(image)
        progress(len(drawn), len(index))
    if differs := before.differences(Build.here()):
        raise IntegrityError(
            f"reference: {plan.dataset} must be drawn with one build; while it was drawn "
            f"{listed_differences(differs)}. Draw it again."
        )
    return write_reference(
        folder,
        plan,
        [one.image for one in drawn],
        [label_hash(vars(one)) for one in drawn],
        build=before,
    )


def draw_some(plan: Plan, indices: Sequence[int], *, workers: int) -> Iterator[Rendered]:
    """Draw some images of a plan in fresh Blender processes, in the order they are asked for."""
    with local_pool(workers, start_worker)() as pool:
        # In groups: a process is replaced after so many calls, and each one loads Blender anew.
        groups = [indices[k : k + GROUP] for k in range(0, len(indices), GROUP)]
        scenes = [[plan.scene(i) for i in group] for group in groups]
        for group in pool.map(partial(_draw_scenes, plan.settings), scenes):
            yield from group


def _draw_scenes(settings: RenderSettings, scenes: Sequence[Scene]) -> list[Rendered]:
    from recombine.renderer.blender import worker

    return [worker.render_one(scene, settings) for scene in scenes]


def cast_some(plan: Plan, indices: Sequence[int], *, workers: int) -> Iterator[dict[str, Array]]:
    """Annotate some images of a plan in fresh Blender processes, by rays and without drawing."""
    require_blender()
    with local_pool(workers, start_worker)() as pool:
        groups = [indices[k : k + CAST_GROUP] for k in range(0, len(indices), CAST_GROUP)]
        scenes = [[plan.scene(i) for i in group] for group in groups]
        for group in pool.map(partial(_cast_scenes, plan.settings.resolution), scenes):
            yield from group


def _cast_scenes(resolution: int, scenes: Sequence[Scene]) -> list[dict[str, Array]]:
    from recombine.renderer.blender.draw import cast_labels

    return [cast_labels(scene, resolution) for scene in scenes]


def _draw(folder: Path, index: int, resolution: int | None) -> Rendered:
    from recombine.renderer.blender import worker

    plan = load_plan(folder)
    settings = replace(plan.settings, resolution=resolution or plan.settings.resolution)
    return worker.render_one(plan.scene(index), settings)


def _build(data: Dataset, index: int) -> list[str]:
    entry = next(s for s in data.manifest["shards"] if s["start"] <= index < s["stop"])
    path = data.path / entry["file"]
    differs = other_build(shard_provenance(path), provenance())
    sources = shard_build(path).differences(Build.here())
    differs += [one for one in sources if one.partition(" ")[0] not in PACKAGES]
    recorded = data.annotation("spec_hash", [index])[0].tobytes().hex()
    if load_plan(data.path).spec_hash(index) != recorded:
        differs.append("the description of scenes has changed since")
    return differs


def _require_index(data: Dataset, index: int) -> None:
    if not 0 <= index < len(data):
        raise InvalidInputError(
            f"rerender: --index expects 0..{len(data) - 1} for {data.path}; got {index}."
        )
