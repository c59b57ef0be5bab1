"""How well segments agree with objects.

FG-ARI, the field's habit, does not see the background: Voronoi cells of the object centres, or
masks with halos twice as large as the objects, score near 1, and an object lost to the background
costs nothing. So mean IoU leads here, with every object that no segment stands for counted as 0,
and FG-ARI, ARI and mean best overlap stand beside it.

Everything follows from one table per image: how many pixels of every object each segment has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import Metric
from recombine.benchmark.metrics.matching import assign
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from recombine.renderer.core.types import Array

MEAN_IOU = Metric(
    "mean_iou", "1.0", "higher", 0.0, 1.0, 0.0,
    "mean over visible objects of intersection over union with the segment the Hungarian algorithm "
    "gives them, 0 without one; mean over images",
)  # fmt: skip
BEST_OVERLAP = Metric(
    "mean_best_overlap", "1.0", "higher", 0.0, 1.0, 0.0,
    "mean over visible objects of the best intersection over union with any segment (mBO); "
    "Pont-Tuset et al. 2016 (arXiv 1503.00848)",
)  # fmt: skip
ARI = Metric(
    "adjusted_rand_index", "1.0", "higher", -1.0, 1.0, 0.0,
    "agreement of pairs of pixels beyond chance, background included; Hubert and Arabie 1985, "
    "J. Classif. 2, eq. 5",
)  # fmt: skip
FG_ARI = Metric(
    "foreground_adjusted_rand_index", "1.0", "higher", -1.0, 1.0, 0.0,
    "adjusted Rand index over pixels of visible objects only; Greff et al. 2019, arXiv 1903.00450; "
    "undefined below 2 visible objects, where it is 0 or 1 by construction",
)  # fmt: skip
MASK_METRICS = {metric.name: metric for metric in (MEAN_IOU, BEST_OVERLAP, ARI, FG_ARI)}
VISIBLE_SHARE = 1 / 512  # Of the image: 8 pixels at 64 x 64, 128 at 256 x 256.


def contingency(
    true: Int[Array, "images height width"],
    predicted: Int[Array, "images height width"],
    *,
    objects: int,
    slots: int,
) -> Int[Array, "images labels slots"]:
    """Count the pixels of every object in every segment."""
    if true.shape != predicted.shape or true.ndim != 3:
        raise InvalidInputError(
            f"contingency: masks must be images x height x width, got {true.shape} and "
            f"{predicted.shape}; resize predictions to the true masks"
        )
    for name, labels, end in (("true", true, objects + 1), ("predicted", predicted, slots)):
        if labels.size and (labels.min() < 0 or labels.max() >= end):
            raise InvalidInputError(
                f"contingency: {name} labels must lie in [0, {end}), got {labels.min()} to "
                f"{labels.max()}; check the number of objects and slots"
            )
    images = len(true)
    number = np.arange(images)[:, None, None] * (objects + 1) + true.astype(np.int64)
    flat = number * slots + predicted
    counts = np.bincount(flat.ravel(), minlength=images * (objects + 1) * slots)
    return counts.reshape(images, objects + 1, slots)


def visible(
    table: Int[Array, "images labels slots"], share: float = VISIBLE_SHARE
) -> Bool[Array, "images objects"]:
    """Return which objects can be seen."""
    pixels = table.sum(axis=2)
    seen = (pixels[:, 1:] > 0) & (pixels[:, 1:] >= share * pixels.sum(axis=1, keepdims=True))
    return np.asarray(seen)


def without_hidden(
    table: Int[Array, "images labels slots"], seen: Bool[Array, "images objects"]
) -> Int[Array, "images labels slots"]:
    """Leave out the pixels of objects below the threshold: they count neither way."""
    keep = np.concatenate([np.ones((len(seen), 1), dtype=bool), seen], axis=1)
    kept: Array = table * keep[:, :, None]
    return kept


def overlaps(table: Int[Array, "images labels slots"]) -> Float[Array, "images objects slots"]:
    """Return the intersection over union of every object with every segment."""
    inside = table[:, 1:]
    union = inside.sum(axis=2, keepdims=True) + table.sum(axis=1, keepdims=True) - inside
    overlap: Array = inside / np.maximum(union, 1)
    return overlap


def object_iou(
    overlap: Float[Array, "images objects slots"], seen: Bool[Array, "images objects"]
) -> Float[Array, "images objects"]:
    """Return the intersection over union of every object with its own segment.

    Parameters
    ----------
    overlap, seen : array
        From `overlaps` and `visible`.

    Returns
    -------
    array
        ``(N, K)``: one segment stands for one object at most (Hungarian algorithm, largest total);
        objects without one have 0. Average those of a split or status to compare objects.
    """
    index = assign(-overlap, seen)
    chosen = np.take_along_axis(overlap, np.maximum(index, 0)[:, :, None], axis=2)[:, :, 0]
    return np.where(index >= 0, chosen, 0.0)


def adjusted_rand(table: Int[Array, "images labels slots"]) -> Float[Array, " images"]:
    """Return the adjusted Rand index of every image from its table.

    Parameters
    ----------
    table : array
        ``(N, L, S)`` pixels; give only the rows of objects for FG-ARI.

    Returns
    -------
    array
        ``(N,)``: 1 for equal partitions, 0 expected for random ones of the same sizes. 1 as well
        where both are trivial, which says nothing: see `mask_contributions`.
    """
    counts = table.astype(np.float64)
    pixels = counts.sum(axis=(1, 2))
    both = np.sum(counts * (counts - 1), axis=(1, 2))
    rows = counts.sum(axis=2)
    columns = counts.sum(axis=1)
    same_true = np.sum(rows * (rows - 1), axis=1)
    same_predicted = np.sum(columns * (columns - 1), axis=1)
    expected = same_true * same_predicted / np.maximum(pixels * (pixels - 1), 1)
    spread = (same_true + same_predicted) / 2 - expected
    trivial = spread <= 0
    return np.where(trivial, 1.0, (both - expected) / np.where(trivial, 1.0, spread))


def mask_contributions(
    table: Int[Array, "images labels slots"], share: float = VISIBLE_SHARE
) -> dict[str, tuple[Float[Array, "images 1"], Float[Array, "images 1"]]]:
    """Return each image's part of the four mask scores."""
    seen = visible(table, share)
    kept = without_hidden(table, seen)
    count = seen.sum(axis=1)
    overlap = overlaps(kept)
    scores = {
        MEAN_IOU.name: object_iou(overlap, seen).sum(axis=1) / np.maximum(count, 1),
        BEST_OVERLAP.name: overlap.max(axis=2).sum(axis=1) / np.maximum(count, 1),
        ARI.name: adjusted_rand(kept),
        FG_ARI.name: adjusted_rand(kept[:, 1:]),
    }
    weights = {name: count >= (2 if name == FG_ARI.name else 1) for name in scores}
    return {
        name: ((score * weights[name])[:, None], weights[name].astype(float)[:, None])
        for name, score in scores.items()
    }
