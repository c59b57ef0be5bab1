"""One training run: fit a submission with one seed, ask it blindly, keep its predictions.

A finished run is a predictions file whose key, a hash of code, weights, settings, data, seed and
options, matches what is asked for. Running again then does nothing; a changed setting runs anew,
and so does an object whose state cannot be read completely.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recombine.benchmark.inference.clocks import AnswerClock
from recombine.benchmark.inference.cost import (
    measure_cost,
    peak_rss,
    reset_peak_rss,
    unasked_images,
)
from recombine.benchmark.inference.probe import MethodProbe, can_decode
from recombine.benchmark.inference.query import (
    DependentAnswersError,
    named_answers,
    run_inference,
)
from recombine.benchmark.inference.runlog import (
    NOT_TRAINED,
    check_training_time,
    drop_states,
    fit_learner,
    states_folder,
)
from recombine.benchmark.metrics.decoder_report import examine
from recombine.benchmark.predictions.alignment import MAX_MATCHED, on_masks
from recombine.benchmark.predictions.failures import with_decoded
from recombine.benchmark.predictions.file import (
    FORMAT,
    Predictions,
    read_predictions,
    run_facts,
    write_predictions,
)
from recombine.benchmark.protocol.contract import (
    Encoder,
    Inverter,
    Learner,
    MethodCard,
    TrainBudget,
)
from recombine.benchmark.protocol.outputs import check_slot_dim
from recombine.benchmark.sandbox.errors import TODO
from recombine.benchmark.sandbox.isolation import IsolatedSubmission
from recombine.benchmark.sandbox.process import refusal
from recombine.benchmark.sandbox.run import predict_isolated
from recombine.benchmark.serving.data import (
    FIELDS_OF_TRACK,
    TrainData,
    refuse_unfit,
    split_spec,
    to_images,
)
from recombine.benchmark.serving.relations import CanonicalRelations, canonical_relations
from recombine.benchmark.submissions.fingerprint import (
    code_name,
    content_key,
    environment,
    flat,
    settings_of,
    source_sha256,
)
from recombine.benchmark.submissions.loading import card_of, check_fitted
from recombine.benchmark.submissions.state import state_sha256
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    RecombineError,
    UsageError,
)
from recombine.renderer.core.files import (
    disk_error,
    disk_is_full,
    locked,
    settled,
    write_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jaxtyping import Int

    from recombine.benchmark.inference.cost import Cost
    from recombine.benchmark.inference.probe import Probe
    from recombine.benchmark.predictions.file import RunFacts
    from recombine.benchmark.sandbox.isolation import AnySubmission
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.benchmark.submissions.loading import Submission
    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Schema


ORDER_FILE = ".order-key"


def order_key(out_dir: Path, seed: int) -> bytes:
    """Return the secret from which the order of a run's questions follows."""
    # It is drawn once per folder and kept there, out of the reach of isolated code, so that a run
    # that was killed and is made again asks the same batches and gets the same answers.
    path = out_dir / ORDER_FILE
    if not path.is_file():
        write_bytes(path, secrets.token_bytes(32))
        path.chmod(0o600)
    return hashlib.sha256(path.read_bytes() + str(seed).encode()).digest()


def refuse_placed(who: str, slots: str, schema: Schema) -> None:
    """Refuse exchangeable slots where a recombined factor follows from where objects are."""
    # The true masks of a test image decide which slot is read: they say where its objects are, and
    # slots that divide the picture among them, each naming its own place, need not look at it.
    if slots == "exchangeable" and schema.placed:
        got = (
            f"exchangeable slots are matched to objects on the true masks of an image, which tell "
            f"{' and '.join(schema.placed)}, scored here"
        )
        raise refusal(who, "places-by-masks", got, TODO["places-by-masks"])


