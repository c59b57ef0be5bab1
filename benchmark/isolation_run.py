"""One run of an isolated submission: write its questions, shut it in, read its answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.answering import MAX_ABS, MAX_DIM, MAX_SLOTS, Answers, gather, questions
from recombine.benchmark.data import FIELDS_OF_TRACK
from recombine.benchmark.identity import environment, settings_of
from recombine.benchmark.isolation import Cell, workplace
from recombine.benchmark.isolation_data import plain_spec, write_pixels, write_served
from recombine.benchmark.isolation_limits import RefusedError
from recombine.benchmark.isolation_refusals import SubmissionError
from recombine.benchmark.isolation_report import RunReport, parse
from recombine.benchmark.predictions import Predictions, RunFacts
from recombine.benchmark.tensorfile import Rule, TensorFileError, check_index
from recombine.renderer.atomic import require_space, write_bytes
from recombine.renderer.errors import InvalidInputError, ResourceError

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Int

    from recombine.benchmark.answering import Question
    from recombine.benchmark.arrays import Array
    from recombine.benchmark.data import DatasetLike
    from recombine.benchmark.harness import RunOptions
    from recombine.benchmark.isolation import IsolatedSubmission
    from recombine.benchmark.tensorfile import TensorFile

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
) -> Predictions:
    """Train a submission if it is a learner, and ask it about images, all in isolation.

    Parameters
    ----------
    submission : IsolatedSubmission
        What runs.
    dataset : DatasetLike
        The data; the submission gets pixels in secret order, and for training the fields of its
        track.
    indices : array
        ``(N,)`` images to ask about, ascending.
    seed : int
        Training seed.
    out_dir : Path
        Gets ``seed-<seed>.log.jsonl``, and ``seed-<seed>.error.txt`` when the submission fails.
    options : RunOptions
        How the run is made.

    Returns
    -------
    Predictions
        Every answer checked; the key of its facts is left empty.

    Raises
    ------
    RecombineError
        `RefusedError`, `LimitError` or `TensorFileError` with a named reason, or the
        submission's own failure.
    """
    who = f"{submission.card.id}, seed {seed}"
    asked = questions(len(indices), options.batch_size)
    report = out_dir / f"seed-{seed}.error.txt"
    with workplace(out_dir, f"seed-{seed}") as folder:
        cell = _cell(submission, dataset, folder, who, out_dir, options)
        job = _write_job(cell, submission, dataset, indices, asked, seed, options)
        try:
            opened = cell.run("run", **job)
            min_slots = len(dataset.schema.slots)
            run, answers, log = _read(opened, indices, asked, submission, options, min_slots, who)
        except SubmissionError as error:
            write_bytes(report, error.report.encode())
            raise InvalidInputError(f"{error}; the traceback is in {report}") from error
    report.unlink(missing_ok=True)
    _write_log(out_dir / f"seed-{seed}.log.jsonl", log, run)
    facts = _facts(submission, dataset, seed, options, run, answers)
    return Predictions(facts, answers.image_index, answers.slots)


def _cell(
    submission: IsolatedSubmission,
    dataset: DatasetLike,
    folder: Path,
    who: str,
    out_dir: Path,
    options: RunOptions,
) -> Cell:
    place = getattr(dataset, "path", None)
    return Cell(
        folder,
        submission.located,
        submission.given,
        submission.backend,
        submission.limits,
        submission.source_sha256,
        who,
        hidden=tuple(path.resolve() for path in (place, out_dir) if path is not None),
        threads=options.threads,
        device=options.device,
    )


def _write_job(
    cell: Cell,
    submission: IsolatedSubmission,
    dataset: DatasetLike,
    indices: Int[Array, " images"],
    asked: list[Question],
    seed: int,
    options: RunOptions,
) -> dict[str, Any]:
    """Write pixels and labels into the job folder; return the rest of the job."""
    order = indices[np.concatenate([one.rows for one in asked])]
    train = _train_indices(dataset, options)
    image = dataset.resolution**2 * 3
    require_space(cell.folder, 2 * image * (len(order) + len(train)) + cell.limits.answer_bytes)
    mapped = write_pixels(cell.job / "pixels.npy", dataset, order)
    served = {}
    if submission.kind == "Learner":
        fields = FIELDS_OF_TRACK[submission.card.supervision]
        parts = {"train": train, "val": dataset.indices("id_val")}
        served = {
            name: write_served(cell.job / name, dataset, rows, fields)
            for name, rows in parts.items()
        }
        mapped += sum(part.bytes for part in served.values())
    return {
        "mapped_bytes": mapped,
        "batches": [len(one.rows) for one in asked],
        "steps": list(options.steps),
        "seed": seed,
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
    return found[: options.n_train]


def _read(
    opened: TensorFile,
    indices: Int[Array, " images"],
    asked: list[Question],
    submission: IsolatedSubmission,
    options: RunOptions,
    min_slots: int,
    who: str,
) -> tuple[RunReport, Answers, bytes]:
    """Return the checked report, the answers in the order of the images, and the log."""
    run = parse(RunReport, opened.metadata, "run", who)
    steps = options.steps if run.kind == "inverter" else (0,)
    _check_report(run, steps, submission, options, who)
    rows = sum(len(one.rows) for one in asked)
    slots = Rule("F32", ((rows, rows), (min_slots, MAX_SLOTS), (1, MAX_DIM)), MAX_ABS)
    rules = {f"slots/{step}": slots for step in steps}
    rules |= {"row": Rule("I64", ((rows, rows),)), "log": Rule("U8", ((0, MAX_LOG),))}
    arrays = opened.take(rules)
    order = check_index(arrays["row"], np.arange(rows), who)
    by_step = [arrays[f"slots/{step}"][order] for step in steps]
    if len({array.shape for array in by_step}) != 1:
        shapes = [array.shape for array in by_step]
        raise TensorFileError("wrong-shape", who, "one shape at every step count", shapes)
    ends = np.cumsum([len(one.rows) for one in asked])
    answered = [
        (one, [array[end - len(one.rows) : end] for array in by_step])
        for one, end in zip(asked, ends, strict=True)
    ]
    return run, gather(indices, steps, answered), arrays["log"].tobytes()


def _check_report(
    run: RunReport,
    steps: tuple[int, ...],
    submission: IsolatedSubmission,
    options: RunOptions,
    who: str,
) -> None:
    learner = submission.kind == "Learner"
    if (
        run.steps != steps
        or run.trained != learner
        or not (learner or run.kind == submission.kind.lower())
    ):
        raise RefusedError(
            "no-answer",
            f"{who}: refused [no-answer]: expected a {submission.kind} read at steps {steps}, got "
            f"an {run.kind} read at {run.steps}; leave the harness's process alone",
        )
    limit = options.budget.max_seconds
    if limit is not None and run.wall_s > 1.1 * limit + 5:  # a learner can only stop between steps
        raise ResourceError(
            f"{who}: training may take {limit:g} s and took {run.wall_s:.0f} s; train less, or "
            "raise TrainBudget.max_seconds"
        )


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


def _facts(
    submission: IsolatedSubmission,
    dataset: DatasetLike,
    seed: int,
    options: RunOptions,
    run: RunReport,
    answers: Answers,
) -> RunFacts:
    return RunFacts(
        key="",
        seed=seed,
        steps=tuple(answers.slots),
        card=asdict(submission.card),
        kind=run.kind,
        trained=run.trained,
        code=submission.located.code,
        settings=dict(submission.settings),
        dataset={
            "preset": dataset.preset,
            "version": dataset.version,
            "root": dataset.root,
            "resolution": dataset.resolution,
        },
        options=settings_of(options),
        n_train=len(_train_indices(dataset, options)),
        training={
            "real": run.real,
            "generated": run.generated,
            "wall_s": run.wall_s,
            "configs": run.configs,
        },
        cost=run.cost.model_dump(),
        peak_rss_bytes=run.peak_rss_bytes,
        environment={**environment(options.device), "threads": options.threads},
        batch_change=answers.batch_change,
        repeat_change=answers.repeat_change,
        isolation=submission.backend,
    )
