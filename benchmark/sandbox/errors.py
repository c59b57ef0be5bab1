"""From the way isolated code ended to one typed error with a named reason."""

from __future__ import annotations

import errno
import json
import re
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, TypeAlias, TypeVar

from pydantic import Field, StringConstraints

from recombine.benchmark.inference import query
from recombine.benchmark.predictions.external import Card
from recombine.benchmark.results.parts import Count, NonNegative, Strict
from recombine.benchmark.sandbox.bubblewrap import lacks_for_compiling
from recombine.benchmark.sandbox.process import MIB, forged, refusal
from recombine.renderer.core.errors import InvalidInputError, ResourceError
from recombine.renderer.core.strict import fault_of, from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recombine.benchmark.sandbox.process import Ended, Limits, Reason


# What isolated code reports about itself: untrusted JSON, read through strict models.

Kind = Literal["Learner", "Encoder", "Inverter"]
Short = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(max_length=2000)]
Scalar: TypeAlias = str | int | float | bool | None
Long = Annotated[str, StringConstraints(max_length=100_000)]
ModelT = TypeVar("ModelT", bound=Strict)


class Described(Strict):
    """What a submission is, before it does anything."""

    card: Card
    kind: Kind
    settings: Annotated[dict[Short, Scalar], Field(max_length=500)]


class TimingReport(Strict):
    """A ``cost.Timing``."""

    batch: Annotated[int, Field(ge=1)]
    start_median: NonNegative
    start_p95: NonNegative
    step_median: NonNegative
    step_p95: NonNegative


class CostReport(Strict):
    """A ``cost.Cost``."""

    start_gflop: NonNegative | None
    step_gflop: NonNegative | None
    uncounted: Annotated[dict[Short, Count], Field(max_length=500)]
    timings: Annotated[tuple[TimingReport, ...], Field(max_length=8)]
    params: Count
    peak_device_bytes: Count | None = None
    start_cpu: NonNegative | None = None
    step_cpu: NonNegative | None = None


class RunReport(Strict):
    """A finished run."""

    kind: Literal["encoder", "inverter"]
    trained: bool
    steps: Annotated[tuple[Count, ...], Field(max_length=100)]
    real: Count
    val: Count
    generated: Count
    configs: Count
    wall_s: NonNegative
    cpu_s: NonNegative | None = None
    gflop: NonNegative | None = None
    cost: CostReport
    peak_rss_bytes: Count | None
    network: Annotated[tuple[Short, ...], Field(max_length=10)]
    no_twin: Short = ""
    """Why no twin of the process was asked."""


class Failure(Strict):
    """Why there is no answer."""

    stage: Literal["start", "load", "fit", "setup", "inference", "check"]
    exit_code: Literal[3, 4] | None
    """Of a typed error of this project; None for any other exception."""
    type: Short
    message: Annotated[str, StringConstraints(max_length=2000)]
    errors: Annotated[tuple[Count, ...], Field(max_length=50)]
    """System error numbers in the chain of causes."""
    file: Short
    """The file that the first of them was about."""
    dependent: query.Reason | None = None
    """Of a `DependentAnswersError`, found before all images were asked."""
    memory: bool
    """Whether an allocation failed."""
    network: Annotated[tuple[Short, ...], Field(max_length=10)]
    traceback: Long


class Finding(Strict):
    """One contract check."""

    name: Short
    status: Literal["pass", "warn", "fail", "skip"]
    why: Text
    todo: Text


class Findings(Strict):
    """All contract checks."""

    card: Card | None
    kind: Kind | None
    checks: Annotated[tuple[Finding, ...], Field(max_length=50)]
    network: Annotated[tuple[Short, ...], Field(max_length=10)]


def parse(model: type[ModelT], metadata: Mapping[str, str], name: str, who: str) -> ModelT:
    """Return one report."""
    try:
        return from_json(model, metadata.get(name, ""))
    except ValueError as error:
        where, fault = fault_of(error)
        got = f"one where {where or 'all'} is wrong ({fault})"
        raise forged(who, f"a {name} report", got) from error


def printable(text: str, limit: int = 500) -> str:
    """Return untrusted text as one line that no terminal takes for commands."""
    return "".join(c if c.isprintable() else " " for c in text[:limit]).strip()


