"""Facts of runs, and valid results from hits and counts, for tests of all that reads them."""

from __future__ import annotations

import json

import numpy as np

from recombine.benchmark.metrics.base import JOINT
from recombine.benchmark.predictions.file import RunFacts
from recombine.benchmark.results.levels import with_levels
from recombine.benchmark.results.parts import Levels, Score
from recombine.benchmark.results.result import Result
from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import scores_of

FACTORS = ("object.shape", "background.environment")
SHAPES = ("teapot", "star", "pawn", "knot")
ENVIRONMENTS = ("meadow", "parquet", "slate", "studio")


def make_facts(**over):
    """Return the facts of a run; any can be overridden."""
    fields = {
        "key": "k",
        "seed": 3,
        "steps": (0, 10),
        "card": {"id": "a"},
        "kind": "inverter",
        "trained": True,
        "code": "m:C",
        "settings": {"width": 4},
        "dataset": {"identity": "ab", "root": "ab"},
        "options": {},
        "n_train": 10,
        "training": {},
        "cost": {},
        "peak_rss_bytes": None,
        "environment": {},
        "batch_change": (0.0, 0.1),
        "repeat_change": (0.0, 0.0),
    }
    return RunFacts(**{**fields, **over})


def cell_names(n, offset):
    """Return n different (shape, environment) pairs; made-up values beyond the first 16."""
    pairs = [(s, e) for s in SHAPES for e in ENVIRONMENTS]
    pairs += [(f"shape{i}", f"env{i}") for i in range(2 * n)]
    return [list(pair) for pair in pairs[offset : offset + n]]


def make_score(hits, counts, offset=0, per_factor=None):
    """Return the score part of a result from (seeds, cells) arrays."""
    hits, counts = np.asarray(hits), np.asarray(counts)
    share = hits / counts
    blocks = make_blocks(hits, counts)
    right = np.array(blocks["hits"]) / blocks["counts"]
    score = {
        "metric": JOINT.name,
        "metric_version": JOINT.version,
        "estimate": float(share.mean()),
        "ci95": None,
        "ci_method": stats.CI_METHOD,
        "n_seeds": hits.shape[0],
        "n_cells": hits.shape[1],
        "n_images": int(counts[0].sum()),
        "chance": 0.0625,
        "variance": stats.variance_components(hits, counts).__dict__,
        "per_seed": share.mean(axis=1).tolist(),
        "per_factor": per_factor or {key: make_factor(share, right) for key in FACTORS},
        "cells": cell_names(hits.shape[1], offset),
        "hits": hits.tolist(),
        "counts": counts.tolist(),
        "blocks": blocks,
    }
    return score | {"ci95": stats.crossed_mean(table_of(score)).ci95}


def table_of(score):
    """Return the shares of a score part, as the statistics read them."""
    return scores_of(Score.model_validate_json(json.dumps(score)))


def restated(scores):
    """Return changed score parts, and the gap, with the intervals that now follow from them."""
    inside, outside = (table_of(scores[name]) for name in ("id_test", "ooc_test"))
    gap = stats.gap(inside, outside)
    stated = {
        name: lifted(scores[name] | {"ci95": stats.crossed_mean(table).ci95})
        for name, table in (("id_test", inside), ("ooc_test", outside))
    }
    return {"scores": stated, "gap": {"estimate": gap.value, "ci95": gap.ci95}}


def lifted(score):
    """Return a score part with the lift and its interval that follow from its levels."""
    if score.get("levels") is None:
        return score
    bare = Score.model_validate_json(json.dumps(score | {"lift": None, "lift_ci95": None}))
    return with_levels(bare, bare.levels).model_dump(mode="json")


def make_blocks(hits, counts):
    """Return right answers per block: image i of every cell is of block i, the hits at random."""
    counts = counts[0]
    block = np.arange(counts.max())
    shown = block < counts[:, None]
    order = np.random.default_rng(1).random((*hits.shape, len(block)))
    order[:, ~shown] = np.inf
    right = order.argsort(axis=-1).argsort(axis=-1) < hits[..., None]
    digits = [["".join(map(str, row)) for row in table] for table in right.astype(int)]
    return {
        "numbers": block.tolist(),
        "hits": right.sum(axis=1).tolist(),
        "counts": shown.sum(axis=0).tolist(),
        "images": ["".join(map(str, row)) for row in shown.astype(int)],
        "right": digits,
    }


def make_factor(share, blocks):
    """Return the score of one categorical factor with four values."""
    corrected = (share - 0.25) / 0.75
    headline = stats.crossed_mean(corrected, None)
    return {
        "metric": "balanced_accuracy_chance_corrected",
        "metric_version": "1.0",
        "kind": "categorical",
        "recombined": True,
        "estimate": headline.value,
        "ci95": headline.ci95,
        "chance": 0.0,
        "per_seed": corrected.mean(axis=1).tolist(),
        "per_cell": corrected.tolist(),
        "per_block": ((blocks - 0.25) / 0.75).tolist(),
    }


