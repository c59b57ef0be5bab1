"""Images and labels on their way into isolation: written outside, read inside, without names."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.protocol.contract import SplitSpec
from recombine.benchmark.serving.data import TrainData, has, to_images
from recombine.renderer.core.files import take_space, writing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from jaxtyping import Float, Int
    from torch import Tensor

    from recombine.benchmark.serving.data import DatasetLike, Field
    from recombine.renderer.core.types import Array

CHUNK = 256


@dataclass(frozen=True)
class Served:
    """What a folder of training images holds; plain JSON values."""

    # factor name to number type, when labels are served, in the order of their files
    factors: Mapping[str, str]
    masks: bool  # whether masks are served
    bytes: int  # size of all files


def write_pixels(path: Path, dataset: DatasetLike, indices: Int[Array, " n"]) -> int:
    """Write images to one file, in the given order, a few at a time."""
    return _write_rows(path, dataset.images, indices, (dataset.resolution,) * 2 + (3,))


def write_served(
    folder: Path, dataset: DatasetLike, indices: Int[Array, " n"], fields: Collection[Field]
) -> Served:
    """Write training images with the labels that the track allows, and no others."""
    folder.mkdir()
    folder.chmod(0o755)
    size = write_pixels(folder / "images.npy", dataset, indices)
    masks = "masks" in fields and has(dataset, "mask")
    if masks:
        square = (dataset.resolution,) * 2
        size += _write_rows(folder / "masks.npy", dataset.masks, indices, square)
    factors: dict[str, str] = {}
    for key in dataset.schema.keys if "factors" in fields else ():
        kind = "int64" if dataset.schema.factor(key).kind == "categorical" else "float32"
        path = folder / f"factor-{len(factors)}.npy"
        with writing(path):
            np.save(path, dataset.latents[key][indices].astype(kind), allow_pickle=False)
        path.chmod(0o444)
        size += path.stat().st_size
        factors[key] = kind
    return Served(factors, masks, size)


def read_rows(path: Path) -> Array:
    """Return a file of `write_pixels`, mapped into memory."""
    rows: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return rows


class ServedData(TrainData):
    """`TrainData` from the files of `write_served`, for the inside.

    Serves the same batches in the same order as `TrainData` serves from a dataset.
    """

    def __init__(
        self, folder: Path, served: Served, spec: SplitSpec, *, max_images: int | None = None
    ) -> None:
        """Serve a folder."""
        # Not the parent's constructor: it takes a dataset, and there is none in here.
        self.spec = spec
        self.images_served = 0
        self._max_images = max_images
        self._stored = read_rows(folder / "images.npy")  # on disk, so not turned as a whole
        self._indices = np.arange(len(self._stored))
        self._mask_cache = read_rows(folder / "masks.npy") if served.masks else None
        self._fields = frozenset(("masks",) if served.masks else ())
        self._labels = {
            key: np.load(folder / f"factor-{number}.npy", allow_pickle=False)
            for number, key in enumerate(served.factors)
        }

    def _images(self, rows: Int[Array, " rows"]) -> Float[Tensor, "rows 3 height width"]:
        return to_images(self._stored[rows])

    def _factors(self, rows: Int[Array, " rows"]) -> dict[str, Tensor]:
        import torch

        return {key: torch.from_numpy(values[rows]) for key, values in self._labels.items()}


def new_mapped(path: Path, dtype: Any, shape: tuple[int, ...]) -> Array:
    """Return a new array, mapped into memory from a file that has its room on disk."""
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)  # type: ignore[no-untyped-call]
    take_space(path, buffer.tell() + np.dtype(dtype).itemsize * math.prod(shape))
    with path.open("r+b") as stream:
        stream.write(buffer.getvalue())
    array: Array = np.load(path, mmap_mode="r+", allow_pickle=False)
    return array


def _write_rows(path: Path, read: Any, indices: Int[Array, " n"], shape: tuple[int, ...]) -> int:
    rows: Any = new_mapped(path, np.uint8, (len(indices), *shape))
    for start in range(0, len(indices), CHUNK):
        rows[start : start + CHUNK] = read(indices[start : start + CHUNK])
    rows.flush()
    path.chmod(0o444)
    return path.stat().st_size