NETWORK = {
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.EHOSTUNREACH,
    errno.EAFNOSUPPORT,
    errno.ECONNREFUSED,
}
FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
HIDDEN = {errno.ENOENT, errno.EACCES, errno.EROFS, errno.ENOTDIR}
SIGNALS = {
    4: "an illegal instruction",
    6: "abort",
    7: "a bus error",
    8: "an arithmetic error",
    11: "a segmentation fault",
    31: "a forbidden system call",
}
COMPILING = ("BackendCompilerFailed", "InductorError")  # of torch, for whatever went wrong there
LEAST_MEMORY = 512 * MIB
"""Bytes that Python, torch and the harness take, before a submission does anything."""
SIGKILL, SIGXCPU, SIGXFSZ = 9, 24, 25

NETWORK_TODO = "load weights from files beside the submission, never from the network"
TODO: dict[Reason, str] = {
    "time-limit": "make it faster, or allow more with --max-hours",
    "memory-limit": "use less, or allow more with --max-memory-gb",
    "process-limit": "start fewer processes and threads",
    "output-limit": "write less; scratch files are not kept",
    "network": NETWORK_TODO,
    "outside-file": "put the files it needs beside its own, and write only to the temporary folder",
    "label-decoy": "a method sees images only; remove the code that looks for labels",
    "blocked-call": "remove the system call; isolated code has no special rights",
    "crashed": "run it on your own machine with --trust-local to see why",
    "changed-answer": "leave the harness's process alone",
    "no-answer": "return from the protocol's methods; do not end the process",
    "not-repeatable": "draw no random numbers at test time, and keep no state between batches",
    "memory-between-calls": "keep nothing of one call of encode for the next, neither images nor "
    "statistics",
    "brought-data": 'say data="pretrained" or data="open" on the card, or put its source into a '
    "folder of its own",
    "batch-statistics": "treat every image on its own; call eval() on networks with batch "
    "normalisation",
    "places-by-masks": "give the slots fixed roles, or score on data that recombine no places",
    "too-many-slots": "return fewer slots, or give them fixed roles",
}


class SubmissionError(InvalidInputError):
    """A submission failed by itself; nothing was forbidden."""

    def __init__(self, message: str, report: str) -> None:
        super().__init__(message)
        self.report = report


def raise_stopped(who: str, ended: Ended, limits: Limits) -> None:
    """Raise when the process was stopped from outside, or by a limit of the kernel."""
    if ended.stopped is not None:
        _stop(who, ended.stopped, ended.detail, limits)
    number = _signal(ended.code)
    if number == SIGXCPU:
        _stop(who, "time-limit", "all CPU seconds", limits)
    if number == SIGXFSZ:
        _stop(who, "output-limit", "a file too large", limits)
    if number == SIGKILL:
        _stop(who, "memory-limit", "all memory of the machine, most likely", limits)
    if ended.code != 0 and re.match(r"(bwrap|setpriv): ", ended.output):
        raise ResourceError(
            f"isolation: {who}: the sandbox could not be set up: {printable(ended.output)}; check "
            "that the folders it names exist, or pass --trust-local for code that you trust like "
            "your own"
        )


def raise_failure(
    who: str,
    ended: Ended,
    metadata: Mapping[str, str] | None,
    limits: Limits,
    left_out: Mapping[str, str] | None = None,
) -> NoReturn:
    """Raise the reason why there is no answer; ``left_out`` are files that it was not shown."""
    if metadata is not None and "failure" in metadata:
        failure = parse(Failure, metadata, "failure", who)
        if failure.dependent is not None:
            got = printable(failure.message)
            raise refusal(who, failure.dependent, got, TODO[failure.dependent])
        if failure.type in COMPILING and (lacks := lacks_for_compiling()):
            raise ResourceError(
                f"{who}: compiling a model (torch.compile) needs {' and '.join(lacks)}; that "
                "is not on this machine. Install it, or hand the model in uncompiled."
            )
        reason = _reason(failure)
        if limits.memory_bytes < LEAST_MEMORY:  # anything may fail then, and say anything
            reason = "memory-limit"
        if reason is not None:
            evidence = _evidence(failure, reason) + _left_out(failure, left_out or {})
            _stop(who, reason, evidence, limits)
        text = printable(failure.message, 2000) + _left_out(failure, left_out or {})
        if failure.exit_code == 4:
            raise ResourceError(text)
        if failure.exit_code == 3:
            raise InvalidInputError(text)
        line = f"{who}: {failure.stage} failed with {printable(failure.type)}: {text}"
        raise SubmissionError(line, f"{failure.traceback}\n--- printed:\n{ended.output}")
    number = _signal(ended.code)
    if number is not None:
        what = SIGNALS.get(number, f"signal {number}")
        raise refusal(who, "crashed", f"its process died of {what}", TODO["crashed"])
    if "MemoryError" in ended.output[-2000:] or limits.memory_bytes < LEAST_MEMORY:
        _stop(who, "memory-limit", "more than there is", limits)
    last = printable(ended.output.strip().rpartition("\n")[2], 200)
    got = f"its process ended with status {ended.code} and no answer ({last or 'silent'})"
    raise refusal(who, "no-answer", got, TODO["no-answer"])


