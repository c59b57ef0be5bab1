"""The slots of a run as readouts see them: in fixed roles, or matched to the objects of each image.

Exchangeable slots are matched on masks: every scene slot that has a mask (objects, background)
takes the method's slot with the largest total overlap in that image. What has no mask, such as a
light, is read with the background; an absent object from the mean over all slots. After that, slot
k stands for scene slot k in every image, and the same readouts apply. Factors play no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.masks import contingency
from recombine.benchmark.metrics.matching import Matching, match_on_masks, take
from recombine.benchmark.metrics.readout import Representation
from recombine.benchmark.protocol.rounding import audible
from recombine.benchmark.serving.data import has
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float, Int, Shaped

    from recombine.benchmark.predictions.file import Predictions
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Factor


# What a readout of matched slots knows without looking at the image.


def blind_answers(
    aligned: AlignedPredictions,
    labelled: Int[Array, " labelled"],
    indices: Int[Array, " images"],
    keys: Iterable[str],
) -> dict[str, Shaped[Array, " images"]]:
    """Return what a readout answers about images that knows only which slot was matched.

    Like any readout it is fitted on labelled in-combination training images: a constant per factor
    and number of the method's slot. What that scores, the choice of slots gave away.
    """
    if aligned.matching is None:
        raise InvalidInputError("blind_answers: expected matched slots, got slots of fixed roles")
    columns = {slot.name: number for number, slot in enumerate(aligned.dataset.schema.slots)}
    before, now = (aligned.matching.index[aligned.run.rows(one)] for one in (labelled, indices))
    out = {}
    for key in keys:
        column, factor = columns[key.partition(".")[0]], aligned.dataset.schema.factor(key)
        values = aligned.dataset.latents[key]
        out[key] = constants(factor, before[:, column], values[labelled], now[:, column])
    return out


def constants(
    factor: Factor,
    chosen: Int[Array, " labelled"],
    known: Shaped[Array, " labelled"],
    asked: Int[Array, " images"],
) -> Shaped[Array, " images"]:
    """Return the best constant for every number of a slot, of what is known where it was chosen."""
    # A slot that was never chosen in training says nothing.
    guess = np.full(len(asked), _best_constant(factor, known, known), known.dtype)
    for number in np.unique(chosen):
        guess[asked == number] = _best_constant(factor, known[chosen == number], known)
    return guess


def _best_constant(factor: Factor, chosen: Array, everything: Array) -> float | int:
    if factor.kind == "periodic":
        return float(np.angle(np.exp(1j * chosen).mean()))
    if factor.kind == "continuous":
        return float(chosen.mean())
    # Balanced accuracy: an answer of a rare class weighs more.
    known, counts = np.unique(everything, return_counts=True)
    return int(
        known[np.argmax([np.sum(chosen == k) / n for k, n in zip(known, counts, strict=True)])]
    )


CHUNK = 512
MAX_MATCHED = 16
"""Most slots that may be matched on masks. Which of S slots fits an object best says up to log2 S
bits about the image, whatever the slots hold, and 64 could name every combination of 8 x 8 values.
On the preset smoke, a grid of 64 masks that never looks reads the shape at 0.19 of the way from
chance to perfect, one of 16 at 0.06. Sixteen is the largest preset's eight objects and their
background with seven to spare; slot attention is run with 7 to 11 (arXiv 2006.15055)."""


@dataclass(frozen=True)
class AlignedPredictions:
    """One run at one step count, ready for readouts."""

    run: Predictions  # where it comes from
    dataset: DatasetLike  # the truth
    step: int  # search steps
    slots: Float[Array, "images slots dim"]  # ``(N, S, D)``, rows as in ``run.image_index``
    # the method's slot of every scene slot where that is settled already; None: to be fitted
    match: tuple[int, ...] | None = None
    # how exchangeable slots were matched, rows as above, one column per scene slot
    matching: Matching | None = None

    def at(self, indices: Int[Array, " n"]) -> Float[Array, "n slots dim"]:
        """Return the slots of some images."""
        chosen: Array = self.slots[self.run.rows(indices)]
        return chosen

    def known(self, indices: Int[Array, " n"]) -> Representation:
        """Return slots and true factors of some images."""
        latents = self.dataset.latents
        keys = self.dataset.schema.keys
        return Representation(self.at(indices), {key: latents[key][indices] for key in keys})


def align_predictions(
    run: Predictions,
    dataset: DatasetLike,
    step: int,
    read: Int[Array, " labelled"] | None = None,
) -> AlignedPredictions:
    """Return a run's slots at one step count, matched to objects where roles mean nothing.

    ``read`` are the images on which readouts will be fitted.
    """
    slots = audible(run.slots[step], None if read is None else run.rows(read))
    if not on_masks(run, dataset, step):
        return AlignedPredictions(run, dataset, step, slots)
    segments = run.extras.get(f"segments/{step}")
    if segments is None:
        raise InvalidInputError(
            f"score: {run.facts.card['id']}: exchangeable slots are matched to objects on masks, "
            "and there are none; return SlotOutput.masks, or give the slots fixed roles"
        )
    matching = match_scene(dataset, run.image_index, segments, slots.shape[1])
    aligned = take(matching, slots)
    aligned[matching.index < 0] = np.broadcast_to(slots.mean(axis=1, keepdims=True), aligned.shape)[
        matching.index < 0
    ]
    return AlignedPredictions(run, dataset, step, aligned, tuple(range(aligned.shape[1])), matching)


def exchangeable(run: Predictions) -> bool:
    """Return whether a run's slots have no fixed roles."""
    return run.facts.card.get("slots") == "exchangeable"


