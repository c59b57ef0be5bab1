"""The parts of a result that come from the facts of its runs: who, on what, at what cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recombine.benchmark.inference.query import MARKED_CHANGE
from recombine.benchmark.results.artifacts import (
    MAX_CURVES,
    MAX_TRIED,
    Artifacts,
    Prediction,
    TrainingCurve,
    Tried,
)
from recombine.benchmark.results.credit import Credit
from recombine.benchmark.results.parts import (
    LEAST_GFLOP,
    Check,
    Checks,
    Compute,
    Data,
    Latency,
    Method,
    Selection,
    Source,
    Sources,
    Track,
    Training,
)
from recombine.benchmark.running.training_curves import SUFFIX, read_curves, thinned
from recombine.benchmark.submissions.fingerprint import flat
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.project import AUTHORS, project
from recombine.renderer.core.text import shown, tidy
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float

    from recombine.benchmark.predictions.file import Predictions, RunFacts
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

REFERENCE_GFLOP = 3.64
"""ResNet-18 at 224 x 224 (1.82e9 multiply-adds; He et al. 2016, table 1), scaled by image area."""
DISAGREEMENT = 3.0
"""Factor between CPU seconds that no warm-up, batch size or busy machine explains."""
UNEXPLAINED_SECONDS = 1e-3
"""Per image of at most 64 x 64 pixels: what the harness's own work on an answer may take."""
COMPARED_IMAGES = 256
SAME_ANSWERS = 1e-3
"""Relative change of a number, after scaling, below which two runs gave one answer."""

MAX_LINE = 2_000
"""Of a log, in characters; a longer one is no list of settings."""
COSTS = ("gflop_per_image", "seconds_per_image", "peak_rss_bytes", "params")
TRAINING = (
    "real_images_seen",
    "val_images_seen",
    "generated_images_seen",
    "configs_tried",
    "wall_s",
    "cpu_s",
    "training_gflop",
)
AFTER_SEARCH: dict[str, Literal["search", "replay+search"]] = {
    "direct": "search",
    "replay": "replay+search",
}


def method_part(facts: RunFacts, steps: int) -> Method:
    """Return who answers, read after so many search steps."""
    card = {**facts.card, **{name: tidy(facts.card[name]) for name in ("name", "source", "note")}}
    inference = AFTER_SEARCH[card["inference"]] if steps else card["inference"]
    plain = {
        "id": card["id"],
        "entry": f"{card['id']}-search" if steps else card["id"],
        "name": card["name"],
        "inference": inference,
        "kind": facts.kind,
        "role": card.get("role", "method"),  # predictions from before it existed lack it
        "source": card["source"],
        "note": card["note"],
        "code": facts.code,
        "settings": {tidy(name): _setting(value) for name, value in facts.settings.items()},
    }
    return Method.model_validate(plain)


def _setting(value: Any) -> Any:
    """Return a setting in one line that shows all of it."""
    return tidy(shown(value, keep="")) if isinstance(value, str) else value


def credit_part(facts: RunFacts, method: Method) -> Credit:
    """Return whose work the method is; of a baseline, this project's."""
    credit = Credit.of(facts.card)
    if not method.is_baseline:
        return credit
    return credit.model_copy(update={"authors": (AUTHORS,), "licence": project().licence})


def trust_tier(facts: RunFacts) -> Literal["retrained", "rerun"]:
    """Return the trust tier of a run that this harness made."""
    return "retrained" if facts.trained else "rerun"


def track_part(facts: RunFacts, gflop: float | None) -> Track:
    """Return the track: data and supervision as declared, test compute as measured."""
    return Track.model_validate(
        {
            "data": facts.card["data"],
            "supervision": facts.card["supervision"],
            "test_compute": compute_class(gflop, facts.dataset["resolution"]),
        }
    )


def compute_class(gflop: float | None, resolution: int) -> str:
    """Return the class of test-time compute."""
    if gflop is None:
        return "unknown"
    multiple = gflop / (REFERENCE_GFLOP * (resolution / 224) ** 2)
    for limit, name in ((3, "T1"), (30, "T10"), (300, "T100")):
        if multiple <= limit * (1 + 1e-9):
            return name
    return "unbounded"