def refuse_many_slots(run: Predictions, dataset: DatasetLike) -> None:
    """Refuse more slots than may be matched on masks."""
    slots = next(iter(run.slots.values())).shape[1]
    if slots > MAX_MATCHED and on_masks(run, dataset, run.facts.steps[0]):
        who = f"{run.facts.card['id']}, seed {run.facts.seed}"
        got = f"{slots} slots are to be matched on masks, at most {MAX_MATCHED} may be"
        raise refusal(who, "too-many-slots", got, TODO["too-many-slots"])


DEFAULT_STEPS = (0, 1, 3, 10, 30, 100, 300)
BUDGETS = (100, 1_000, 10_000)
SCORED_SPLITS = ("id_val", "id_test", "ooc_test")


@dataclass(frozen=True)
class RunOptions:
    """How a run is made; part of its identity.

    Attributes
    ----------
    steps : tuple of int
        Search steps at which an inverter is read, ascending from 0. An encoder is read once.
    budget : TrainBudget
        Limits of training.
    readout_labels : int
        Label budget of the readout: in-combination training images whose slots are kept.
    batch_size : int
        Images per call when asking.
    rung : int
        Rung of the dataset's training ladder.
    n_train : int, optional
        Train on the first ``n_train`` images only.
    device : str
        ``"cpu"`` or ``"cuda"``.
    threads : int
        Threads of the tensor library.
    full : bool
        Also ask for what the slower parts of a result need: enough labelled images for every
        label budget, and what a method's decoder does (`examine`).
    """

    steps: tuple[int, ...] = DEFAULT_STEPS
    budget: TrainBudget = field(default_factory=TrainBudget)
    readout_labels: int = 1000
    batch_size: int = 64
    rung: int = 0
    n_train: int | None = None
    device: str = "cpu"
    threads: int = 1
    full: bool = False

    def __post_init__(self) -> None:
        ascending = list(self.steps) == sorted(set(self.steps))
        if not self.steps or self.steps[0] != 0 or not ascending:
            raise UsageError(f"steps: expected ascending numbers from 0, got {self.steps}")
        if min(self.readout_labels, self.batch_size, self.threads) < 1:
            raise UsageError("readout_labels, batch_size and threads: expected at least 1")


@dataclass(frozen=True)
class SeedRun:
    """A finished run."""

    path: Path  # the predictions file
    seed: int  # training seed
    skipped: bool  # whether a file with the same key was already there
    seconds: float  # wall-clock seconds spent now


@dataclass(frozen=True)
class _Fitted:
    method: Encoder | Inverter
    trained: bool
    n_train: int
    training: dict[str, Any]


def run_seed(
    submission: AnySubmission,
    dataset: DatasetLike,
    *,
    seed: int,
    out_dir: Path,
    options: RunOptions | None = None,
    identity: Mapping[str, Any] | None = None,
) -> SeedRun:
    """Train a submission with one seed and keep its predictions.

    ``identity`` is its `fingerprint`, taken before any seed: a run may change an object.
    """
    options, dataset = options or RunOptions(), canonical_relations(dataset)
    card = card_of(submission)
    refuse_placed(card.id, card.slots, dataset.schema)
    refuse_unfit(card, dataset, trains=trains(submission))
    if not isinstance(submission, IsolatedSubmission):  # others were asked inside
        with named_answers(f"{card.id}, seed {seed}"):
            check_slot_dim(submission, least=0)
    begin = time.monotonic()
    path = out_dir / f"seed-{seed}.safetensors"
    key = run_key(submission, dataset, seed=seed, options=options, identity=identity)
    if _finished(path, key) and settled(path):
        return SeedRun(path, seed, True, time.monotonic() - begin)
    with locked(path):  # another process that makes this very run is waited for
        found = _finished(path, key)
        if not found:
            for leftover in out_dir.glob(f".{path.name}.*.tmp"):  # of a killed run of this seed
                leftover.unlink(missing_ok=True)
            predictions = _predictions(submission, dataset, seed, out_dir, options, key)
            predictions = replace(predictions, facts=replace(predictions.facts, key=key))
            refuse_many_slots(predictions, dataset)
            write_predictions(path, predictions)
        drop_states(out_dir, seed)
    return SeedRun(path, seed, found, time.monotonic() - begin)