def on_masks(run: Predictions, dataset: DatasetLike, step: int) -> bool:
    """Return whether a run's slots are matched to objects on masks."""
    # They are when the card says that they are exchangeable, and also when the objects of the data
    # are and the run has masks: which of two such objects is the first, no image tells.
    masks = f"segments/{step}" in run.extras and has(dataset, "mask")
    return exchangeable(run) or (masks and dataset.schema.interchangeable)


def readable_steps(run: Predictions, dataset: DatasetLike) -> tuple[int, ...]:
    """Return the step counts that can be scored: matching on masks needs masks there."""
    if not on_masks(run, dataset, run.facts.steps[0]):
        return run.facts.steps
    kept = tuple(step for step in run.facts.steps if f"segments/{step}" in run.extras)
    return kept or run.facts.steps[:1]


def scene_tables(
    dataset: DatasetLike, indices: Int[Array, " n"], segments: Array, slots: int
) -> Int[Array, "n labels slots"]:
    """Count the pixels of background and objects in every segment, a few images at a time."""
    objects = len(dataset.schema.objects)
    parts = [
        contingency(
            dataset.masks(indices[start : start + CHUNK]),
            segments[start : start + CHUNK],
            objects=objects,
            slots=slots,
        )
        for start in range(0, len(indices), CHUNK)
    ]
    return np.concatenate(parts)


def match_scene(
    dataset: DatasetLike, indices: Int[Array, " n"], segments: Array, slots: int
) -> Matching:
    """Match a method's slots to scene slots, image by image, on masks only."""
    table = scene_tables(dataset, indices, segments, slots)
    union = table.sum(axis=2, keepdims=True) + table.sum(axis=1, keepdims=True) - table
    by_label = match_on_masks(table / np.maximum(union, 1), table.sum(axis=2) > 0)
    objects = dataset.schema.objects  # light and scene have no pixels: they go with the background
    names = [slot.name for slot in dataset.schema.slots]
    column = [1 + objects.index(name) if name in objects else 0 for name in names]
    return Matching(by_label.index[:, column], by_label.present[:, column])