def refuse_network(who: str, metadata: Mapping[str, str], mode: str) -> None:
    """Refuse a submission that tried to reach the network, even if it went on without."""
    if mode != "run":
        return
    try:
        attempts = json.loads(metadata["run"])["network"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return  # the report's own parser says what is wrong with it
    if attempts:
        got = f"it called {printable(str(attempts), 200)}"
        raise refusal(who, "network", got, NETWORK_TODO)


def _stop(who: str, reason: Reason, got: str, limits: Limits) -> NoReturn:
    allowed = {
        "time-limit": f"it may take {limits.seconds:g} s and took {got}",
        "memory-limit": f"it may use {limits.memory_bytes / 2**30:.3g} GiB and used {got}"
        + (
            f"; Python and torch alone need {LEAST_MEMORY // MIB} MiB"
            if limits.memory_bytes < LEAST_MEMORY
            else ""
        ),
        "process-limit": f"it may have {limits.processes} processes and threads, and {got}",
        "output-limit": f"it may write {limits.scratch_bytes // MIB} MiB of scratch files and an "
        f"answer of {limits.answer_bytes // MIB} MiB, and wrote {got}",
        "label-decoy": f"it opened the decoy {got}",
    }
    raise refusal(who, reason, allowed.get(reason, got), TODO[reason])


def _reason(failure: Failure) -> Reason | None:
    """Return the rule that a failure comes from, None when the code failed by itself."""
    numbers = set(failure.errors)
    if failure.network or numbers & NETWORK:
        return "network"
    if failure.memory or errno.ENOMEM in numbers:
        return "memory-limit"
    if errno.EAGAIN in numbers or "can't start new thread" in failure.message:
        return "process-limit"
    if numbers & FULL:
        return "output-limit"
    if numbers & HIDDEN and failure.file:
        return "outside-file"
    if errno.EPERM in numbers:
        return "blocked-call"
    if failure.type == "SystemExit":
        return "no-answer"
    return None


def _evidence(failure: Failure, reason: Reason) -> str:
    where = "" if failure.stage == "start" else f" during {failure.stage}"
    text = f"{printable(failure.type)}: {printable(failure.message, 300)}"
    if reason == "memory-limit":
        return f"more{where} ({text})"
    if reason == "process-limit":
        return f"more were refused{where} ({text})"
    if reason == "output-limit":
        return f"more{where} ({text})"
    if reason == "outside-file":
        file = printable(failure.file, 200)
        return f"it wanted {file}{where}, which isolated code cannot reach ({text})"
    if reason == "network" and failure.network:
        return f"it called {printable(failure.network[0], 200)}{where}"
    return f"it failed{where} ({text})"


def _left_out(failure: Failure, files: Mapping[str, str]) -> str:
    """Return which of the files that were not shown a failure is about, and why they were not."""
    text = f"{failure.file} {failure.message}"
    found = [
        f"{name} was not shown, because {why}"
        for name, why in files.items()
        if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text)
    ]
    return "".join(f"; {printable(one)}" for one in found[:3])


def _signal(code: int) -> int | None:
    """Return the signal of an exit status, as Python or as a shell tells it."""
    if code < 0:
        return -code
    return code - 128 if 128 < code < 192 else None
