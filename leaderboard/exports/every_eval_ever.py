"""Entries in the form of *Every Eval Ever*, the shared schema of the EvalEval coalition.

One record per entry, at the place that its datastore expects. Source: arXiv 2606.14516 and
``eval.schema.json`` of the package ``every_eval_ever`` 0.3.0.
"""

from __future__ import annotations

import calendar
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from recombine.leaderboard.board.entries import is_baseline
from recombine.leaderboard.ledger.records import SELF_REPORTED
from recombine.renderer.core.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from recombine.benchmark.results.parts import FactorScore, Gap, PairedGap, Score
    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.entries import Entry

SCHEMA_VERSION = "0.3.0"
SPLITS = (("id_test", "in combination (ID)"), ("ooc_test", "out of combination (OOC)"))
UNBOUNDED = {"continuous": "-Infinity"}
"""Kinds of factor score without a lowest value; of the others it depends on the factor."""


def record(entry: Entry) -> dict[str, Any]:
    """Return an entry as a record of the shared schema."""
    result, data = entry.result, entry.result.data
    collection = f"{data.dataset}-{data.version}-{data.resolution}px-n{data.n_train}"
    seconds = calendar.timegm(time.strptime(result.created, "%Y-%m-%dT%H:%M:%SZ"))
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{collection}/{_model_id(entry)}/{seconds}",
        "evaluation_timestamp": result.created,
        "retrieved_timestamp": str(seconds),
        "source_metadata": _source(entry),
        "eval_library": {"name": "recombine", "version": result.environment.harness},
        "model_info": {
            "name": result.method.name,
            "id": _model_id(entry),
            "additional_details": _model(result),
        },
        "evaluation_results": list(_scores(result)),
    }


def record_path(entry: Entry) -> str:
    """Return where the datastore expects a record."""
    result = entry.result
    name = uuid.UUID(bytes=bytes.fromhex(result.result_id)[:16], version=4)
    return f"data/recombine-{result.data.dataset}/{_model_id(entry)}/{name}.json"


def write_records(entries: Iterable[Entry], out: Path) -> list[Path]:
    """Write one record per entry."""
    paths = []
    for entry in entries:
        text = json.dumps(record(entry), indent=1, ensure_ascii=False, allow_nan=False)
        paths.append(out / record_path(entry))
        write_bytes(paths[-1], (text + "\n").encode())
    return paths


def _model_id(entry: Entry) -> str:
    """Name a method below this board; only what was run here is known to be its baseline."""
    owner = "recombine" if _is_ours(entry) else "recombine-submissions"
    return f"{owner}/{entry.result.method.entry}"


def _is_ours(entry: Entry) -> bool:
    return entry.witnessed and is_baseline(entry.result)


def _source(entry: Entry) -> dict[str, Any]:
    result = entry.result
    independent = entry.tier != SELF_REPORTED and not _is_ours(entry)
    mark = entry.mark
    state = {} if mark is None else {"state": mark.state, "state_reason": mark.reason}
    return {
        "source_name": "recombine leaderboard",
        "source_type": "evaluation_run",
        "source_organization_name": "recombine",
        "evaluator_relationship": "third_party" if independent else "first_party",
        "additional_details": {"result_id": result.result_id, "trust": entry.tier, **state},
    }


def _model(result: Result) -> dict[str, str]:
    """Return what the schema has no field for; its further details are strings."""
    method, track, training, credit = result.method, result.track, result.training, result.credit
    found = {
        "deployment_type": "self_deployed",
        "model_availability": "unknown",
        "kind": method.kind,
        "inference": method.inference,
        "source": method.source,
        "code": method.code,
        "authors": "; ".join(credit.authors),
        "licence": credit.licence,
        "code_url": credit.code,
        "paper": credit.paper,
        "pretraining": "; ".join(credit.pretraining),
        "track": f"{track.data}, {track.supervision}, {track.test_compute}",
        "gflop_per_image": result.compute.gflop_per_image,
        "search_steps": result.compute.steps,
        "parameters": result.compute.params,
        "training_images": result.data.n_train,
        "real_images_seen": training.real_images_seen,
        "generated_images_seen": training.generated_images_seen,
        "training_seeds": len(result.seeds),
        "selection_rule": training.selection.rule,
        "configurations_tried": training.configs_tried,
    }
    settings = {f"setting.{name}": value for name, value in method.settings.items()}
    return {name: str(v) for name, v in {**found, **settings}.items() if v not in (None, "")}


