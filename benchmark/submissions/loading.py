"""Finding a submission: a name, ``package.module:Class``, ``file.py:Class`` or a hub model."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import ValidationError

from recombine.benchmark.protocol.contract import DataTrack, Encoder, Inverter, Learner, MethodCard
from recombine.benchmark.results.credit import Credit
from recombine.benchmark.submissions.hub import is_hub
from recombine.renderer.core.errors import InvalidInputError, UsageError
from recombine.renderer.core.text import legible, named, tidy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

Submission: TypeAlias = Learner | Encoder | Inverter
NEEDED = {
    "Learner": ("fit",),
    "Encoder": ("slot_dim", "setup", "encode"),
    "Inverter": ("slot_dim", "setup", "init", "step", "read", "decode"),
}


def load_learner(
    spec: str,
    *,
    names: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Submission:
    """Return the submission that a text stands for.

    Parameters
    ----------
    spec : str
        ``file.py:Class``, ``package.module:Class``, a hub model (`hub`), or a key of ``names``.
    names : Mapping of str to str, optional
        Short names of known methods, each to a ``package.module:Class``.
    settings : Mapping, optional
        Keyword arguments of the class.

    Returns
    -------
    Learner, Encoder or Inverter
        A new object of the class.

    Raises
    ------
    UsageError
        When nothing of that name exists; the message offers the nearest name.
    InvalidInputError
        When the file or the class fails, or is not a submission.

    Examples
    --------
    >>> load_learner("autoencodr", names={"autoencoder": "x:Y"})
    Traceback (most recent call last):
    recombine.renderer.core.errors.UsageError: ... Did you mean 'autoencoder'?
    """
    if is_hub(spec):
        from recombine.benchmark.submissions.hub import hub_method

        return hub_method(spec)
    where, colon, name = (names or {}).get(spec, spec).rpartition(":")
    if not colon or not where or not name:
        raise UsageError(
            f"submission {spec!r}: expected file.py:Class, package.module:Class or one of "
            f"{sorted(names or {})}.{hint(spec, names or {})}"
        )
    module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where, spec)
    found = getattr(module, name, None)
    if found is None:
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise UsageError(f"submission {spec!r}: {where} has no {name!r}.{hint(name, classes)}")
    try:
        submission = found(**(settings or {})) if isinstance(found, type) else found
    except TypeError as error:
        raise UsageError(
            f"submission {spec!r}: {name} must be callable with the given settings "
            f"({sorted(settings or {})}): {error}"
        ) from error
    return check_submission(submission, spec)


def check_submission(submission: object, who: str) -> Submission:
    """Return the object if it follows one of the three protocols."""
    if isinstance(submission, Learner | Inverter | Encoder):
        return submission
    missing = {
        kind: [name for name in members if not hasattr(submission, name)]
        for kind, members in NEEDED.items()
    }
    partly = {k: m for k, m in missing.items() if len(m) < len(NEEDED[k])} or missing
    nearest = min(partly, key=lambda kind: len(partly[kind]))
    raise InvalidInputError(
        f"submission {who!r}: expected a Learner (fit), an Encoder (encode) or an Inverter (init, "
        f"step, read, decode), got {type(submission).__name__}; to be an {nearest} it lacks "
        f"{', '.join(missing[nearest])}"
    )


def check_fitted(method: object, who: str) -> Encoder | Inverter:
    """Return what a learner's ``fit`` returned if it can answer."""
    checked = check_submission(method, f"what {who}.fit returned")
    if not isinstance(checked, Inverter | Encoder):
        raise InvalidInputError(
            f"{who}: fit must return an Encoder or an Inverter, got a Learner; return the fitted "
            "method"
        )
    return checked


def kind_of(submission: Submission) -> Literal["Learner", "Inverter", "Encoder"]:
    """Return the protocol that a submission follows; the first of the three if several."""
    if isinstance(submission, Learner):
        return "Learner"
    return "Inverter" if isinstance(submission, Inverter) else "Encoder"


def card_of(submission: object) -> MethodCard:
    """Return a submission's card, or a plain one made from its class name.

    Parameters
    ----------
    submission : object
        May carry ``card: MethodCard``.

    Returns
    -------
    MethodCard
        Without a card: no labels; ``scratch`` for a learner, ``open`` for fitted weights, of
        which nothing is known.

    Raises
    ------
    InvalidInputError
        When ``card`` is something else, or its links or authors are not what they should be.
    """
    card = getattr(submission, "card", None)
    if card is None:
        name = type(submission).__name__
        data: DataTrack = "scratch" if isinstance(submission, Learner) else "open"
        return MethodCard(id=slug_of(name), name=name, data=data)
    if not isinstance(card, MethodCard):
        raise InvalidInputError(
            f"submission {type(submission).__name__}: card must be a MethodCard, got "
            f"{type(card).__name__}; import it from recombine.benchmark.protocol.contract"
        )
    try:
        Credit.of(asdict(card))
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInputError(
            f"submission {type(submission).__name__}: expected a card with authors, licence, https "
            f"links and pretraining as MethodCard says, got {first['loc'][0]}: {first['msg']}; "
            "correct the card"
        ) from None
    for name, check in (("name", named), ("source", legible), ("note", legible)):
        try:
            check(tidy(str(getattr(card, name))))
        except ValueError as error:  # before anything is trained
            raise InvalidInputError(
                f"submission {type(submission).__name__}: expected, as {name} of its card, "
                f"{error}; write the card with visible characters"
            ) from None
    return card


def slug_of(name: str) -> str:
    """Return a class name as the leaderboard writes identifiers: ``MyEncoder``, ``my-encoder``."""
    parts = "".join(f"-{c.lower()}" if c.isupper() else c for c in name)
    return parts.strip("-_").replace("_", "-")


def _load_module(where: str, spec: str) -> ModuleType:
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is None or not where.startswith(error.name):
            raise InvalidInputError(
                f"submission {spec!r}: {where} needs the module {error.name!r}; install it"
            ) from error
        raise UsageError(
            f"submission {spec!r}: no module {where!r}; install its package, or give file.py:Class"
        ) from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        near = hint(path.name, [item.name for item in path.absolute().parent.glob("*.py")])
        raise UsageError(f"submission: no file {path}.{near}")
    path = path.resolve()
    name = f"submission_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    plan = importlib.util.spec_from_file_location(name, path)
    if plan is None or plan.loader is None:
        raise UsageError(f"submission: {path} is not a Python file")
    module = importlib.util.module_from_spec(plan)
    sys.modules[name] = module  # dataclasses look their module up
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        plan.loader.exec_module(module)
    except Exception as error:
        sys.modules.pop(name, None)
        raise InvalidInputError(
            f"submission: {path} fails on import with {type(error).__name__}: {error}"
        ) from error
    return module


def hint(word: str, known: Iterable[str]) -> str:
    """Return a question for the nearest known word, empty when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
