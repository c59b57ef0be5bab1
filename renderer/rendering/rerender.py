"""`rerender`: draw one image again from its stored latents, and compare it with what is stored."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.provenance import other_build, provenance
from recombine.renderer.rendering.pool import local_pool
from recombine.renderer.rendering.render import require_blender, start_worker
from recombine.renderer.scenes.scene import Rendered
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.shards import label_hash, load_plan, pixel_hash, shard_provenance

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from recombine.renderer.core.types import Array

TOLERANCE_DB = 45.0


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
    """

    index: int
    build: tuple[str, ...]
    pixels_equal: bool
    labels_equal: bool
    psnr: float | None
    max_difference: int
    differing: float

    @property
    def passed(self) -> bool:
        """Tell whether the promise holds: bit-exact on the recorded build, close elsewhere."""
        exact = self.pixels_equal and self.labels_equal
        return exact or bool(self.build and (self.psnr is None or self.psnr >= TOLERANCE_DB))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, with the verdict and the tolerance."""
        return asdict(self) | {"passed": self.passed, "tolerance_db": TOLERANCE_DB}


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
    )


def psnr(first: UInt8[Array, "H W 3"], second: UInt8[Array, "H W 3"]) -> float | None:
    """Return the peak signal-to-noise ratio of two 8-bit images in dB; None when they are equal."""
    # Two seeds of the path tracer are 33 to 41 dB apart (smoke preset, 32 to 128 px).
    error = float(np.mean((first.astype(float) - second.astype(float)) ** 2))
    return 10 * math.log10(255**2 / error) if error else None


def _draw(folder: Path, index: int, resolution: int | None) -> Rendered:
    from recombine.renderer.blender import worker

    plan = load_plan(folder)
    settings = replace(plan.settings, resolution=resolution or plan.settings.resolution)
    return worker.render_one(plan.scene(index), settings)


def _build(data: Dataset, index: int) -> list[str]:
    entry = next(s for s in data.manifest["shards"] if s["start"] <= index < s["stop"])
    differs = other_build(shard_provenance(data.path / entry["file"]), provenance())
    recorded = data.annotation("spec_hash", [index])[0].tobytes().hex()
    if load_plan(data.path).spec_hash(index) != recorded:
        differs.append("the description of scenes has changed since")
    return differs


def _require_index(data: Dataset, index: int) -> None:
    if not 0 <= index < len(data):
        raise InvalidInputError(
            f"rerender: --index expects 0..{len(data) - 1} for {data.path}; got {index}."
        )