def run_folder(base: Path, submission: AnySubmission, dataset: DatasetLike) -> Path:
    """Return where the runs of a submission go: a folder, or one inside where another's lie."""
    about = fingerprint(submission)
    settings = flat(about["settings"])
    return _own(base, (about["card"]["name"], about["code"], settings, dataset.identity))


def given_folder(base: Path, facts: RunFacts) -> Path:
    """Return the same for predictions that were made elsewhere."""
    return _own(base, _whose(facts))


def _own(base: Path, whose: tuple[Any, ...]) -> Path:
    for path in sorted(base.glob("seed-*.safetensors")):
        try:
            if _whose(read_predictions(path).facts) != whose:
                return base / content_key({"whose": whose})[:10]
        except (InvalidInputError, IntegrityError):
            continue  # damaged: made again
        return base
    return base


def _whose(facts: RunFacts) -> tuple[Any, ...]:
    return facts.card["name"], facts.code, dict(facts.settings), facts.dataset["identity"]


def trains(submission: AnySubmission) -> bool:
    """Return whether a submission is trained here."""
    if isinstance(submission, IsolatedSubmission):
        return submission.kind == "Learner"
    return isinstance(submission, Learner)


def _predictions(
    submission: AnySubmission,
    dataset: DatasetLike,
    seed: int,
    out_dir: Path,
    options: RunOptions,
    key: str,
) -> Predictions:
    if not isinstance(submission, IsolatedSubmission):
        try:
            return _run_here(submission, dataset, seed, out_dir, options, key)
        except DependentAnswersError as error:
            who, reason = f"{card_of(submission).id}, seed {seed}", error.reason
            raise refusal(who, reason, error.got, TODO[reason]) from error
    # pyright reads this file under two names, so it sees two classes RunOptions.
    return predict_isolated(
        submission,
        dataset,
        scored_indices(dataset, options),
        seed=seed,
        out_dir=out_dir,
        options=options,  # pyright: ignore[reportArgumentType]
        read=read_rows(dataset, options),
        key=order_key(out_dir, seed),
        examine=partial(_examine, submission.card, dataset, options, seed)
        if options.full
        else None,
    )


def run_key(
    submission: AnySubmission,
    dataset: DatasetLike,
    *,
    seed: int,
    options: RunOptions,
    identity: Mapping[str, Any] | None = None,
) -> str:
    """Return the identity of a run."""
    return _key(
        identity or fingerprint(submission),
        dataset={"identity": dataset.identity, "root": dataset.root},
        seed=seed,
        options=settings_of(options),
        version=str(torch.__version__),
        closed=isinstance(dataset, CanonicalRelations),
    )


def made_by(facts: RunFacts, identity: Mapping[str, Any]) -> bool:
    """Return whether a run carries the key of a submission, whose `fingerprint` this is."""
    keys = (
        _key(
            identity,
            dataset=facts.dataset,
            seed=facts.seed,
            options=facts.options,
            version=facts.environment.get("torch"),
            closed=closed,  # which follows from the schema of the data
        )
        for closed in (False, True)
    )
    return facts.key in keys


def _key(
    identity: Mapping[str, Any],
    *,
    dataset: Mapping[str, Any],
    seed: int,
    options: Mapping[str, Any],
    version: object,
    closed: bool,
) -> str:
    return content_key(
        {
            **identity,
            "format": FORMAT,
            "identity": dataset.get("identity"),
            "root": dataset.get("root"),  # a run is of these very pixels
            "seed": seed,
            "options": options,
            "torch": version,
            **({"closed": True} if closed else {}),
        }
    )


