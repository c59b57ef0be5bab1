"""What isolated code reports about itself: untrusted JSON, read through strict models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from recombine.benchmark.results.result_parts import Count, NonNegative, Scalar, Slug, Strict, Text
from recombine.benchmark.sandbox.isolation_limits import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["Learner", "Encoder", "Inverter"]
Short = Annotated[str, StringConstraints(max_length=200)]
Long = Annotated[str, StringConstraints(max_length=100_000)]
ModelT = TypeVar("ModelT", bound=Strict)


class Card(Strict):
    """A ``MethodCard``."""

    id: Slug
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    inference: Literal["direct", "replay"]
    supervision: Literal["unsupervised", "weak", "supervised"]
    data: Literal["scratch", "pretrained", "open"]
    source: Text
    note: Text
    slots: Literal["fixed", "exchangeable"] = "fixed"


class Described(Strict):
    """What a submission is, before it does anything."""

    card: Card
    kind: Kind
    settings: Annotated[dict[Short, Scalar], Field(max_length=500)]


class TimingReport(Strict):
    """A ``meter.Timing``."""

    batch: Annotated[int, Field(ge=1)]
    start_median: NonNegative
    start_p95: NonNegative
    step_median: NonNegative
    step_p95: NonNegative


class CostReport(Strict):
    """A ``meter.Cost``."""

    start_gflop: NonNegative | None
    step_gflop: NonNegative | None
    uncounted: Annotated[dict[Short, Count], Field(max_length=500)]
    timings: Annotated[tuple[TimingReport, ...], Field(max_length=8)]
    params: Count
    peak_device_bytes: Count | None = None


class RunReport(Strict):
    """A finished run."""

    kind: Literal["encoder", "inverter"]
    trained: bool
    steps: Annotated[tuple[Count, ...], Field(max_length=100)]
    real: Count
    generated: Count
    configs: Count
    wall_s: NonNegative
    gflop: NonNegative | None = None
    cost: CostReport
    peak_rss_bytes: Count | None
    network: Annotated[tuple[Short, ...], Field(max_length=10)]


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
    """Return one report.

    Parameters
    ----------
    model : type
        Which report.
    metadata : Mapping of str to str
        Of the answer file.
    name : str
        Its key there.
    who : str
        The submission, for messages.

    Returns
    -------
    model
        Checked.

    Raises
    ------
    RefusedError
        "no-answer", when it is missing or has another form.
    """
    try:
        return model.model_validate_json(metadata.get(name, ""))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RefusedError(
            "no-answer",
            f"{who}: refused [no-answer]: expected a {name} report, got one where {where or 'all'} "
            f"is wrong ({first['msg']}); leave the harness's process alone",
        ) from error


def printable(text: str, limit: int = 500) -> str:
    """Return untrusted text as one line that no terminal takes for commands."""
    return "".join(c if c.isprintable() else " " for c in text[:limit]).strip()
