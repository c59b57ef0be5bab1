"""Lines of the keys of a TOML text, which `tomllib` does not report, and a writer of TOML."""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_VOID = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS = (
    re.compile(r'"""(?:[^\\"]|\\.|"{1,2}(?!"))*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_SCALAR = re.compile(r"[^,\]}\n#]*")


def key_lines(text: str) -> dict[KeyPath, int]:
    r"""Return the line, counted from 1, on which every key and list entry of a TOML text starts."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    # A malformed escape in a key is a ValueError of tomllib.
    with contextlib.suppress(ValueError, RecursionError):
        scanner.document()
    return scanner.lines


class _NotTomlError(ValueError):
    """The text is not TOML from here on."""


@dataclass
class _Scanner:
    text: str
    at: int = 0
    lines: dict[KeyPath, int] = field(default_factory=dict)
    last: dict[KeyPath, int] = field(default_factory=dict)  # index of the open [[table]]
    line: int = 1
    counted: int = 0

    def document(self) -> None:
        prefix: KeyPath = ()
        while self.skip(_VOID).at < len(self.text):
            if self.next("["):
                prefix = self.header()
            else:
                self.assignment(prefix)

    def header(self) -> KeyPath:
        many = self.next("[[")
        self.at += 2 if many else 1
        path: KeyPath = ()
        keys = self.keys()
        for n, key in enumerate(keys):
            path += (key,)
            if many and n == len(keys) - 1:
                self.last[path] = self.last.get(path, -1) + 1
            self.mark(path)
            if path in self.last:
                path += (self.last[path],)
                self.mark(path)
        self.skip(_BLANK).take("]]" if many else "]")
        return path

    def assignment(self, prefix: KeyPath) -> None:
        path = prefix
        for key in self.keys():
            path += (key,)
            self.mark(path)
        self.skip(_BLANK).take("=").skip(_BLANK).value(path)

    def value(self, path: KeyPath) -> None:
        if self.next("["):
            self.group("[]", lambda n: self.mark((*path, n)).value((*path, n)))
        elif self.next("{"):
            self.group("{}", lambda _: self.assignment(path))
        elif not any(self.match(s) for s in _STRINGS):
            self.skip(_SCALAR)

    def group(self, brackets: str, entry: Callable[[int], None]) -> None:
        self.take(brackets[0])
        n = 0
        while not self.skip(_VOID).next(brackets[1]):
            entry(n)
            n += 1
            if not self.skip(_VOID).next(brackets[1]):
                self.take(",")
        self.take(brackets[1])

    def keys(self) -> list[str]:
        keys = [self.skip(_BLANK).key()]
        while self.skip(_BLANK).next("."):
            keys.append(self.take(".").skip(_BLANK).key())
        return keys

    def key(self) -> str:
        start = self.at
        if self.match(_BARE):
            return self.text[start : self.at]
        if self.match(_STRINGS[2]) or self.match(_STRINGS[3]):
            return str(tomllib.loads(f"k = {self.text[start : self.at]}")["k"])
        raise _NotTomlError

    def mark(self, path: KeyPath) -> _Scanner:
        # Counting on from the last mark keeps the scan linear.
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        self.lines.setdefault(path, self.line)
        return self

    def next(self, mark: str) -> bool:
        return self.text.startswith(mark, self.at)

    def take(self, mark: str) -> _Scanner:
        if not self.next(mark):
            raise _NotTomlError
        self.at += len(mark)
        return self

    def skip(self, pattern: re.Pattern[str]) -> _Scanner:
        self.match(pattern)
        return self

    def match(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found is not None


def dump(data: Mapping[str, Any]) -> str:
    r"""Return plain data as TOML, one line per top-level key.

    Parameters
    ----------
    data : mapping
        Text, numbers, booleans, lists and mappings with text keys, nested as you like.

    Examples
    --------
    >>> dump({"geometry": "orbit", "ladder": [[0, 1]], "require": {"coverage": 1}})
    'geometry = "orbit"\nladder = [[0, 1]]\nrequire = {coverage = 1}\n'
    """
    return "".join(f"{_key(k)} = {_inline(v)}\n" for k, v in data.items())


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _inline(key)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value).lower() if isinstance(value, bool) else repr(value)