def readout_indices(
    dataset: DatasetLike, options: RunOptions, labels: int | None = None
) -> Int[Array, " n"]:
    """Return the in-combination training images on which readouts are fitted."""
    pool: Array = dataset.indices("id_train", rung=options.rung)[: options.n_train]
    rng = np.random.default_rng(int(dataset.identity[:16], 16))
    chosen: Array = np.sort(rng.permutation(pool)[: labels or options.readout_labels])
    return chosen


def scored_indices(dataset: DatasetLike, options: RunOptions) -> Int[Array, " n"]:
    """Return every image that a method is asked about."""
    parts = [dataset.indices(split) for split in SCORED_SPLITS]
    labels = max((options.readout_labels, *(BUDGETS if options.full else ())))
    every: Array = np.unique(np.concatenate([*parts, readout_indices(dataset, options, labels)]))
    return every.astype(np.int64, copy=False)


def read_rows(dataset: DatasetLike, options: RunOptions) -> Int[Array, " n"]:
    """Return which of the scored images readouts are fitted on, as rows."""
    rows: Array = np.searchsorted(
        scored_indices(dataset, options), readout_indices(dataset, options)
    )
    return rows


def _examine(
    card: MethodCard, dataset: DatasetLike, options: RunOptions, seed: int, probe: Probe
) -> dict[str, Any]:
    """Examine a method's decoder on the images on which readouts are fitted."""
    fitted = readout_indices(dataset, options)
    return examine(probe, dataset, fitted, fixed=card.slots == "fixed", seed=seed)


def fingerprint(submission: AnySubmission) -> dict[str, Any]:
    """Return what makes the runs of a submission its own."""
    if isinstance(submission, IsolatedSubmission):
        return submission.fingerprint()
    return {
        "code": code_name(submission),
        "source": source_sha256(submission),
        "settings": settings_of(submission),
        "card": asdict(card_of(submission)),
        "state": state_sha256(submission) or f"unknown {secrets.token_hex()}",
    }


def _run_here(
    submission: Submission,
    dataset: DatasetLike,
    seed: int,
    out_dir: Path,
    options: RunOptions,
    key: str,
) -> Predictions:
    with _torch_as_before():
        torch.set_num_threads(options.threads)
        fitted = _fit(submission, dataset, seed, out_dir, options, key)
        return _predict(submission, fitted, dataset, seed, out_dir, options)


def _finished(path: Path, key: str) -> bool:
    if not path.is_file():
        return False
    try:
        return read_predictions(path).facts.key == key
    except InvalidInputError:
        return False
    except IntegrityError as error:
        warnings.warn(f"{error} This run is made again.", RuntimeWarning, stacklevel=3)
        return False


def _fit(
    submission: Submission,
    dataset: DatasetLike,
    seed: int,
    out_dir: Path,
    options: RunOptions,
    key: str,
) -> _Fitted:
    card = card_of(submission)
    fields, most = FIELDS_OF_TRACK[card.supervision], options.budget.max_images_seen
    served = TrainData(
        dataset,
        "id_train",
        fields=fields,
        rung=options.rung,
        limit=options.n_train,
        max_images=most,
    )
    if not isinstance(submission, Learner):
        return _Fitted(submission, False, len(served), NOT_TRAINED)
    method, training = fit_learner(
        submission,
        served,
        TrainData(dataset, "id_val", fields=fields, max_images=most),
        seed=seed,
        budget=options.budget,
        path=out_dir / f"seed-{seed}.log.jsonl",
        during=_guarded("fit", card, seed, out_dir),
        states=states_folder(out_dir, seed, key, options.budget),
    )
    check_training_time(card.id, training["wall_s"], options.budget.max_seconds)
    return _Fitted(check_fitted(method, card.id), True, len(served), training)