def make_result(
    *, id_hits=None, id_counts=None, ooc_hits=None, ooc_counts=None, entry=None, steps=(0,), **over
):
    """Return a valid, sealed Result; any top-level part can be overridden, dicts are merged."""
    id_counts = np.full((3, 8), 24) if id_counts is None else np.asarray(id_counts)
    ooc_counts = np.full((3, 8), 24) if ooc_counts is None else np.asarray(ooc_counts)
    rng = np.random.default_rng(0)
    id_hits = rng.binomial(id_counts, 0.95) if id_hits is None else np.asarray(id_hits)
    ooc_hits = rng.binomial(ooc_counts, 0.6) if ooc_hits is None else np.asarray(ooc_hits)
    seeds = list(range(len(id_hits)))
    scores = {
        "id_test": make_score(id_hits, id_counts),
        "ooc_test": make_score(ooc_hits, ooc_counts, offset=8),
    }
    inside, outside = (table_of(score) for score in scores.values())
    gap = stats.gap(inside, outside)
    fields = {
        "created": "2026-01-01T00:00:00Z",
        "trust": "retrained",
        "method": _method(entry or "autoencoder", steps[-1]),
        "track": {"data": "scratch", "supervision": "unsupervised", "test_compute": "T1"},
        "data": _data(),
        "training": _training(),
        "seeds": seeds,
        "readout": {
            "kind": "linear",
            "n_train": 1000,
            "n_val": 128,
            "slot_match": [[0, 1]] * len(seeds),
            "regularisation": {key: [1.0] * len(seeds) for key in FACTORS},
        },
        "scores": scores,
        "gap": {"estimate": gap.value, "ci95": gap.ci95, "ci_method": stats.GAP_METHOD},
        "paired_gap": None,
        "worst_cells": {
            "quantile": 0.1,
            "estimate": float(np.quantile((ooc_hits / ooc_counts).mean(axis=0), 0.1)),
            "cells": [["teapot", "slate"]],
        },
        "smallest_detectable_difference": stats.smallest_detectable_difference(outside),
        "compute_curve": _curve(scores, steps),
        "compute": _compute(steps[-1]),
        "environment": _environment(),
        "checks": _checks(),
        "sources": {"sandbox": "none", "figures": {"wall_s": "measured"}},
        "further": {},
        "artifacts": {
            "predictions": [
                {"seed": s, "file": f"seed-{s}.safetensors", "sha256": f"{s:064x}", "bytes": 1000}
                for s in seeds
            ]
        },
    }
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(fields.get(key), dict)
        fields[key] = {**fields[key], **value} if both else value
    return Result.sealed(**fields)


def leveled(result):
    """Return a result beside what ignorance scores where training showed 2 of 4 shapes each."""
    levels = Levels(
        one_known=dict.fromkeys(FACTORS, 0.25),
        unseen=0.125,
        one_known_unseen=dict.fromkeys(FACTORS, 0.5),
    )
    scores = result.scores
    both = {name: with_levels(getattr(scores, name), levels) for name in ("id_test", "ooc_test")}
    plain = result.model_copy(update={"scores": scores.model_copy(update=both)})
    fields = plain.model_dump(mode="json", exclude={"schema_version", "result_id"})
    return Result.sealed(**fields)


def _method(entry, steps):
    return {
        "id": entry.removesuffix("-search"),
        "entry": entry,
        "name": entry.replace("-", " ").capitalize(),
        "inference": "search" if steps else "direct",
        "kind": "inverter" if steps else "encoder",
        "source": "arXiv 2512.08854, section 5 (reimplementation)",
        "note": "",
        "code": "recombine.baselines.generative.autoencoders:Autoencoder",
        "settings": {"width": 32, "lr": 0.001},
    }


def _data():
    return {
        "dataset": "smoke",
        "version": "1.0",
        "resolution": 64,
        "identity": "ab" * 32,
        "root": "ab" * 32,
        "certificate_sha256": "cd" * 32,
        "n_train": 1024,
        "recombined": list(FACTORS),
        "renderer": {"blender": "4.5", "blenderproc": "2.8.0"},
    }


def _training():
    return {
        "real_images_seen": 50_000,
        "generated_images_seen": 0,
        "wall_s": 60.0,
        "gflop": None,
        "configs_tried": 1,
        "selection": {"rule": "none", "n_candidates": 1},
    }


def _curve(scores, steps):
    inside, outside = scores["id_test"], scores["ooc_test"]
    n = len(steps)
    return {
        "steps": list(steps),
        "gflop_per_image": [0.01 * (1 + 2 * step) for step in steps],
        "id": [inside["estimate"]] * n,
        "id_ci95": [inside["ci95"]] * n,
        "ooc": [outside["estimate"]] * n,
        "ooc_ci95": [outside["ci95"]] * n,
    }


def _compute(steps):
    return {
        "gflop_per_image": 0.01 * (1 + 2 * steps),
        "uncounted_ops": {},
        "seconds_per_image": [{"batch": 1, "median": 0.002, "p95": 0.003}],
        "steps": steps,
        "peak_rss_bytes": 400_000_000,
        "params": 123_456,
    }


def _environment():
    return {
        "harness": "0.1.0",
        "python": "3.11.0",
        "torch": "2.13.0",
        "numpy": "1.26.4",
        "threads": 1,
        "cpu": "test",
        "gpu": None,
        "platform": "Linux",
    }


def _checks():
    passed = {"value": 0.0, "limit": 0.001, "passed": True}
    return {
        "finite": True,
        "coverage_once": True,
        "batch_invariance": passed,
        "repeatability": passed,
        "memory": passed,
        "independence": "twin",
    }
