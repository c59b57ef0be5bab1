"""Contract checks: does a submission do what the harness relies on? Seconds, no dataset needed."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recombine.benchmark.predictions.alignment import MAX_MATCHED
from recombine.benchmark.protocol.contract import Inverter, Learner
from recombine.benchmark.serving.toy_data import ToyDataset
from recombine.benchmark.submissions.loading import card_of, kind_of, load_learner
from recombine.renderer.core.errors import RecombineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recombine.benchmark.protocol.contract import MethodCard
    from recombine.benchmark.submissions.loading import Submission

Status = Literal["pass", "warn", "fail", "skip"]
BASE = ("load", "card", "fit", "setup", "shapes", "dtype", "range", "determinism", "batch", "order")
NAMES = (*BASE, "input", "memory", "flops", "state", "step", "decode")
NEEDED = frozenset(("load", "card", "fit", "setup", "shapes", "dtype"))


@dataclass(frozen=True)
class Check:
    """One clause of the contract."""

    name: str  # one of `NAMES`
    status: Status  # "warn" holds but deserves a look; "skip" could not be tried
    why: str  # what was measured, or what was expected and what came
    todo: str = ""  # what to do; empty when nothing is


@dataclass(frozen=True)
class CheckReport:
    """All clauses."""

    # what the submission says about itself; None when it could not be loaded
    card: MethodCard | None
    kind: Literal["Learner", "Encoder", "Inverter"] | None  # "Learner", "Encoder" or "Inverter"
    checks: tuple[Check, ...]  # in the order of `NAMES`

    @property
    def passed(self) -> bool:
        """Return whether no clause failed."""
        return all(check.status != "fail" for check in self.checks)


def run_checks(
    submission: str | Submission,
    *,
    names: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    memory_bytes: int = 16 * 2**30,
    resolution: int = 64,
) -> CheckReport:
    """Try a submission on toy images, in this process.

    Foreign code belongs into isolation: see ``sandbox.check_isolated``.

    Parameters
    ----------
    submission : str or Submission
        ``file.py:Class``, ``package.module:Class``, a key of ``names``, or an object.
    names : Mapping, optional
        Short names of known methods.
    settings : Mapping, optional
        Keyword arguments of the class when ``submission`` is a text.
    memory_bytes : int
        Peak memory that is allowed while answering.
    resolution : int
        Image height and width in pixels.

    Returns
    -------
    CheckReport
        Never raises for what a submission does wrong.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a scored run
    try:
        loader = partial(_load, submission, names, settings)
        return _all_checks(loader, ToyDataset(resolution, train=4, val=4, test=0), memory_bytes)
    finally:
        torch.set_num_threads(threads)


def _all_checks(
    loader: Callable[[], tuple[Submission, str]], data: ToyDataset, memory_bytes: int
) -> CheckReport:
    work = _Work()
    loaded = work.do("load", loader)
    if loaded is None:
        return work.report(None, None)
    card = work.do("card", lambda: _card(loaded))
    if card is None:
        return work.report(None, kind_of(loaded))
    method = _method(work, loaded, card, data)
    trial = None if method is None else work.do("setup", lambda: _set_up(method, card, data))
    if trial is not None:
        _clauses(work, trial, memory_bytes)
    return work.report(card, kind_of(loaded))


class _Work:
    """Runs clauses until one fails that the others need."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.stopped: str | None = None

    def do(self, name: str, clause: Callable[[], tuple[Any, str]]) -> Any:
        """Run a clause; return its value, None when it failed or could not be tried."""
        from recombine.benchmark.check.trial import BrokenError, DoubtError

        if self.stopped is not None:
            self.checks.append(Check(name, "skip", f"needs {self.stopped!r} to pass"))
            return None
        try:
            value, why = clause()
        except DoubtError as error:
            self.checks.append(Check(name, "warn", error.why, error.todo))
            return None
        except BrokenError as error:
            check = Check(name, "fail", error.why, error.todo)
        except RecombineError as error:
            check = Check(name, "fail", str(error)[:1500], "see the protocol's documentation")
        except Exception as error:
            check = Check(name, "fail", _text(error), f"it failed at {_place(error)}")
        else:
            self.checks.append(Check(name, "pass", why))
            return value
        self.checks.append(check)
        if name in NEEDED:
            self.stopped = name
        return None

    def report(self, card: MethodCard | None, kind: Any) -> CheckReport:
        return CheckReport(card, kind, tuple(self.checks))


def _load(
    submission: str | Submission,
    names: Mapping[str, str] | None,
    settings: Mapping[str, Any] | None,
) -> tuple[Submission, str]:
    loaded = submission
    if isinstance(loaded, str):
        loaded = load_learner(loaded, names=names, settings=settings)
    return loaded, f"{type(loaded).__name__} is of kind {kind_of(loaded)}"


def _card(submission: Submission) -> tuple[MethodCard, str]:
    from dataclasses import asdict

    from pydantic import ValidationError

    from recombine.benchmark.check.trial import BrokenError
    from recombine.benchmark.predictions.external import Card

    card = card_of(submission)
    try:
        Card(**asdict(card))
    except ValidationError as error:
        first = error.errors()[0]
        raise BrokenError(
            f"card.{first['loc'][0]}: {first['msg']}, got {str(first['input'])[:80]!r}",
            "see recombine.benchmark.protocol.contract.MethodCard",
        ) from error
    own = "" if getattr(submission, "card", None) else " (made from the class name; add `card`)"
    # Which data these are, no check on toy images can know; `score` refuses before it trains.
    few = "; exchangeable slots: not where places are recombined" if card.slots != "fixed" else ""
    return card, f"{card.id}, {card.inference}, {card.supervision}, {card.data}{own}{few}"


def _method(work: _Work, loaded: Submission, card: MethodCard, data: ToyDataset) -> Any:
    from recombine.benchmark.check.trial import fit

    if not isinstance(loaded, Learner):
        return loaded
    return work.do("fit", lambda: fit(loaded, card, data))


def _set_up(method: Any, card: MethodCard, data: ToyDataset) -> tuple[Any, str]:
    from recombine.benchmark.check.trial import setup

    trial, size = setup(method, data), data.resolution
    if card.slots == "exchangeable":
        trial = replace(trial, slots_allowed=MAX_MATCHED)
    return trial, f"{size} x {size} pixels, {len(data.schema.slots)} slots, CPU"


def _clauses(work: _Work, trial: Any, memory_bytes: int) -> None:
    from recombine.benchmark.check.clauses import CLAUSES, SEARCH_CLAUSES, flop_coverage, memory

    clauses: dict[str, Callable[[Any], str]] = {
        **CLAUSES,
        "memory": partial(memory, limit=memory_bytes),
        "flops": flop_coverage,
    }
    if isinstance(trial.method, Inverter):
        clauses |= SEARCH_CLAUSES
    for name, clause in clauses.items():
        work.do(name, partial(_measured, clause, trial))


def _measured(clause: Callable[[Any], str], trial: Any) -> tuple[bool, str]:
    return True, clause(trial)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1500]


def _place(error: Exception) -> str:
    """Return file, line and text of the innermost frame outside of libraries."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        f for f in frames if "site-packages" not in f.filename and "/recombine" not in f.filename
    ]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}: {frame.line}"[:500]