def _predict(
    submission: Submission,
    fitted: _Fitted,
    dataset: DatasetLike,
    seed: int,
    out_dir: Path,
    options: RunOptions,
) -> Predictions:
    card = card_of(submission)
    device = torch.device(options.device)
    spec = split_spec(dataset)
    steps = options.steps if isinstance(fitted.method, Inverter) else (0,)
    reset_peak_rss()
    torch.manual_seed(seed)
    with _guarded("setup", card, seed, out_dir):
        fitted.method.setup(spec, device)
    with named_answers(f"{card.id}, seed {seed}"):
        check_slot_dim(fitted.method)
    setup_memory, clock = peak_rss(), AnswerClock()
    measured: list[Cost] = []

    def measure() -> None:
        unasked = to_images(unasked_images(dataset, order_key(out_dir, seed))).to(device)
        measured.append(measure_cost(fitted.method, unasked, (1, min(32, options.batch_size))))
        reset_peak_rss()

    with _guarded("inference", card, seed, out_dir):
        answers = run_inference(
            fitted.method,
            dataset,
            scored_indices(dataset, options),
            steps=steps,
            batch_size=options.batch_size,
            device=device,
            min_slots=spec.max_slots,
            who=f"{card.id}, seed {seed}",
            key=order_key(out_dir, seed),
            clock=clock,
            before=measure,
            read=read_rows(dataset, options),
        )
        answers.check(f"{card.id}, seed {seed}")
        memory = max((m for m in (setup_memory, peak_rss()) if m is not None), default=None)
        found = {}
        probe = MethodProbe(fitted.method, dataset.resolution, device, spec.max_slots)
        if options.full and can_decode(fitted.method):
            found = _examine(card, dataset, options, seed, probe)
    facts = run_facts(
        dataset,
        options,
        seed=seed,
        steps=tuple(answers.slots),
        card=asdict(card),
        kind="inverter" if isinstance(fitted.method, Inverter) else "encoder",
        trained=fitted.trained,
        code=code_name(submission),
        settings=flat(settings_of(submission)),
        n_train=fitted.n_train,
        training=fitted.training,
        cost={**asdict(measured[0]), "seen_cpu": clock.median},
        peak_rss_bytes=memory,
        environment=environment(options.device),
        diagnostics=found,
        **answers.facts(),
    )
    run = Predictions(facts, answers.image_index, answers.slots, answers.extras)
    return with_decoded(run, probe, dataset, readout_indices(dataset, options))


@contextmanager
def _torch_as_before() -> Iterator[None]:
    """Put back what an object of this process may change for all that runs after it."""
    cudnn: Any = torch.backends.cudnn
    matmul = torch.backends.cuda.matmul
    threads, dtype, grad = (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )
    device, anomaly = torch.get_default_device(), torch.is_anomaly_enabled()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    precision = torch.get_float32_matmul_precision()
    flags = (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
    tf32 = matmul.allow_tf32
    drawn, ours = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002  # theirs to change
    python = random.getstate()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        torch.set_default_device(None if device.type == "cpu" else device)
        torch.autograd.set_detect_anomaly(anomaly)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.set_float32_matmul_precision(precision)
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = flags
        matmul.allow_tf32 = tf32
        torch.set_rng_state(drawn)
        np.random.set_state(ours)  # noqa: NPY002
        random.setstate(python)


@contextmanager
def _guarded(stage: str, card: MethodCard, seed: int, out_dir: Path) -> Iterator[None]:
    """Turn whatever a submission raises into one line, and keep its traceback in a file."""
    report = out_dir / f"seed-{seed}.error.txt"
    try:
        yield
    except RecombineError:
        raise
    except Exception as error:
        if disk_is_full(error):
            raise disk_error(out_dir, error) from error  # no fault of the submission
        write_bytes(report, traceback.format_exc().encode())
        raise InvalidInputError(
            f"{card.id}, seed {seed}: {stage} failed with {type(error).__name__}: {error}; the "
            f"traceback is in {report}"
        ) from error
    report.unlink(missing_ok=True)
