"""The picture of a run's worst images that is kept beside a result."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from recombine.benchmark.predictions.failures import RULE, hidden, shrink, worst_images
from recombine.benchmark.results.artifacts import MAX_PICTURE, Example, Examples, Reading
from recombine.renderer.core.files import write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Bool, Int, UInt8

    from recombine.benchmark.metrics.readout import Readout
    from recombine.benchmark.predictions.alignment import AlignedPredictions
    from recombine.benchmark.predictions.failures import Worst
    from recombine.benchmark.predictions.file import Decoded
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array


def keep_examples(
    folder: Path,
    name: str,
    aligned: AlignedPredictions,
    readout: Readout,
    right: Bool[Array, "seeds images"],
) -> Examples | None:
    """Write the picture of a run's worst images."""
    dataset, facts = aligned.dataset, aligned.run.facts
    if hidden(dataset):
        return None
    worst = worst_images(aligned, readout)
    columns = _columns(aligned.run.decoded, worst.index)
    pictures = [shrink(dataset.images(worst.index)), *columns.values()]
    tiles = np.stack(pictures, axis=1)
    content = _small_enough(tiles)
    sha256 = hashlib.sha256(content).hexdigest()
    file = f"{name}-{sha256[:10]}.examples.png"
    write_bytes(folder / file, content)
    edge = tiles.shape[2]
    wrong = (~right).sum(axis=0)[np.searchsorted(dataset.indices("ooc_test"), worst.index)]
    rows = Image.open(io.BytesIO(content)).height // edge
    return Examples(
        file=file,
        sha256=sha256,
        bytes=len(content),
        rule=RULE,
        seed=facts.seed,
        edge=edge,
        steps=tuple(columns),
        images=tuple(_example(dataset, worst, i, int(wrong[i])) for i in range(rows)),
    )


def png(tiles: UInt8[Array, "rows columns edge edge 3"]) -> bytes:
    """Return tiles as one PNG file, row by row."""
    rows, columns, edge = tiles.shape[:3]
    sheet = tiles.transpose(0, 2, 1, 3, 4).reshape(rows * edge, columns * edge, 3)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _columns(decoded: Decoded | None, wanted: Int[Array, " n"]) -> dict[int, Array]:
    """Return the decodings of some images per step count; nothing unless all of them are there."""
    if decoded is None or not np.isin(wanted, decoded.index).all():
        return {}
    rows = np.searchsorted(decoded.index, wanted)
    return {step: images[rows] for step, images in sorted(decoded.images.items())}


def _small_enough(tiles: UInt8[Array, "rows columns edge edge 3"]) -> bytes:
    """Draw as many rows as the limit on the file leaves room for, at least one."""
    for rows in range(len(tiles), 1, -1):
        content = png(tiles[:rows])
        if len(content) <= MAX_PICTURE:
            return content
    return png(tiles[:1])  # at most 3 tiles of 64 x 64 x 3 bytes: always small enough


def _example(dataset: DatasetLike, worst: Worst, row: int, wrong_seeds: int) -> Example:
    schema = dataset.schema
    true = schema.cell_names(dataset.cells[worst.index[row]])
    read = schema.cell_names(worst.read[row])
    readings = tuple(
        Reading(factor=key, true=t, read=r, probability=float(p))
        for key, t, r, p in zip(
            schema.recombined, true, read, worst.probability[row].clip(0, 1), strict=True
        )
    )
    return Example(index=int(worst.index[row]), readings=readings, wrong_seeds=wrong_seeds)