def data_part(dataset: DatasetLike, facts: RunFacts) -> Data:
    """Return what was asked, down to the bytes."""
    rung = int(str(facts.options.get("rung", 0)))
    most = len(dataset.indices("id_train", rung=rung))
    if facts.n_train > most:
        raise InvalidInputError(
            f"score: expected at most the {most} training images of {dataset.preset}, got "
            f"{facts.n_train} in the predictions of seed {facts.seed}; say how many were served"
        )
    certificate = json.dumps(dataset.certificate, sort_keys=True, separators=(",", ":"))
    sealed = getattr(dataset, "certificate_sha256", "")  # all that is known of a plan drawn again
    provenance = dataset.manifest.get("provenance", {})
    recipe = getattr(dataset, "recipe", None)
    return Data(
        dataset=dataset.preset + (f"--rung-{rung}" if rung else ""),
        version=dataset.version,
        resolution=dataset.resolution,
        identity=dataset.identity,
        root=str(facts.dataset.get("root", dataset.root)),  # of the pixels that were answered
        certificate_sha256=sealed or hashlib.sha256(certificate.encode()).hexdigest(),
        n_train=facts.n_train,
        recombined=tuple(dataset.schema.recombined),
        renderer={str(k): str(v) for k, v in provenance.items() if isinstance(v, str | int)},
        recipe=None if recipe is None else {**recipe, "rung": rung},
    )


def training_part(facts: Sequence[RunFacts], distinct_runs: int | None = None) -> Training:
    """Return the mean cost of training, and how many runs have answers of their own."""
    configs = max(1, *(int(one.training["configs"]) for one in facts))
    gflops = [one.training.get("gflop") for one in facts]
    known = [float(value) for value in gflops if value is not None]
    busy = [one.training.get("cpu_s") for one in facts]
    cpu = [float(value) for value in busy if value is not None]
    looks = [one.training.get("val") for one in facts]
    seen = [int(value) for value in looks if value is not None]
    return Training(
        real_images_seen=round(float(np.mean([one.training["real"] for one in facts]))),
        val_images_seen=round(float(np.mean(seen))) if len(seen) == len(looks) else None,
        distinct_runs=distinct_runs,
        generated_images_seen=round(float(np.mean([one.training["generated"] for one in facts]))),
        wall_s=float(np.mean([one.training["wall_s"] for one in facts])),
        cpu_s=float(np.mean(cpu)) if len(cpu) == len(busy) else None,
        gflop=float(np.mean(known)) if len(known) == len(gflops) else None,
        configs_tried=configs,
        selection=Selection(rule="id_val" if configs > 1 else "none", n_candidates=configs),
    )


def gflop_at(facts: Sequence[RunFacts], steps: int) -> float | None:
    """Return 1e9 operations per image after so many search steps, the mean over seeds."""
    pairs = [(one.cost["start_gflop"], one.cost["step_gflop"]) for one in facts]
    if any(start is None or step is None for start, step in pairs):
        return None
    mean = float(np.mean([start + steps * step for start, step in pairs]))
    return max(mean, LEAST_GFLOP) if mean else mean  # below a thousand operations, a thousand


def compute_part(facts: Sequence[RunFacts], steps: int) -> Compute:
    """Return what one answer costs after so many search steps."""
    memory = [one.peak_rss_bytes for one in facts if one.peak_rss_bytes is not None]
    return Compute(
        gflop_per_image=gflop_at(facts, steps),
        uncounted_ops={k: v for one in facts for k, v in one.cost["uncounted"].items()},
        seconds_per_image=_latencies([one.cost["timings"] for one in facts], steps),
        steps=steps,
        peak_rss_bytes=max(memory, default=None),
        params=max(one.cost["params"] for one in facts),
        **_seen(facts),
    )


def _seen(facts: Sequence[RunFacts]) -> dict[str, Any]:
    """Return CPU seconds as measured and as seen while answering, and whether they agree."""
    pairs = []
    for one in facts:
        start, step, seen = (one.cost.get(key) for key in ("start_cpu", "step_cpu", "seen_cpu"))
        if start is None or step is None or seen is None:
            return {}
        pairs.append((start + one.steps[-1] * step, seen))
    room = UNEXPLAINED_SECONDS * max(1.0, (facts[0].dataset["resolution"] / 64) ** 2)
    close = [
        max(pair) <= DISAGREEMENT * min(pair) or max(pair) - min(pair) <= room for pair in pairs
    ]
    measured, seen = np.mean(pairs, axis=0)
    return {
        "cpu_seconds_per_image": float(measured),
        "seen_cpu_seconds_per_image": float(seen),
        "agrees": all(close),
    }


