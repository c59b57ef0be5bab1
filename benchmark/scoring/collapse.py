"""Collapse diagnostics of all seeds, slot by slot, as a part of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.collapse import (
    ACTIVE,
    NC1,
    RANK_ME,
    VON_NEUMANN,
    active_dimensions,
    nc1,
    nc1_chance,
    rank_me,
    rotated,
    von_neumann_entropy,
)
from recombine.benchmark.results.extra_parts import SlotCollapse
from recombine.benchmark.running.harness import readout_indices
from recombine.benchmark.scoring.extra import extra_metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from recombine.benchmark.metrics.readout import Readout
    from recombine.benchmark.predictions.alignment import AlignedPredictions
    from recombine.benchmark.results.extra_parts import Measure
    from recombine.benchmark.running.harness import RunOptions
    from recombine.renderer.core.types import Array

MOST_IMAGES = 512
"""Images per set, drawn from it: a wide slot then costs a spectrum of 512 values."""


def collapse_part(
    aligned_runs: Sequence[AlignedPredictions],
    readouts: Sequence[Readout],
    options: RunOptions,
) -> dict[str, SlotCollapse]:
    """Return how far every slot has collapsed, on labelled training images and on ID-test."""
    dataset = aligned_runs[0].dataset
    sets = {
        "id_train": _few(readout_indices(dataset, options)),
        "id_test": _few(dataset.indices("id_test")),
    }
    recombined = set(dataset.schema.recombined)
    out = {}
    for number, slot in enumerate(dataset.schema.slots):
        keys = [
            f"{slot.name}.{factor.name}" for factor in slot.factors if factor.kind == "categorical"
        ]
        classes = {key: dataset.latents[key] for key in keys if key in recombined}
        measured = {}
        for name, indices in sets.items():
            slots = [
                aligned.at(indices)[:, readout.slot_match[number]]
                for aligned, readout in zip(aligned_runs, readouts, strict=True)
            ]
            measured[name] = _measures(slots, {k: v[indices] for k, v in classes.items()})
        out[slot.name] = SlotCollapse(width=aligned_runs[0].slots.shape[2], **measured)
    return out


def _measures(
    slots: Sequence[Float[Array, "n dim"]], classes: dict[str, Int[Array, " n"]]
) -> dict[str, Measure]:
    """Measure one slot of all seeds on one set of images."""
    images = len(slots[0])
    turned = [rotated(one) for one in slots]  # all but the active dimensions are blind to that
    out = {
        metric.name: extra_metric(metric, values, images, chance=None)
        for metric, values in (
            (RANK_ME, [rank_me(one) for one in turned]),
            (VON_NEUMANN, [von_neumann_entropy(one) for one in turned]),
            (ACTIVE, [active_dimensions(one) for one in slots]),
        )
    }
    for key, codes in classes.items():
        levels = [nc1_chance(one, codes) for one in turned]
        known = [level for level in levels if level is not None]
        name = f"{NC1.name}_{key}"
        out[name] = extra_metric(
            NC1,
            [nc1(one, codes) for one in turned],
            images,
            chance=float(np.mean(known)) if known else None,
            name=name,
        )
    return out


def _few(indices: Int[Array, " images"]) -> Int[Array, " n"]:
    """Return at most `MOST_IMAGES` of some images, always the same ones."""
    # Not every n-th: cells follow each other in blocks, and some would never be met.
    chosen: Array = np.sort(np.random.default_rng(0).permutation(indices)[:MOST_IMAGES])
    return chosen
