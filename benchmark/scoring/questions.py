"""Questions about whole scenes, asked of the slots of scored methods.

What the plan of the data answers is asked: how many objects there are, how large they are together,
is there a given shape anywhere, is there a red one. Readouts are fitted on the labelled
in-combination images that every readout of the entry is fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import balanced_accuracy, fixed_variance_score
from recombine.benchmark.metrics.set_readout import Answer, Pooling, fit_set_readout
from recombine.benchmark.running.harness import readout_indices
from recombine.benchmark.scoring.score import stored_options
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float

    from recombine.benchmark.predictions.alignment import AlignedPredictions
    from recombine.benchmark.predictions.file import Predictions
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

    # By question, readout and split.
    Answers = dict[str, dict[str, dict[str, float | None]]]

SPLITS = ("id_test", "ooc_test")
RED = 0.5
"""Least cosine of the hue of a red object: within 60 degrees of red."""
READOUTS: dict[str, tuple[Pooling, bool]] = {
    "set": ("sum", False),
    "concatenated": ("concatenated", False),
    "concatenated, shuffled": ("concatenated", True),
}


@dataclass(frozen=True)
class Question:
    """A question about a scene, with its answers for all images of a dataset."""

    name: str
    answer: Answer
    values: Float[Array, "images answers"]
    low: float = 0.0  # range of a number, over the whole recipe and not over what was drawn
    high: float = 1.0

    def score(
        self, predicted: Float[Array, "n answers"], true: Float[Array, "n answers"]
    ) -> float | None:
        """Return 1 for perfect and 0 for chance; None where every answer is the same."""
        if self.answer == "number":
            return fixed_variance_score(predicted, true, self.low, self.high)
        asked = [k for k in range(true.shape[1]) if len(np.unique(true[:, k])) > 1]
        found = [
            balanced_accuracy(predicted[:, k].astype(int), true[:, k].astype(int), 2) for k in asked
        ]
        return float(np.mean(found)) if found else None


def questions_of(dataset: DatasetLike) -> list[Question]:
    """Return the questions about whole scenes that the latents of a dataset answer.

    Parameters
    ----------
    dataset : DatasetLike
        Of scenes with several objects.

    Returns
    -------
    list of Question
        ``count`` where objects may be absent; ``sum of sizes``; ``exists SHAPE``, one answer per
        shape; ``exists red SHAPE``, which also asks what belongs to what.

    Raises
    ------
    InvalidInputError
        When the scenes have fewer than two objects.
    """
    schema, latents = dataset.schema, dataset.latents
    objects = [slot for slot in schema.slots if slot.name in schema.objects]
    if len(objects) < 2:
        raise InvalidInputError(
            f"questions: expected scenes of at least two objects, got {len(objects)} in "
            f"{dataset.preset}; use the presets count, object-object, relation or counterfactual"
        )
    keys = [{factor.name: factor for factor in slot.factors} for slot in objects]

    def column(name: str) -> Float[Array, "images objects"]:
        return np.stack([latents[f"{slot.name}.{name}"] for slot in objects], axis=1)

    def common(name: str) -> bool:
        return all(name in one for one in keys)

    there: Bool[Array, "images objects"] = np.ones((len(dataset), len(objects)), bool)
    out = []
    if common("present"):
        there = column("present") == 1
        count = there.sum(axis=1, keepdims=True).astype(float)
        out.append(Question("count", "number", count, 0.0, float(len(objects))))
    if common("scale"):
        low = 0.0 if common("present") else sum(one["scale"].low for one in keys)
        high = sum(one["scale"].high for one in keys)
        total = (column("scale") * there).sum(axis=1, keepdims=True)
        out.append(Question("sum of sizes", "number", total, low, high))
    if common("shape"):
        shapes = column("shape")[:, :, None] == np.arange(len(keys[0]["shape"].values))
        shown = shapes & there[:, :, None]
        out.append(Question("exists SHAPE", "yes-no", shown.any(axis=1).astype(float)))
        if common("hue"):
            red = shown & (np.cos(column("hue")) > RED)[:, :, None]
            out.append(Question("exists red SHAPE", "yes-no", red.any(axis=1).astype(float)))
    return out


def ask_runs(runs: Sequence[AlignedPredictions]) -> Answers:
    """Ask every question of the slots of all seeds, at the search steps they were aligned at.

    Parameters
    ----------
    runs : sequence of AlignedPredictions
        Of one entry. The slots are read in the method's own order, matched or not.

    Returns
    -------
    dict
        By question and readout (`READOUTS`), the mean scores ``id_test`` and ``ooc_test``. The
        shuffled control is the concatenated one on slots in a random order per image: what it
        loses, it read off the order.
    """
    found = [_ask(one.run, one.dataset, one.step) for one in runs]
    return {
        question: {
            readout: {
                split: _mean([one[question][readout][split] for one in found]) for split in SPLITS
            }
            for readout in READOUTS
        }
        for question in found[0]
    }


def _ask(run: Predictions, dataset: DatasetLike, step: int) -> Answers:
    fit = readout_indices(dataset, stored_options(run.facts.options))
    slots = run.slots[step]
    out: Answers = {}
    for question in questions_of(dataset):
        readouts = {
            pooling: fit_set_readout(
                slots[run.rows(fit)],
                question.values[fit],
                answer=question.answer,
                pooling=pooling,
                seed=run.facts.seed,
            )
            for pooling in ("sum", "concatenated")
        }
        out[question.name] = {name: {} for name in READOUTS}
        for name, (pooling, shuffled) in READOUTS.items():
            for split in SPLITS:
                indices = dataset.indices(split)
                shown = slots[run.rows(indices)]
                predicted = readouts[pooling].predict(_shuffled(shown) if shuffled else shown)
                out[question.name][name][split] = question.score(
                    predicted, question.values[indices]
                )
    return out


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _shuffled(slots: Float[Array, "n slots dim"]) -> Float[Array, "n slots dim"]:
    order = np.argsort(np.random.default_rng(0).random(slots.shape[:2]), axis=1)
    shuffled: Array = np.take_along_axis(slots, order[:, :, None], axis=1)
    return shuffled