def distinct_rows(runs: Sequence[Predictions]) -> tuple[int, ...]:
    """Return the places of runs with answers of their own: the first of every group of copies."""
    # Copies are equal up to rounding, in the same sense in which repeated answers are.
    step = runs[0].facts.steps[-1]
    rows = np.unique(np.linspace(0, len(runs[0].image_index) - 1, COMPARED_IMAGES).astype(int))
    answers = [run.slots[step][rows].reshape(len(rows), -1).astype(np.float64) for run in runs]
    kept: list[int] = []
    for place, one in enumerate(answers):
        if not any(_copies(answers[other], one) for other in kept):
            kept.append(place)
    return tuple(kept)


def _copies(one: Float[Array, "images n"], other: Float[Array, "images n"]) -> bool:
    if one.shape != other.shape:
        return False
    # A number that was only scaled, shifted or turned round is the same to a readout.
    mine, theirs = one - one.mean(axis=0), other - other.mean(axis=0)
    sizes = np.linalg.norm(mine, axis=0), np.linalg.norm(theirs, axis=0)
    still = [size <= 1e-6 * (size.max() + 1e-300) for size in sizes]
    if not np.array_equal(*still):
        return False
    product = np.where(still[0], 1.0, sizes[0] * sizes[1])
    together = np.where(still[0], 1.0, np.abs((mine * theirs).sum(axis=0)) / product)
    return bool(np.all(together >= 1 - SAME_ANSWERS**2))


def checks_part(facts: Sequence[RunFacts], steps: int) -> Checks:
    """Return what the harness verified; the worst seed counts."""
    at = facts[0].steps.index(steps)
    asked = all(len(one.batch_change) == len(one.steps) for one in facts)  # not of a given file
    more = [one.dependence for one in facts]
    reasons = [str(one["no_twin"]) for one in more if one.get("no_twin")]
    twins = [one["twin"]["typical"][at] for one in more if "twin" in one]
    given = facts[0].isolation == "file"
    known = given or all(more)  # older runs say nothing of a twin
    verified = asked and len(twins) == len(facts)
    if given:
        reasons = [ELSEWHERE]
    return Checks(
        finite=True,
        coverage_once=True,
        batch_invariance=_check([one.batch_change[at] for one in facts], more, "batch", at)
        if asked
        else None,
        repeatability=_check([one.repeat_change[at] for one in facts], more, "repeat", at)
        if asked
        else None,
        memory=_check(twins, more, "twin", at) if verified else None,
        independence=("twin" if verified else "declared") if known else None,
        independence_why=next(iter(reasons), "")[:500],
    )


def sources_part(facts: Sequence[RunFacts]) -> Sources:
    """Return where the numbers come from that no label can check."""
    kind = facts[0].isolation
    figures: dict[str, str]
    if kind == "file":
        figures = {**dict.fromkeys(COSTS, "unknown"), **dict.fromkeys(TRAINING, "self-reported")}
    elif kind == "none":
        figures = dict.fromkeys((*COSTS, *TRAINING), "measured")
    else:
        figures = dict.fromkeys((*COSTS, *TRAINING), "self-reported")
        figures |= dict.fromkeys(("wall_s", "seconds_per_image"), "bounded")
    # Only the method knows what it made itself, and what it compared.
    figures |= dict.fromkeys(("generated_images_seen", "configs_tried"), "self-reported")
    return Sources.model_validate({"sandbox": kind, "figures": figures})


ELSEWHERE = "the answers were made elsewhere"


