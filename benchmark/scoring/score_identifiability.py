"""Identifiability and decoder diagnostics of all seeds, as parts of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import reference_variance
from recombine.benchmark.metrics.metrics_contrast import COMPOSITIONAL_CONTRAST, INTERACTION
from recombine.benchmark.metrics.metrics_cycles import X_CYCLE, Z_CYCLE
from recombine.benchmark.metrics.metrics_dci import (
    COMPLETENESS,
    DISENTANGLEMENT,
    dci,
    forest_importance,
)
from recombine.benchmark.metrics.metrics_fidelity import FIDELITY
from recombine.benchmark.metrics.metrics_generative import CROSS_SLOT
from recombine.benchmark.metrics.metrics_identifiability import LINEAR_R2, Codes, linear_r2
from recombine.benchmark.metrics.metrics_ima import BLOCK_IMA, LOCAL_IMA
from recombine.benchmark.metrics.metrics_mcc import MCC, dependence_floors, mcc_with_floors
from recombine.benchmark.metrics.metrics_slots import (
    MOST_IMAGES,
    SLOT_IDENTIFIABILITY,
    SlotCodes,
    slot_identifiability,
    slot_r2,
)
from recombine.benchmark.running.harness import readout_indices
from recombine.benchmark.scoring.score_further import measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from recombine.benchmark.predictions.predictions import RunFacts
    from recombine.benchmark.results.result_further import Measure
    from recombine.benchmark.running.harness import RunOptions
    from recombine.benchmark.scoring.score_views import View
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Factor, Slot

TREES = 20
MOST_CODES = 4_096
# diagnostic, metric, chance (a number, or the diagnostic that holds it), number of images
DECODER = (
    ("x_cycle_id", X_CYCLE, 1.0, "n_images"),
    ("x_cycle_ooc", X_CYCLE, 1.0, "n_images"),
    ("z_self_consistency_id", Z_CYCLE, 1.0, "n_images"),
    ("z_self_consistency_recombined", Z_CYCLE, 1.0, "n_images"),
    ("decoder_fidelity_recombined", FIDELITY, "decoder_fidelity_twin", "n_recombined"),
    ("decoder_fidelity_own_slots", FIDELITY, "decoder_fidelity_twin", "n_recombined"),
    ("ima_contrast", LOCAL_IMA, "ima_contrast_chance", "n_points"),
    ("block_ima_contrast", BLOCK_IMA, "block_ima_contrast_chance", "n_points"),
    ("compositional_contrast", COMPOSITIONAL_CONTRAST, 1.0, "n_points"),
    ("jacobian_interaction_score", INTERACTION, 0.0, "n_points"),
    ("cross_slot_second_derivative", CROSS_SLOT, None, "n_points"),
)


def decoder_part(facts: Sequence[RunFacts]) -> dict[str, Measure] | None:
    """Return what was measured on the decoders of all seeds.

    Parameters
    ----------
    facts : sequence of RunFacts
        With ``diagnostics`` of ``metrics_examine.examine``.

    Returns
    -------
    dict, optional
        Name to measure; None when no decoder was examined. The chance of a fidelity is that of
        showing the nearest twin as it is.
    """
    found = [one.diagnostics for one in facts]
    if not all(found):
        return None
    out = {}
    for name, metric, chance, count in DECODER:
        values = [one.get(name) for one in found]
        if any(value is not None for value in values):
            floor = found[0].get(chance) if isinstance(chance, str) else chance
            n = int(found[0].get(count) or 0)
            out[name] = measure(metric, values, n, chance=floor, name=name)
    return out


def identifiability_part(views: Sequence[View], options: RunOptions) -> dict[str, Measure] | None:
    """Return whether slots know the true factors, one for one.

    Fitted on in-combination training images, scored on both test splits together, which hold
    all combinations.

    Parameters
    ----------
    views : sequence of View
        One per seed.
    options : RunOptions
        Which images the readouts were fitted on.

    Returns
    -------
    dict, optional
        Name to measure; None when the scene has no continuous or periodic factor.
    """
    dataset = views[0].dataset
    tests = np.concatenate([dataset.indices("id_test"), dataset.indices("ooc_test")])
    fit = readout_indices(dataset, options)
    columns = [c for slot in dataset.schema.slots for c in _columns(slot) if not c[2]]
    if not columns:
        return None
    variance = np.concatenate([_variance(factor) for _, factor, _ in columns])
    found = []
    for view in views:
        inner, outer = (_codes(view, where, columns) for where in (fit, tests))
        found.append({**_linear(inner, outer, variance), **_slots(view, fit, tests)})
        if inner.codes.shape[1] <= MOST_CODES:
            found[-1] |= _forest(inner, outer, variance)
    floor = dependence_floors(_factors(dataset, tests, columns), variance) if _many(columns) else {}
    chance = {
        LINEAR_R2.name: max(0.0, floor.get(LINEAR_R2.name, 0.0)),
        MCC.name: float(np.mean([one["mcc_chance"] or 0.0 for one in found])),
    }
    metrics = (LINEAR_R2, MCC, SLOT_IDENTIFIABILITY, DISENTANGLEMENT, COMPLETENESS)
    return {
        metric.name: measure(
            metric,
            [one[metric.name] for one in found],
            len(tests),
            chance=chance.get(metric.name, metric.chance),
        )
        for metric in metrics
        if metric.name in found[0]
    }


def _many(columns: list[tuple[str, Factor, bool]]) -> bool:
    return len(columns) > 1 or columns[0][1].kind == "periodic"


def _columns(slot: Slot) -> list[tuple[str, Factor, bool]]:
    """Return key, factor, and whether it is categorical."""
    return [(f"{slot.name}.{f.name}", f, f.kind == "categorical") for f in slot.factors]


def _values(factor: Factor, values: Array) -> Float[Array, "images columns"]:
    """Return a factor as numbers: itself, cosine and sine, or one column per value."""
    if factor.kind == "periodic":
        return np.stack([np.cos(values), np.sin(values)], axis=1)
    if factor.kind == "categorical":
        return np.equal(values[:, None], np.arange(len(factor.values))).astype(float)
    return np.asarray(values, float)[:, None]


def _variance(factor: Factor) -> Float[Array, " columns"]:
    if factor.kind == "periodic":
        return np.full(2, 0.5)
    if factor.kind == "categorical":
        share = 1 / len(factor.values)
        return np.full(len(factor.values), share * (1 - share))
    return np.array([reference_variance(factor.low, factor.high)])


def _factors(
    dataset: DatasetLike, indices: Int[Array, " n"], columns: list[tuple[str, Factor, bool]]
) -> Float[Array, "n columns"]:
    parts = [_values(factor, dataset.latents[key][indices]) for key, factor, _ in columns]
    return np.concatenate(parts, axis=1)


def _codes(view: View, indices: Int[Array, " n"], columns: list[tuple[str, Factor, bool]]) -> Codes:
    slots = view.at(indices)
    flat = slots.reshape(len(slots), -1).astype(np.float64)
    return Codes(flat, _factors(view.dataset, indices, columns))


def _linear(inner: Codes, outer: Codes, variance: Array) -> dict[str, float | None]:
    found = mcc_with_floors(outer)
    return {
        LINEAR_R2.name: float(linear_r2(inner, outer, variance).mean()),
        MCC.name: found.value,
        "mcc_chance": found.chance,
    }


def _slots(view: View, fit: Array, tests: Array) -> dict[str, float | None]:
    """Return the slot identifiability score, of scenes with at least two slots."""
    schema = view.dataset.schema
    count = view.slots.shape[1]
    if len(schema.slots) < 2 or count < len(schema.slots):
        return {}
    keyed = [_columns(slot) for slot in schema.slots]
    variance = tuple(np.concatenate([_variance(f) for _, f, _ in one]) for one in keyed)

    def known(indices: Array) -> SlotCodes:
        slots = view.at(indices).astype(np.float64)
        return SlotCodes(slots, tuple(_factors(view.dataset, indices, one) for one in keyed))

    found = slot_identifiability(slot_r2(known(fit[:MOST_IMAGES]), known(tests), variance))
    return {SLOT_IDENTIFIABILITY.name: found.value}


def _forest(inner: Codes, outer: Codes, variance: Array) -> dict[str, float | None]:
    found = dci(*forest_importance(inner, outer, variance, trees=TREES))
    return {DISENTANGLEMENT.name: found.disentanglement, COMPLETENESS.name: found.completeness}
