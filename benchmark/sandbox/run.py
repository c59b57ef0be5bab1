"""One run of an isolated submission: write its queries, shut it in, read its answers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.inference.cost import unasked_images
from recombine.benchmark.inference.query import (
    Answers,
    DependentAnswersError,
    gather,
    make_queries,
)
from recombine.benchmark.inference.runlog import check_training_time
from recombine.benchmark.predictions.file import (
    Predictions,
    RunFacts,
    output_rules,
    run_facts,
    segments_fit,
)
from recombine.benchmark.predictions.safetensors_guard import Rule, TensorFileError, check_index
from recombine.benchmark.protocol.outputs import MAX_SLOTS
from recombine.benchmark.sandbox.channel import Host, check_promises
from recombine.benchmark.sandbox.data import write_served
from recombine.benchmark.sandbox.errors import (
    TODO,
    RunReport,
    SubmissionError,
    parse,
    printable,
)
from recombine.benchmark.sandbox.isolation import Cell, workplace
from recombine.benchmark.sandbox.process import forged, refusal
from recombine.benchmark.serving.data import FIELDS_OF_TRACK, plain_spec, served_order
from recombine.benchmark.submissions.fingerprint import environment
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.files import require_space, write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jaxtyping import Int

    from recombine.benchmark.inference.probe import Probe
    from recombine.benchmark.inference.query import Query
    from recombine.benchmark.predictions.safetensors_guard import TensorFile
    from recombine.benchmark.protocol.outputs import Output
    from recombine.benchmark.running.harness import RunOptions
    from recombine.benchmark.sandbox.isolation import IsolatedSubmission
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

STARTING_SECONDS = 60.0  # of Python and its packages, before training begins
MAX_LOG = 8 * 2**20
MAX_LOG_LINE = 10_000
EVENTS = frozenset(("config", "scalar", "end"))


def predict_isolated(
    submission: IsolatedSubmission,
    dataset: DatasetLike,
    indices: Int[Array, " images"],
    *,
    seed: int,
    out_dir: Path,
    options: RunOptions,
    key: bytes | None = None,
    examine: Callable[[Probe], dict[str, Any]] | None = None,
    read: Int[Array, " n"] | None = None,
) -> Predictions:
    """Train a submission if it is a learner, ask it about images, examine it, all in isolation."""
    who = f"{submission.card.id}, seed {seed}"
    every = make_queries(len(indices), options.batch_size, key)
    asked = [one for one in every if one.purpose != "twin"]
    order = _Order(
        submission, dataset, indices, asked, every[len(asked) :], seed, options, who, examine, read
    )
    report = out_dir / f"seed-{seed}.error.txt"
    with workplace(out_dir, f"seed-{seed}") as folder:
        cell = _cell(order, folder, out_dir)
        host = _host(order, cell.job / "batch.npy", key)
        job = _write_job(order, cell)
        try:
            with host:
                opened = cell.run("run", host=host, pipes=host.inherited, **job)
            run, answers, log = _read(order, opened, host)
            answers.check(who)
        except DependentAnswersError as error:
            raise refusal(who, error.reason, error.got, TODO[error.reason]) from error
        except SubmissionError as error:
            write_bytes(report, error.report.encode())
            raise InvalidInputError(f"{error}; the traceback is in {report}") from error
    report.unlink(missing_ok=True)
    _write_log(out_dir / f"seed-{seed}.log.jsonl", log, run)
    facts = bounded(_facts(order, run, answers), host, [len(one.rows) for one in asked])
    facts = replace(facts, diagnostics=host.findings)
    return Predictions(facts, answers.image_index, answers.slots, answers.extras)


@dataclass(frozen=True)
class _Order:
    """What is to be done, by whom, on what."""

    submission: IsolatedSubmission
    dataset: DatasetLike
    indices: Int[Array, " images"]
    asked: list[Query]
    of_twin: list[Query]
    seed: int
    options: RunOptions
    who: str
    examine: Callable[[Probe], dict[str, Any]] | None
    read: Int[Array, " n"] | None = None

    @property
    def rows(self) -> int:
        return sum(len(one.rows) for one in (*self.asked, *self.of_twin))


def _cell(order: _Order, folder: Path, out_dir: Path) -> Cell:
    submission, options = order.submission, order.options
    hidden = (getattr(order.dataset, "path", None), out_dir)
    return Cell(
        folder,
        submission.located,
        submission.given,
        submission.backend,
        submission.limits,
        submission.source_sha256,
        order.who,
        hidden=tuple(path.resolve() for path in hidden if path is not None),
        threads=options.threads,
        device=options.device,
    )


def _host(order: _Order, path: Path, key: bytes | None) -> Host:
    dataset = order.dataset
    batches, of_twin = (
        [order.indices[one.rows] for one in queries] for queries in (order.asked, order.of_twin)
    )
    shape = (dataset.resolution, dataset.resolution, 3)
    unasked = unasked_images(dataset, key)
    return Host(path, shape, batches, unasked, dataset.images, order.examine, of_twin)


def _write_job(order: _Order, cell: Cell) -> dict[str, Any]:
    """Write training images and their labels into the job folder; return the rest of the job."""
    dataset, options, submission = order.dataset, order.options, order.submission
    served = {}
    if submission.kind == "Learner":
        val = served_order(dataset, dataset.indices("id_val"))
        parts = {"train": _train_indices(dataset, options), "val": val}
        room = sum(map(len, parts.values())) * dataset.resolution**2 * 4
        require_space(cell.folder, 2 * room)
        fields = FIELDS_OF_TRACK[submission.card.supervision]
        served = {
            name: write_served(cell.job / name, dataset, rows, fields)
            for name, rows in parts.items()
        }
    return {
        "mapped_bytes": sum(p.stat().st_size for p in cell.job.rglob("*.npy")),
        "rows": order.rows,
        "steps": list(options.steps),
        "batch_size": options.batch_size,
        "seed": order.seed,
        "spec": plain_spec(dataset),
        "budget": asdict(options.budget),
        "served": {name: asdict(part) for name, part in served.items()},
    }


def _train_indices(dataset: DatasetLike, options: RunOptions) -> Int[Array, " n"]:
    found: Array = dataset.indices("id_train", rung=options.rung)
    if options.n_train is not None and not 1 <= options.n_train <= len(found):
        raise InvalidInputError(
            f"isolation: id_train holds {len(found)} images, {options.n_train} were asked for; "
            "render more or ask for fewer"
        )
    return served_order(dataset, found[: options.n_train])


def _read(order: _Order, opened: TensorFile, host: Host) -> tuple[RunReport, Answers, bytes]:
    """Return the checked report, the answers in the order of the images, and the log."""
    who = order.who
    # The twin may have ended before it was asked everything.
    queries = [*order.asked, *order.of_twin][: len(host.promised)]
    rows = sum(len(one.rows) for one in queries)
    run = parse(RunReport, opened.metadata, "run", who)
    steps = order.options.steps if run.kind == "inverter" else (0,)
    _check_report(order, run, steps, host)
    arrays = opened.take(_rules(order, opened, steps, rows))
    order_of_rows = check_index(arrays.pop("row"), np.arange(rows), who)
    log = arrays.pop("log").tobytes()
    outputs = [
        {
            name.partition("/")[0]: values[order_of_rows]
            for name, values in arrays.items()
            if name.endswith(f"/{step}")
        }
        for step in steps
    ]
    _check_outputs(outputs, who)
    ends = np.cumsum([len(one.rows) for one in queries])
    answered = [
        (one, [{k: v[end - len(one.rows) : end] for k, v in output.items()} for output in outputs])
        for one, end in zip(queries, ends, strict=True)
    ]
    check_promises(host.promised, answered, who)
    no_twin = printable(run.no_twin)
    if len(queries) < len(order.asked) + len(order.of_twin):
        no_twin = no_twin or "it ended"
    return run, gather(order.indices, steps, answered, no_twin=no_twin, read=order.read), log


def _rules(
    order: _Order, opened: TensorFile, steps: tuple[int, ...], answered: int
) -> dict[str, Rule]:
    """Return what must be in the file: slots at every step, and what is offered beside them."""
    resolution = order.dataset.resolution
    rows, edge = (answered, answered), (resolution, resolution)
    count = (len(order.dataset.schema.slots), MAX_SLOTS)
    rules = {"row": Rule("I64", (rows,)), "log": Rule("U8", ((0, MAX_LOG),))}
    for step in steps:
        names = opened.names if step in (steps[0], steps[-1]) else ()
        rules |= output_rules(rows, count, edge, names, f"/{step}")
    return rules


def _check_outputs(outputs: list[Output], who: str) -> None:
    """Check that the parts of all step counts fit each other."""
    shapes = {output["slots"].shape for output in outputs}
    if len(shapes) != 1:
        raise TensorFileError("wrong-shape", who, "one shape at every step count", sorted(shapes))
    slots = outputs[0]["slots"].shape[1]
    for output in outputs:
        if "presence" in output and output["presence"].shape[1] != slots:
            got = output["presence"].shape
            raise TensorFileError("wrong-shape", who, f"presence of {slots} slots", got)
        if "segments" in output and not segments_fit(output["segments"], slots):
            most = int(output["segments"].max())
            raise TensorFileError("too-big-values", who, f"segments below {slots}", most)


def _check_report(order: _Order, run: RunReport, steps: tuple[int, ...], host: Host) -> None:
    """Check what can be checked of what the inside says about itself."""
    who, kind = order.who, order.submission.kind
    fits = run.trained if kind == "Learner" else not run.trained and run.kind == kind.lower()
    if run.steps != steps or not fits:
        got = f"an {run.kind} read at {run.steps}"
        raise forged(who, f"a {kind} read at steps {steps}", got)
    taken = max(run.wall_s, (host.ready_seconds or 0.0) - STARTING_SECONDS)
    check_training_time(who, taken, order.options.budget.max_seconds)


def bounded(facts: RunFacts, host: Host, sizes: Sequence[int]) -> RunFacts:
    """Return facts with the times that the harness saw itself."""
    ready = host.ready_seconds or 0.0
    wall = min(max(facts.training["wall_s"], ready - STARTING_SECONDS), ready)
    training = {**facts.training, "wall_s": wall if facts.trained else 0.0}
    full = max(sizes)
    pairs = zip(host.answer_seconds, sizes, strict=True)
    seen = np.array([seconds / size for seconds, size in pairs if size == full])
    middle, high = float(np.median(seen)), float(np.quantile(seen, 0.95))
    steps = facts.steps[-1]
    start = 1.0
    if steps and facts.cost["timings"]:
        told = facts.cost["timings"][-1]
        whole = told["start_median"] + steps * told["step_median"]
        start = told["start_median"] / whole if whole > 0 else 0.0
    entry = {
        "batch": full,
        "start_median": middle * start,
        "start_p95": high * start,
        "step_median": middle * (1 - start) / max(steps, 1),
        "step_p95": high * (1 - start) / max(steps, 1),
    }
    timings = [one for one in facts.cost["timings"] if one["batch"] != full]
    busy = zip(host.answer_cpu, sizes, strict=True)
    seen_cpu = float(np.median([seconds / size for seconds, size in busy if size == full]))
    cost = {**facts.cost, "timings": [*timings, entry], "seen_cpu": seen_cpu}
    return replace(facts, training=training, cost=cost)


def _write_log(path: Path, log: bytes, run: RunReport) -> None:
    """Keep the events of the training log that have the right form."""
    if not run.trained:
        return
    kept = []
    for line in log.splitlines():
        try:
            event = json.loads(line[:MAX_LOG_LINE])
            text = json.dumps(event, allow_nan=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and event.get("event") in EVENTS:
            kept.append(text)
    write_bytes(path, "".join(f"{line}\n" for line in kept).encode())


def _facts(order: _Order, run: RunReport, answers: Answers) -> RunFacts:
    submission, dataset, options = order.submission, order.dataset, order.options
    return run_facts(
        dataset,
        options,
        seed=order.seed,
        steps=tuple(answers.slots),
        card=asdict(submission.card),
        kind=run.kind,
        trained=run.trained,
        code=submission.located.code,
        settings=dict(submission.settings),
        n_train=len(_train_indices(dataset, options)),
        training={
            "real": run.real,
            "val": run.val,
            "generated": run.generated,
            "wall_s": run.wall_s,
            "cpu_s": run.cpu_s,
            "configs": run.configs,
            "gflop": run.gflop,
        },
        cost=run.cost.model_dump(),
        peak_rss_bytes=run.peak_rss_bytes,
        environment={**environment(options.device), "threads": options.threads},
        isolation=submission.backend,
        **answers.facts(),
    )