@contextmanager
def of_others() -> Iterator[None]:
    """Turn what strange facts break into the one error that says so."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        raise InvalidInputError(
            "score: expected predictions whose metadata hold the facts of a run, got some that "
            f"do not fit ({type(error).__name__}: {error}); write them with this version of "
            "recombine"
        ) from error


def as_reported(result: Result) -> Result:
    """Return a result that claims nothing of what its predictions only say about themselves.

    Scores follow from the answers. What a run cost, where it ran and what was checked while it
    ran stands in a file that anybody can write.
    """
    checks, compute, further = result.checks, result.compute, result.further
    figures: dict[str, Source] = dict.fromkeys((*COSTS, *TRAINING), "self-reported")
    figures |= dict.fromkeys((name for name in COSTS if not getattr(compute, name)), "unknown")
    unseen: dict[str, None] = dict.fromkeys(
        ("cpu_seconds_per_image", "seen_cpu_seconds_per_image", "agrees")
    )
    told = {
        "sources": Sources(sandbox="file", figures=figures),
        "checks": Checks(
            finite=checks.finite,  # both are seen in the answers
            coverage_once=checks.coverage_once,
            batch_invariance=None,
            repeatability=None,
            independence="declared",
            independence_why=ELSEWHERE,
        ),
        "track": result.track.model_copy(update={"test_compute": "unknown"}),
        "compute": compute.model_copy(update=unseen),
        # The decoder was examined where it ran.
        "further": further and further.model_copy(update={"decoder": None}),
    }
    changed = result.model_copy(update=told)
    return changed.model_copy(update={"result_id": changed.expected_id()})


def artifacts_part(paths: Sequence[Path], facts: Sequence[RunFacts]) -> Artifacts:
    """Return names and hashes of the predictions files."""
    return Artifacts(
        predictions=tuple(
            Prediction(
                seed=one.seed,
                file=path.name,
                sha256=file_sha256(path),
                bytes=path.stat().st_size,
            )
            for path, one in zip(paths, facts, strict=True)
        )
    )


def tried_configurations(paths: Sequence[Path], facts: Sequence[RunFacts]) -> tuple[Tried, ...]:
    """Return the configurations that the training logs beside the predictions list."""
    found: list[Tried] = []
    for path, one in zip(paths, facts, strict=True):
        log = path.with_suffix(".log.jsonl")
        for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else ():
            found += _tried(line, one.seed)
    return tuple(found[:MAX_TRIED])


def kept_curves(paths: Sequence[Path], facts: Sequence[RunFacts]) -> tuple[TrainingCurve, ...]:
    """Return the training curves in the logs beside the predictions, thinned."""
    found: list[TrainingCurve] = []
    for path, one in zip(paths, facts, strict=True):
        log = path.with_suffix(SUFFIX)
        read = read_curves(log.stem, log) if log.is_file() else []
        kept = [part for curve in read for part in thinned(curve, one.seed)]
        found += kept[: MAX_CURVES // len(paths)]
    return tuple(found)


def _tried(line: str, seed: int) -> list[Tried]:
    """Read one line of a log: a configuration, or nothing."""
    try:
        event = json.loads(line[:MAX_LINE])
        if event["event"] != "config":
            return []
        settings = flat(event["config"])
        return [Tried(seed=seed, settings=settings, score=event["score"])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _latencies(timings: Sequence[Sequence[Mapping[str, Any]]], steps: int) -> tuple[Latency, ...]:
    sizes = sorted({timing["batch"] for seed in timings for timing in seed})
    out = []
    for size in sizes:
        same = [timing for seed in timings for timing in seed if timing["batch"] == size]
        median = np.median([t["start_median"] + steps * t["step_median"] for t in same])
        high = np.median([t["start_p95"] + steps * t["step_p95"] for t in same])
        out.append(Latency(batch=size, median=float(median), p95=float(high)))
    return tuple(out)


def _check(values: Sequence[float], more: Sequence[Mapping[str, Any]], name: str, at: int) -> Check:
    """Return one check of the worst seed; of older runs only the 95th percentile is known."""
    parts = [one[name] for one in more if name in one]
    known = len(parts) == len(values)
    return Check(
        value=max(values),
        limit=MARKED_CHANGE,
        passed=max(values) <= MARKED_CHANGE,
        largest=max(one["largest"][at] for one in parts) if known else None,
        changed_share=max(one["share"][at] for one in parts) if known else None,
        images=min(one["images"] for one in parts) if known else None,
    )