def _scores(result: Result) -> Iterator[dict[str, Any]]:
    for name, words in SPLITS:
        score: Score = getattr(result.scores, name)
        shared = {"n_cells": score.n_cells, "n_images_per_seed": score.n_images}
        ignorance = {
            key: value
            for key, value in (("floor", score.floor), ("lift", score.lift))
            if value is not None
        }
        config = {
            "evaluation_description": "Share of images with every recombined factor right, mean "
            f"over the cells; {words} test images.",
            **_metric(score.metric, score.metric_version, 0.0),
        }
        more = {"chance": score.chance, **ignorance, **shared}
        yield _scored(result, f"{name}.joint", config, score, score, **more)
        for factor, one in score.per_factor.items():
            config = {
                "evaluation_description": f"How well {factor} is read out, {words} test images: "
                "1 is perfect, 0 is chance.",
                **_metric(one.metric, one.metric_version, UNBOUNDED.get(one.kind)),
            }
            yield _scored(result, f"{name}.{factor}", config, one, score, recombined=one.recombined)
    yield from _gaps(result)


def _gaps(result: Result) -> Iterator[dict[str, Any]]:
    parts = {"gap": result.gap, "paired_gap": result.paired_gap}
    score = result.scores.ooc_test
    for name, part in parts.items():
        if part is None:
            continue
        within = " on exactly these combinations" if name == "paired_gap" else ""
        config = {
            "evaluation_description": f"ID minus OOC joint slot accuracy{within}.",
            **_metric(name, score.metric_version, -1.0, lower_is_better=True),
        }
        yield _scored(result, name, config, part, score)


def _metric(
    name: str, version: str, lowest: float | str | None, *, lower_is_better: bool = False
) -> dict[str, Any]:
    return {
        "metric_id": f"recombine.{name}",
        "metric_name": name.replace("_", " "),
        "metric_parameters": {"version": version},
        "lower_is_better": lower_is_better,
        "score_type": "continuous",
        "min_score": lowest,
        "max_score": 1.0,
    }


def _scored(
    result: Result,
    name: str,
    config: dict[str, Any],
    part: Score | FactorScore | Gap | PairedGap,
    score: Score,
    **details: object,
) -> dict[str, Any]:
    """Return one number with its interval and what it was measured on."""
    scored: dict[str, Any] = {
        "score": part.estimate,
        "details": {key: str(value) for key, value in details.items()},
    }
    if part.ci95 is not None:
        method = getattr(part, "ci_method", score.ci_method)
        scored["uncertainty"] = {
            "confidence_interval": {
                "lower": part.ci95[0],
                "upper": part.ci95[1],
                "confidence_level": 0.95,
                "method": method,
            },
            "num_samples": score.n_seeds * score.n_cells,
        }
    return {
        "evaluation_result_id": f"{result.result_id[:16]}.{name}",
        "evaluation_name": f"{result.data.dataset} {name}",
        "source_data": _data(result),
        "evaluation_timestamp": result.created,
        "metric_config": config,
        "score_details": scored,
    }


def _data(result: Result) -> dict[str, Any]:
    data = result.data
    return {
        "dataset_name": data.dataset,
        "source_type": "other",
        "additional_details": {
            "version": data.version,
            "resolution": str(data.resolution),
            "identity": data.identity,
            "merkle_root": data.root,
            "certificate_sha256": data.certificate_sha256,
            "recombined": ", ".join(data.recombined),
        },
    }
