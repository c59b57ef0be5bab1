"""The further parts of a result, from the answers of all seeds at one step count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recombine.benchmark.metrics.base import reference_variance
from recombine.benchmark.metrics.decoder import (
    COMPOSITIONAL_CONTRAST,
    CROSS_SLOT,
    INTERACTION,
    X_CYCLE,
    Z_CYCLE,
)
from recombine.benchmark.metrics.decoder_jacobian import BLOCK_IMA, FIDELITY, LOCAL_IMA
from recombine.benchmark.metrics.detection import (
    AVERAGE_PRECISION,
    DISTANCES,
    ObjectSet,
    average_precision,
    detections,
)
from recombine.benchmark.metrics.identifiability import (
    COMPLETENESS,
    DISENTANGLEMENT,
    LINEAR_R2,
    MCC,
    MOST_IMAGES,
    SLOT_IDENTIFIABILITY,
    Codes,
    SlotCodes,
    dci,
    dependence_floors,
    forest_importance,
    linear_r2,
    mcc_with_floors,
    slot_identifiability,
    slot_r2,
)
from recombine.benchmark.metrics.masks import MASK_METRICS, mask_contributions
from recombine.benchmark.metrics.readout import Kind, Readout, Representation, fit_readout
from recombine.benchmark.predictions.alignment import scene_tables
from recombine.benchmark.results.extra_parts import (
    Bins,
    GapParts,
    MatchingPart,
    Measure,
    ReadoutScores,
    SplitMeasures,
)
from recombine.benchmark.results.parts import Estimate
from recombine.benchmark.running.harness import BUDGETS, readout_indices
from recombine.benchmark.scoring import aggregate
from recombine.benchmark.serving.data import has
from recombine.benchmark.statistics import intervals as stats
from recombine.renderer.core.hdf5 import open_checked, stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Bool, Float, Int

    from recombine.benchmark.metrics.base import Metric
    from recombine.benchmark.predictions.alignment import AlignedPredictions
    from recombine.benchmark.predictions.file import RunFacts
    from recombine.benchmark.results.parts import Score
    from recombine.benchmark.running.harness import RunOptions
    from recombine.benchmark.scoring.aggregate import Split
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.benchmark.statistics.design import Crossed
    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Factor, Slot


VISIBLE_EDGES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
SPLITS = ("id_test", "ooc_test")


def extra_metric(
    metric: Metric,
    per_seed: Sequence[float | None],
    n_images: int,
    *,
    chance: float | None,
    ci95: tuple[float, float] | None = None,
    name: str | None = None,
) -> Measure:
    """Return one metric of all seeds as a part of a result."""
    finite = tuple(v if v is not None and np.isfinite(v) else None for v in per_seed)
    known = [v for v in finite if v is not None]
    return Measure(
        metric=name or metric.name,
        metric_version=metric.version,
        direction=metric.direction,
        chance=chance if chance is not None and np.isfinite(chance) else None,
        estimate=float(np.mean(known)) if known else None,
        ci95=ci95,
        per_seed=finite,
        n_images=n_images,
    )


def matching_part(floors: Mapping[str, Score]) -> MatchingPart | None:
    """Return how exchangeable slots were matched, with the floors of that; None for fixed roles."""
    if not floors:
        return None
    inside, outside = (
        {key: factor.estimate for key, factor in floors[name].per_factor.items()} for name in SPLITS
    )
    return MatchingPart(on="masks", floors=outside, id_floors=inside)


def mask_part(aligned_runs: Sequence[AlignedPredictions]) -> SplitMeasures | None:
    """Return segmentation scores of both splits."""
    name = f"segments/{aligned_runs[0].step}"
    dataset = aligned_runs[0].dataset
    offered = all(name in aligned.run.extras for aligned in aligned_runs)
    if not (offered and has(dataset, "mask") and getattr(dataset, "castable", True)):
        return None
    by_split = {}
    for split_name in SPLITS:
        split = aggregate.group_by_cell(dataset, split_name)
        parts = [
            mask_contributions(
                scene_tables(
                    dataset,
                    split.indices,
                    aligned.run.extras[name][aligned.run.rows(split.indices)],
                    aligned.run.slots[aligned.step].shape[1],
                )
            )
            for aligned in aligned_runs
        ]
        by_split[split_name] = {
            key: _mask_measure(metric, split, [one[key] for one in parts])
            for key, metric in MASK_METRICS.items()
        }
    return SplitMeasures(**by_split)


def _mask_measure(metric: Metric, split: Split, parts: Sequence[tuple[Array, Array]]) -> Measure:
    sums, weights = (np.stack(values) for values in zip(*parts, strict=True))
    total = weights.sum(axis=(1, 2))
    per_seed = [float(s.sum() / w) if w > 0 else None for s, w in zip(sums, total, strict=True)]
    interval = None
    if (total > 0).all():
        cells = stats.linearise(split.sum_by_cell(sums), split.sum_by_cell(weights))
        blocks = None
        if split.matched:
            blocks = stats.linearise(split.sum_by_block(sums), split.sum_by_block(weights))
        interval = stats.crossed_mean(split.crossed(cells, blocks), None).ci95
    counted = int(weights.sum(axis=(1, 2)).min())
    return extra_metric(metric, per_seed, counted, chance=metric.chance, ci95=interval)


def set_part(
    aligned_runs: Sequence[AlignedPredictions],
    matches: Sequence[tuple[int, ...]],
    answers: Mapping[str, Sequence[Mapping[str, Array]]],
) -> SplitMeasures | None:
    """Return average precision at distances, of the objects as the readouts see them."""
    dataset = aligned_runs[0].dataset
    keys = _object_keys(dataset)
    presence = f"presence/{aligned_runs[0].step}"
    offered = all(presence in aligned.run.extras for aligned in aligned_runs)
    if keys is None or not (offered or len(keys) > 1):
        return None
    by_split = {}
    for name in SPLITS:
        indices = dataset.indices(name)
        true = _object_set(keys, {k: v[indices] for k, v in dataset.latents.items()}, None)
        found = [
            _object_set(
                keys, one, _confidence(aligned, match, indices, presence) if offered else None
            )
            for aligned, match, one in zip(aligned_runs, matches, answers[name], strict=True)
        ]
        by_split[name] = {
            _at(delta): extra_metric(
                AVERAGE_PRECISION,
                [average_precision(detections(one, true, delta)) for one in found],
                len(indices),
                chance=None,
                name=_at(delta),
            )
            for delta in DISTANCES
        }
    return SplitMeasures(**by_split)


def _at(delta: float) -> str:
    return f"{AVERAGE_PRECISION.name}_{'inf' if np.isinf(delta) else f'{delta:g}'}"


def _object_keys(dataset: DatasetLike) -> list[tuple[list[str], list[str]]] | None:
    """Return attributes and positions of every object; None unless all have the same."""
    out = []
    for slot in dataset.schema.slots:
        if slot.name in dataset.schema.objects:
            codes = [f"{slot.name}.{f.name}" for f in slot.factors if f.kind == "categorical"]
            axes = [f"{slot.name}.{f.name}" for f in slot.factors if f.name in ("x", "y", "z")]
            out.append((codes, axes))
    shapes = {(len(codes), len(axes)) for codes, axes in out}
    return out if len(shapes) == 1 and all(map(all, shapes)) else None


def _object_set(
    keys: list[tuple[list[str], list[str]]], values: Mapping[str, Array], weight: Array | None
) -> ObjectSet:
    codes = np.stack([np.stack([values[k] for k in one], axis=1) for one, _ in keys], axis=1)
    place = np.stack([np.stack([values[k] for k in two], axis=1) for _, two in keys], axis=1)
    return ObjectSet(codes, place, np.ones(codes.shape[:2]) if weight is None else weight)


def _confidence(
    aligned: AlignedPredictions, match: tuple[int, ...], indices: Array, name: str
) -> Float[Array, "n objects"]:
    """Return the presence of the slots that stand for the objects."""
    rows = aligned.run.rows(indices)
    presence = aligned.run.extras[name][rows]
    schema = aligned.dataset.schema
    objects = [k for k, slot in enumerate(schema.slots) if slot.name in schema.objects]
    if aligned.matching is not None:
        index = np.maximum(aligned.matching.index[rows][:, objects], 0)
    else:
        index = np.broadcast_to(np.array(match)[objects], (len(rows), len(objects)))
    chosen: Array = np.take_along_axis(presence, index, axis=1)
    return chosen


def visibility_bins(
    dataset: DatasetLike, correct: Mapping[str, Bool[Array, "seeds images"]]
) -> Bins | None:
    """Return accuracy against the least visible share of an object."""
    visible: Any = getattr(dataset, "visible", None) if has(dataset, "visible") else None
    if visible is None:
        return None
    least = np.asarray(visible, float).min(axis=1)
    return _bins("visible_share", dataset, least, VISIBLE_EDGES, correct)


def interaction_bins(
    dataset: DatasetLike, correct: Mapping[str, Bool[Array, "seeds images"]]
) -> Bins | None:
    """Return accuracy against measured interaction, in thirds of the measured test images."""
    folder = getattr(dataset, "path", None)
    if folder is None or not (folder / "interaction.h5").is_file():
        return None
    with open_checked(folder / "interaction.h5") as handle:
        index, energy = (np.asarray(stored(handle, name)) for name in ("index", "energy"))
    share = np.full(len(dataset), np.nan)
    share[index] = np.maximum(energy[:, 1], 0) / np.maximum(energy[:, 0], np.finfo(float).tiny)
    tested = np.concatenate([dataset.indices(name) for name in SPLITS])
    known = share[tested][np.isfinite(share[tested])]
    if len(known) == 0:
        return None
    edges = np.unique(np.quantile(known, [0, 1 / 3, 2 / 3, 1]))
    edges = edges if len(edges) > 1 else np.array([edges[0], np.nextafter(edges[0], np.inf)])
    return _bins("interaction_share", dataset, share, tuple(edges.tolist()), correct)


def _bins(
    kind: Any,
    dataset: DatasetLike,
    values: Float[Array, " images"],
    edges: tuple[float, ...],
    correct: Mapping[str, Array],
) -> Bins:
    hits, counts = {}, {}
    for name in SPLITS:
        here = values[dataset.indices(name)]
        number = np.clip(np.searchsorted(edges, here, side="right") - 1, 0, len(edges) - 2)
        member = np.equal(number[:, None], np.arange(len(edges) - 1)) & np.isfinite(here)[:, None]
        counts[name] = tuple(int(n) for n in member.sum(axis=0))
        hits[name] = tuple(
            tuple(int(n) for n in row) for row in correct[name].astype(int) @ member.astype(int)
        )
    return Bins(
        property=kind,
        edges=edges,
        id_hits=hits["id_test"],
        id_counts=counts["id_test"],
        ooc_hits=hits["ooc_test"],
        ooc_counts=counts["ooc_test"],
    )


# More readouts of the same slots: label budgets, a network, and the two controls.

HALVES = 2


class Variants(NamedTuple):
    """What `readout_variants` found."""

    readouts: tuple[ReadoutScores, ...]
    selectivity: Estimate


class Oracle(NamedTuple):
    """What `oracle_readout` found."""

    readout: ReadoutScores
    gap_parts: GapParts


def readout_variants(
    aligned_runs: Sequence[AlignedPredictions],
    headline: Sequence[Readout],
    options: RunOptions,
    id_share: Crossed,
) -> Variants:
    """Fit further readouts to the slots of all seeds."""
    matches = [one.slot_match for one in headline]
    pool = len(readout_indices(aligned_runs[0].dataset, options, max(BUDGETS)))
    budgets = sorted({min(n, pool) for n in BUDGETS} - {min(options.readout_labels, pool)})
    linear = [_scored(aligned_runs, matches, options, labels=labels) for labels in budgets]
    network = _scored(aligned_runs, matches, options, kind="mlp")
    permuted = _scored(aligned_runs, matches, options, permuted=True)
    found = [*((one[0]) for one in linear), network[0], permuted[0]]
    return Variants(tuple(found), _difference(id_share, permuted[1], paired=True))


def oracle_readout(
    aligned_runs: Sequence[AlignedPredictions],
    headline: Sequence[Readout],
    options: RunOptions,
    id_share: Crossed,
    ooc_share: Crossed,
) -> Oracle | None:
    """Tell what the slots do not hold from what a readout fitted on ID misses."""
    share = _oracle(aligned_runs, [one.slot_match for one in headline], options)
    if share is None:
        return None
    readout = ReadoutScores(
        kind="linear",
        labels=len(readout_indices(aligned_runs[0].dataset, options)),
        control="oracle",
        id_test=None,
        ooc_test=estimate_over_cells(share),
    )
    parts = GapParts(
        information_lost=_difference(id_share, share),
        readout_not_transferring=_difference(share, ooc_share, paired=True),
    )
    return Oracle(readout, parts)


def _scored(
    aligned_runs: Sequence[AlignedPredictions],
    matches: Sequence[tuple[int, ...]],
    options: RunOptions,
    *,
    labels: int | None = None,
    kind: Kind = "linear",
    permuted: bool = False,
) -> tuple[ReadoutScores, Crossed]:
    """Return the scores of one variant, and its accuracy per seed and ID cell."""
    dataset = aligned_runs[0].dataset
    images = readout_indices(dataset, options, labels)
    shares = []
    splits = [aggregate.group_by_cell(dataset, name) for name in ("id_test", "ooc_test")]
    readouts = []
    for aligned, match in zip(aligned_runs, matches, strict=True):
        known = aligned.known(images)
        train = _permuted(known, aligned.run.facts.seed) if permuted else known
        val = aligned.known(dataset.indices("id_val"))
        only = dataset.schema.recombined
        readouts.append(fit_readout(train, val, dataset.schema, only=only, kind=kind, match=match))
    for split in splits:
        answers = [
            r.predict(v.at(split.indices)) for r, v in zip(readouts, aligned_runs, strict=True)
        ]
        shares.append(shares_by_cell(split, aggregate.correct_images(dataset, split, answers)))
    scores = ReadoutScores(
        kind=kind,
        labels=len(images),
        control="permuted-labels" if permuted else "none",
        id_test=estimate_over_cells(shares[0]),
        ooc_test=estimate_over_cells(shares[1]),
    )
    return scores, shares[0]


def _permuted(known: Representation, seed: int) -> Representation:
    """Hand every label to another image, each factor by a permutation of its own."""
    rng = np.random.default_rng([20_240, seed])
    return Representation(known.slots, {k: rng.permutation(v) for k, v in known.factors.items()})


def _oracle(
    aligned_runs: Sequence[AlignedPredictions],
    matches: Sequence[tuple[int, ...]],
    options: RunOptions,
) -> Crossed | None:
    """Return the OOC accuracy of readouts that saw other OOC images."""
    dataset = aligned_runs[0].dataset
    split = aggregate.group_by_cell(dataset, "ooc_test")
    blocks = dataset.blocks[split.indices]
    half = np.searchsorted(np.unique(blocks), blocks) % HALVES
    if len(np.unique(half)) < HALVES:  # one block: nothing to fit on that is not scored
        return None
    rows = []
    for aligned, match in zip(aligned_runs, matches, strict=True):
        correct = np.zeros(len(split.indices), bool)
        for number in range(HALVES):
            scored = half == number
            readout = _fit_oracle(aligned, match, options, split.indices[~scored])
            answers = [readout.predict(aligned.at(split.indices))]
            correct[scored] = aggregate.correct_images(dataset, split, answers)[0][scored]
        rows.append(correct)
    return shares_by_cell(split, np.stack(rows))


def _fit_oracle(
    aligned: AlignedPredictions, match: tuple[int, ...], options: RunOptions, seen: Int[Array, " n"]
) -> Readout:
    """Fit on ID-train and OOC images with equal weight; choose regularisation on others of both."""
    dataset = aligned.dataset
    inside, val = readout_indices(dataset, options), dataset.indices("id_val")
    held_back = _every_fourth(dataset.cells[seen])
    outside, chosen = (seen[~held_back], seen[held_back]) if held_back.any() else (seen, seen)
    # Few OOC images beside many ID ones would hardly count.
    outside = np.tile(outside, max(1, round(len(inside) / len(outside))))
    chosen = np.tile(chosen, max(1, round(len(val) / len(chosen))))
    return fit_readout(
        aligned.known(np.concatenate([inside, outside])),
        aligned.known(np.concatenate([val, chosen])),
        dataset.schema,
        only=dataset.schema.recombined,
        match=match,
    )


def _every_fourth(cells: Int[Array, "n factors"]) -> Bool[Array, " n"]:
    """Return every fourth image of each cell, so that no cell is missing among the others."""
    cell = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
    rank = np.zeros(len(cell), np.int64)
    for one in np.unique(cell):
        rank[cell == one] = np.arange(np.sum(cell == one))
    return np.asarray(rank % 4 == 3)


def shares_by_cell(split: Split, correct: Bool[Array, "seeds images"]) -> Crossed:
    """Return the share of right answers per seed and cell, and per seed and block."""
    hits, counts = aggregate.count_by_cell(split, correct)
    return split.crossed(hits / counts, aggregate.shares_by_block(split, correct))


def estimate_over_cells(share: Crossed) -> Estimate:
    """Return the mean over seeds and cells with its interval."""
    found = stats.crossed_mean(share)
    return Estimate(
        estimate=found.value, ci95=found.ci95, per_seed=tuple(share.cells.mean(axis=1).tolist())
    )


def _difference(first: Crossed, second: Crossed, *, paired: bool = False) -> Estimate:
    """Return first minus second; paired when both are about the same cells."""
    apart = None if paired else stats.gap(first, second)
    found = apart or stats.crossed_mean(first.mix(1.0, second, -1.0), (-1.0, 1.0))
    per_seed = first.cells.mean(axis=1) - second.cells.mean(axis=1)
    return Estimate(
        estimate=float(per_seed.mean()), ci95=found.ci95, per_seed=tuple(per_seed.tolist())
    )


# Identifiability and decoder diagnostics of all seeds, as parts of a result.

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
    """Return what was measured on the decoders of all seeds."""
    found = [one.diagnostics for one in facts]
    if not all(found):
        return None
    out = {}
    for name, metric, chance, count in DECODER:
        values = [one.get(name) for one in found]
        if any(value is not None for value in values):
            floor = found[0].get(chance) if isinstance(chance, str) else chance
            n = int(found[0].get(count) or 0)
            out[name] = extra_metric(metric, values, n, chance=floor, name=name)
    return out


def identifiability_part(
    aligned_runs: Sequence[AlignedPredictions], options: RunOptions
) -> dict[str, Measure] | None:
    """Return whether slots know the true factors, one for one."""
    # Fitted on in-combination training images, scored on both test splits together, which hold all
    # combinations.
    dataset = aligned_runs[0].dataset
    tests = np.concatenate([dataset.indices("id_test"), dataset.indices("ooc_test")])
    fit = readout_indices(dataset, options)
    columns = [c for slot in dataset.schema.slots for c in _columns(slot) if not c[2]]
    if not columns:
        return None
    variance = np.concatenate([_variance(factor) for _, factor, _ in columns])
    found = []
    for aligned in aligned_runs:
        inner, outer = (_codes(aligned, where, columns) for where in (fit, tests))
        found.append({**_linear(inner, outer, variance), **_slots(aligned, fit, tests)})
        if inner.codes.shape[1] <= MOST_CODES:
            found[-1] |= _forest(inner, outer, variance)
    floor = dependence_floors(_factors(dataset, tests, columns), variance) if _many(columns) else {}
    chance = {
        LINEAR_R2.name: max(0.0, floor.get(LINEAR_R2.name, 0.0)),
        MCC.name: float(np.mean([one["mcc_chance"] or 0.0 for one in found])),
    }
    metrics = (LINEAR_R2, MCC, SLOT_IDENTIFIABILITY, DISENTANGLEMENT, COMPLETENESS)
    return {
        metric.name: extra_metric(
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


def _codes(
    aligned: AlignedPredictions, indices: Int[Array, " n"], columns: list[tuple[str, Factor, bool]]
) -> Codes:
    slots = aligned.at(indices)
    flat = slots.reshape(len(slots), -1).astype(np.float64)
    return Codes(flat, _factors(aligned.dataset, indices, columns))


def _linear(inner: Codes, outer: Codes, variance: Array) -> dict[str, float | None]:
    found = mcc_with_floors(outer)
    return {
        LINEAR_R2.name: float(linear_r2(inner, outer, variance).mean()),
        MCC.name: found.value,
        "mcc_chance": found.chance,
    }


def _slots(aligned: AlignedPredictions, fit: Array, tests: Array) -> dict[str, float | None]:
    """Return the slot identifiability score, of scenes with at least two slots."""
    schema = aligned.dataset.schema
    count = aligned.slots.shape[1]
    if len(schema.slots) < 2 or count < len(schema.slots):
        return {}
    keyed = [_columns(slot) for slot in schema.slots]
    variance = tuple(np.concatenate([_variance(f) for _, f, _ in one]) for one in keyed)

    def known(indices: Array) -> SlotCodes:
        slots = aligned.at(indices).astype(np.float64)
        return SlotCodes(slots, tuple(_factors(aligned.dataset, indices, one) for one in keyed))

    found = slot_identifiability(slot_r2(known(fit[:MOST_IMAGES]), known(tests), variance))
    return {SLOT_IDENTIFIABILITY.name: found.value}


def _forest(inner: Codes, outer: Codes, variance: Array) -> dict[str, float | None]:
    found = dci(*forest_importance(inner, outer, variance, trees=TREES))
    return {DISENTANGLEMENT.name: found.disentanglement, COMPLETENESS.name: found.completeness}
