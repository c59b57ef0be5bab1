"""The further parts of a result, from the answers of all seeds at one step count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.metrics.detection import (
    AVERAGE_PRECISION,
    DISTANCES,
    ObjectSet,
    average_precision,
    detections,
)
from recombine.benchmark.metrics.masks import MASK_METRICS, mask_contributions
from recombine.benchmark.results.result_further import Bins, MatchingPart, Measure, SplitMeasures
from recombine.benchmark.scoring import aggregate as tables
from recombine.benchmark.scoring.score_views import floors, scene_tables
from recombine.benchmark.statistics import intervals as stats
from recombine.renderer.core.hdf5 import open_checked, stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Bool, Float

    from recombine.benchmark.metrics.base import Metric
    from recombine.benchmark.scoring.aggregate import Split
    from recombine.benchmark.scoring.score_views import View
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

VISIBLE_EDGES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
SPLITS = ("id_test", "ooc_test")


def measure(
    metric: Metric,
    per_seed: Sequence[float | None],
    n_images: int,
    *,
    chance: float | None,
    ci95: tuple[float, float] | None = None,
    name: str | None = None,
) -> Measure:
    """Return one metric of all seeds as a part of a result.

    Parameters
    ----------
    metric : Metric
        Identity and direction.
    per_seed : sequence of float or None
        Values; None where it is undefined.
    n_images : int
        Images per seed.
    chance : float, optional
        Score without information on these images.
    ci95 : tuple of float, optional
        Interval over seeds and cells.
    name : str, optional
        Another name, for one of several variants.

    Returns
    -------
    Measure
        Its estimate is the mean over the seeds where it is defined.
    """
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


def matching_part(views: Sequence[View]) -> MatchingPart | None:
    """Return how exchangeable slots were matched, with the floors of that; None for fixed roles."""
    if views[0].matching is None:
        return None
    indices = views[0].dataset.indices("ooc_test")
    found = [floors(view, indices) for view in views]
    return MatchingPart(
        on="masks", floors={key: float(np.mean([one[key] for one in found])) for key in found[0]}
    )


def mask_part(views: Sequence[View]) -> SplitMeasures | None:
    """Return segmentation scores of both splits.

    Parameters
    ----------
    views : sequence of View
        One per seed.

    Returns
    -------
    SplitMeasures, optional
        mIoU, mBO, ARI and FG-ARI; None when the method returns no masks.
    """
    name = f"segments/{views[0].step}"
    if any(name not in view.run.extras for view in views):
        return None
    dataset = views[0].dataset
    by_split = {}
    for split_name in SPLITS:
        split = tables.split_of(dataset, split_name)
        parts = [
            mask_contributions(
                scene_tables(
                    dataset,
                    split.indices,
                    view.run.extras[name][view.run.rows(split.indices)],
                    view.run.slots[view.step].shape[1],
                )
            )
            for view in views
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
        interval = stats.crossed_mean(cells, None).ci95
    counted = int(weights.sum(axis=(1, 2)).min())
    return measure(metric, per_seed, counted, chance=metric.chance, ci95=interval)


def set_part(
    views: Sequence[View],
    matches: Sequence[tuple[int, ...]],
    answers: Mapping[str, Sequence[Mapping[str, Array]]],
) -> SplitMeasures | None:
    """Return average precision at distances, of the objects as the readouts see them.

    Parameters
    ----------
    views : sequence of View
        One per seed.
    matches : sequence of tuple
        Per seed, the slot of every scene slot.
    answers : Mapping
        Per split and seed, the predicted factors.

    Returns
    -------
    SplitMeasures, optional
        None unless the method says which slots are in use (presence) or the scene has several
        objects, and objects have attributes and positions.
    """
    dataset = views[0].dataset
    keys = _object_keys(dataset)
    presence = f"presence/{views[0].step}"
    offered = all(presence in view.run.extras for view in views)
    if keys is None or not (offered or len(keys) > 1):
        return None
    by_split = {}
    for name in SPLITS:
        indices = dataset.indices(name)
        true = _object_set(keys, {k: v[indices] for k, v in dataset.latents.items()}, None)
        found = [
            _object_set(keys, one, _confidence(view, match, indices, presence) if offered else None)
            for view, match, one in zip(views, matches, answers[name], strict=True)
        ]
        by_split[name] = {
            _at(delta): measure(
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
    view: View, match: tuple[int, ...], indices: Array, name: str
) -> Float[Array, "n objects"]:
    """Return the presence of the slots that stand for the objects."""
    rows = view.run.rows(indices)
    presence = view.run.extras[name][rows]
    schema = view.dataset.schema
    objects = [k for k, slot in enumerate(schema.slots) if slot.name in schema.objects]
    if view.matching is not None:
        index = np.maximum(view.matching.index[rows][:, objects], 0)
    else:
        index = np.broadcast_to(np.array(match)[objects], (len(rows), len(objects)))
    chosen: Array = np.take_along_axis(presence, index, axis=1)
    return chosen


def visibility_bins(
    dataset: DatasetLike, correct: Mapping[str, Bool[Array, "seeds images"]]
) -> Bins | None:
    """Return accuracy against the least visible share of an object.

    Parameters
    ----------
    dataset : DatasetLike
        Where it knows ``visible``.
    correct : Mapping
        Per split, ``(S, N)`` images with every recombined factor right.

    Returns
    -------
    Bins, optional
        None where the dataset does not know it.
    """
    visible: Any = getattr(dataset, "visible", None)
    if visible is None:
        return None
    least = np.asarray(visible, float).min(axis=1)
    return _bins("visible_share", dataset, least, VISIBLE_EDGES, correct)


def interaction_bins(
    dataset: DatasetLike, correct: Mapping[str, Bool[Array, "seeds images"]]
) -> Bins | None:
    """Return accuracy against measured interaction, in thirds of the measured test images.

    Parameters
    ----------
    dataset : DatasetLike
        With ``interaction.h5`` in its folder: ``index`` (n,) and ``energy`` (n, 3) of orders 1 to
        3.
    correct : Mapping
        As for `visibility_bins`.

    Returns
    -------
    Bins, optional
        None where nothing was measured on test images.
    """
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
