"""What others may have written, read strictly: JSON, values of known types, paths of a folder."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.system import system_error

LARGEST_JSON = 256 * 2**20
DEEPEST_JSON = 64
LARGEST_WHOLE = 2**53  # what every reader of JSON keeps exactly

Count: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_WHOLE)]
Positive: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST_WHOLE)]
Sha256: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("printable text in one line")
    return text


Line: TypeAlias = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_printable)]
Word: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[^\s/]{1,200}$"), AfterValidator(_printable)
]
"""Without white space and slash: a name of a preset, slot or value."""
Member: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,200}$")]
"""Path of a file in a folder; `inside` says where it leads."""


class Strict(BaseModel):
    """Immutable, exact types, no unknown keys, finite numbers."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


Form = TypeVar("Form", bound=BaseModel)


def validated(form: type[Form], data: Any, who: str) -> Form:
    """Return data of others as a model; the first fault is named by file and key."""
    try:
        return form.model_validate(data)
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"]))
        expected, got = fault["msg"], _shown(fault["input"])
        if fault["type"] == "missing":
            expected, got = "a value", "none"
        elif fault["type"] == "extra_forbidden":
            expected, got = "no such key", f"it, with the value {got}"
        for start in ("Input should be ", "Value error, "):
            expected = expected.removeprefix(start)
        raise IntegrityError(
            f"{who}{f', key {place!r}' if place else ''}: expected {expected}; got {got}. "
            "The file was changed, or another version of recombine wrote it."
        ) from None


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)} entries"
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def parse_json(content: bytes | str, who: str) -> Any:
    """Return JSON text as plain data: UTF-8, finite numbers, no key twice, no deep nesting."""
    try:
        text = content if isinstance(content, str) else content.decode()
        data = json.loads(
            text, object_pairs_hook=_once, parse_constant=_not_finite, parse_float=_finite
        )
        _check_text(data)
    except (ValueError, RecursionError) as error:
        reason = "deep nesting" if isinstance(error, RecursionError) else error
        raise IntegrityError(f"{who}: expected JSON; it is damaged ({reason}).") from None
    return data


def from_json(form: type[Form], content: bytes | str) -> Form:
    """Return JSON text of others as a model.

    Raises
    ------
    ValueError
        When it is not JSON, when a key stands twice in it, so that two readers could read two
        things, or (as a ``pydantic.ValidationError``) when it does not fit the model.
    """
    try:
        json.loads(content if isinstance(content, str) else content.decode(), **_ONCE)
    except RecursionError:
        raise ValueError("expected JSON without deep nesting") from None
    return form.model_validate_json(content)


def fault_of(error: ValueError) -> tuple[str, str]:
    """Return where text did not fit in `from_json`, empty for the whole, and what was expected."""
    if not isinstance(error, pydantic.ValidationError):
        return "", str(error)
    first = error.errors(include_url=False, include_context=False)[0]
    return ".".join(map(str, first["loc"])), str(first["msg"])


def read_json(path: Path, form: str) -> dict[str, Any]:
    """Read a JSON file of a known format."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_JSON + 1)
    except OSError as error:
        raise system_error(path, error) or InvalidInputError(
            f"{path}: expected a file that can be read; got {error.strerror}. Check the path."
        ) from error
    if len(content) > LARGEST_JSON:
        raise IntegrityError(f"{path}: expected at most {LARGEST_JSON} bytes; got more.")
    data = parse_json(content, str(path))
    check_format(data.get("format") if isinstance(data, dict) else None, form, str(path))
    return dict(data)


def check_format(got: object, form: str, who: str) -> None:
    """Refuse data of another format, or of another version of it."""
    if got != form:
        raise IntegrityError(
            f"{who}: expected the format {form}; got {_shown(got) if got else 'none'}. "
            "Use the version of recombine that wrote it."
        )


def inside(folder: Path, name: str) -> Path:
    """Return the path of a member of a folder; one that leads out of it is refused."""
    path = folder / name
    fits = re.fullmatch(r"[^\0]+", name) and not name.startswith("/")
    # Links are followed here, so that none leads elsewhere later.
    real, home = (os.path.realpath(p) for p in (path if fits else folder, folder))
    if not fits or ".." in path.relative_to(folder).parts or not _within(real, home):
        raise IntegrityError(
            f"{folder}: expected files inside this folder; {name!r} leads out of it. "
            "Do not use these data."
        )
    return path


def _within(path: str, home: str) -> bool:
    return path.startswith(home.rstrip(os.sep) + os.sep)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {_shown(twice)} twice")
    return found


_ONCE: dict[str, Any] = {"object_pairs_hook": _once}


def _not_finite(word: str) -> float:
    raise ValueError(f"the number {word}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]}")
    return value


def _check_text(data: Any) -> None:
    """Refuse what cannot be written again: halves of characters, deep nesting."""
    level = [data]
    for _ in range(DEEPEST_JSON):
        texts = [one for one in level if isinstance(one, str)]
        for one in level:
            texts += one if isinstance(one, dict) else ()
        for text in texts:
            text.encode()
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    if level:
        raise RecursionError
