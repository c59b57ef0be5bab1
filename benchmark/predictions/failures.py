"""The worst images of a run, chosen by a stated rule, and what the method decodes for them.

A number says how often a method is wrong, a picture shows where. Choice and picture follow from
the predictions and the data alone, except for decodings, which only the living method can make:
the harness asks for them when the run ends (`with_decoded`), and they are kept with the
predictions. Images of data that are bound to a hidden test set are never kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from recombine.benchmark.inference.probe import can_decode
from recombine.benchmark.metrics.readout import fit_readout
from recombine.benchmark.predictions.alignment import align_predictions, readable_steps
from recombine.benchmark.predictions.file import Decoded, Predictions
from recombine.benchmark.results.artifacts import MOST_IMAGES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt8

    from recombine.benchmark.inference.probe import MethodProbe
    from recombine.benchmark.metrics.readout import Readout
    from recombine.benchmark.predictions.alignment import AlignedPredictions
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

EDGE = 64
DIGITS = 6
"""Of probabilities when images are ordered: rounding of another machine must not reorder them."""
RULE = (
    "Out-of-combination images of the first training seed: most recombined factors read wrong "
    "first; among equals the one whose wrong values the readout gave the highest mean probability; "
    "then the lowest index. The worst of every held-out combination comes before a second one of "
    "any, and right ones, the least sure first, only after all that are wrong."
)


@dataclass(frozen=True)
class Worst:
    """The worst images of one run at one step count, the worst first."""

    index: Int[Array, " n"]  # ``(n,)`` image indices
    # ``(n, F)`` codes of the recombined factors as the readout sees them
    read: Int[Array, "n factors"]
    probability: Float[Array, "n factors"]  # ``(n, F)`` that the readout gives to them


def worst_images(aligned: AlignedPredictions, readout: Readout, most: int = MOST_IMAGES) -> Worst:
    """Choose the worst out-of-combination images of a run; see `RULE`."""
    dataset = aligned.dataset
    images = dataset.indices("ooc_test")
    slots = aligned.at(images)
    fitted = [readout.factors[key] for key in dataset.schema.recombined]
    read = np.stack([one.predict(slots) for one in fitted], axis=1)
    sure = np.stack([one.confidence(slots) for one in fitted], axis=1)
    truth = dataset.cells[images]
    order = _order(read != truth, sure)
    wrong = (read != truth).any(axis=1)[order]
    chosen = spread(order[wrong], truth, most)
    chosen = np.concatenate([chosen, spread(order[~wrong], truth, most - len(chosen))])
    return Worst(images[chosen], read[chosen], sure[chosen])


def spread(
    order: Int[Array, " images"], cells: Int[Array, "images factors"], most: int
) -> Int[Array, " n"]:
    """Take the first images of an order, but one of every cell before a second one of any."""
    _, cell = np.unique(cells[order], axis=0, return_inverse=True)
    seen: dict[int, int] = {}
    turns = []
    for number in cell.reshape(-1).tolist():
        turns.append(seen.get(number, 0))
        seen[number] = turns[-1] + 1
    taken = np.sort(np.argsort(turns, kind="stable")[:most])
    return order[taken]


def with_decoded(
    run: Predictions, probe: MethodProbe, dataset: DatasetLike, labelled: Int[Array, " n"]
) -> Predictions:
    """Let a method decode its own slots of its worst images, before and after search."""
    if not can_decode(probe.method) or hidden(dataset):
        return run
    try:
        return replace(run, decoded=_decode_worst(run, probe, dataset, labelled))
    except Exception:  # whatever foreign code may raise
        return run


def hidden(dataset: DatasetLike) -> bool:
    """Return whether a dataset is bound to a hidden test set; its images stay unpublished."""
    config: Any = getattr(dataset, "config", {})
    return "hidden_test" in config


def shrink(images: UInt8[Array, "n height width 3"]) -> UInt8[Array, "n edge edge 3"]:
    """Return images with an edge of at most 64 pixels, by averaging areas."""
    if images.shape[1] <= EDGE:
        return images
    size, box = (EDGE, EDGE), Image.Resampling.BOX
    return np.stack([np.asarray(Image.fromarray(one).resize(size, box)) for one in images])


def _order(wrong: Bool[Array, "n f"], sure: Float[Array, "n f"]) -> Int[Array, " n"]:
    """Return rows, the worst first; `np.lexsort` is stable, so equals stay by index."""
    number = wrong.sum(axis=1)
    mistaken = (sure * wrong).sum(axis=1) / np.maximum(number, 1)
    badness = np.where(number > 0, mistaken, -sure.mean(axis=1))
    order: Array = np.lexsort((-badness.round(DIGITS), -number))
    return order


def _decode_worst(
    run: Predictions, probe: MethodProbe, dataset: DatasetLike, labelled: Int[Array, " n"]
) -> Decoded:
    import torch

    steps = readable_steps(run, dataset)
    ends = tuple(dict.fromkeys((steps[0], steps[-1])))
    index = np.unique(np.concatenate([_worst_at(run, dataset, s, labelled).index for s in ends]))
    rows = run.rows(index)
    images = {
        step: _pixels(probe.decode(torch.from_numpy(run.slots[step][rows])).numpy())
        for step in ends
    }
    return Decoded(index, images)


def _worst_at(run: Predictions, dataset: DatasetLike, step: int, labelled: Array) -> Worst:
    aligned = align_predictions(run, dataset, step)
    known = aligned.known(labelled), aligned.known(dataset.indices("id_val"))
    schema = dataset.schema
    readout = fit_readout(*known, schema, only=schema.recombined, match=aligned.match)
    return worst_images(aligned, readout)


def _pixels(images: Float[Array, "n 3 height width"]) -> UInt8[Array, "n edge edge 3"]:
    sheets = np.rint(255 * images.clip(0, 1)).astype(np.uint8)
    return shrink(np.ascontiguousarray(sheets.transpose(0, 2, 3, 1)))
