"""Located values of a declaration: every refusal names the file, the line and the key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.toml_lines import KeyPath

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Where a declaration came from."""

    name: str  # file name, or what else to call it
    # key path to line; empty for a declaration that is no file
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """Return file, line and key of a path; the line of the nearest enclosing key."""
        known = (path[:n] for n in range(len(path), 0, -1) if path[:n] in self.lines)
        line = next((f", line {self.lines[p]}" for p in known), "")
        key = f", key {'.'.join(map(str, path))!r}" if path else ""
        return f"{self.name}{line}{key}"


@dataclass(frozen=True)
class Node:
    """A value of a declaration, with its place."""

    value: object  # what `tomllib` read
    path: KeyPath  # keys and list positions from the root
    source: Source  # the declaration

    def refuse(self, expected: str, advice: str, *, got: str = "") -> InvalidInputError:
        """Return the error of this value in the message form of the project."""
        got = got or _shown(self.value)
        place = self.source.place(self.path)
        return InvalidInputError(f"{place}: expected {expected}; got {got}. {advice}")

    def call(self, make: Callable[[], T]) -> T:
        """Return the result of a function that knows no places; its refusal gets this one."""
        try:
            return make()
        except InvalidInputError as error:
            raise InvalidInputError(f"{self.source.place(self.path)}: {error}") from error

    def child(self, key: str | int, value: object) -> Node:
        """Return an entry of this table or list; one that has a place already keeps it."""
        return value if isinstance(value, Node) else Node(value, (*self.path, key), self.source)

    def entries(self) -> dict[str, Node]:
        """Return the entries of a table."""
        if not isinstance(self.value, Mapping):
            raise self.refuse("a table", "Write {key = value}.")
        return {str(k): self.child(str(k), v) for k, v in self.value.items()}

    def table(
        self, required: Collection[str] = (), optional: Collection[str] = ()
    ) -> dict[str, Node]:
        """Return the entries of a table with known keys."""
        found = self.entries()
        known = sorted({*required, *optional})
        for key, node in found.items():
            if key not in known:
                raise node.refuse(f"one of the keys {known}", "Check the spelling.", got=repr(key))
        missing = [key for key in required if key not in found]
        if missing:
            raise self.refuse(f"the keys {sorted(required)}", f"Add {missing}.", got="fewer")
        return found

    def items(self) -> list[Node]:
        """Return the entries of a list."""
        if not isinstance(self.value, list | tuple):
            raise self.refuse("a list", "Write [first, second].")
        return [self.child(n, v) for n, v in enumerate(self.value)]

    def text(self) -> str:
        """Return text."""
        if not isinstance(self.value, str):
            raise self.refuse("text", 'Write it in "quotes".')
        return self.value

    def choice(self, known: Collection[str]) -> str:
        """Return text that is one of the known ones."""
        if self.text() not in known:
            raise self.refuse(f"one of {sorted(known)}", "Check the spelling.")
        return self.text()

    def integer(self, low: int, high: int) -> int:
        """Return a whole number within low..high."""
        value = self.value
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(f"a whole number in {low}..{high}", "Choose one in range.")
        return value

    def integers(self, low: int, high: int) -> list[int]:
        """Return distinct whole numbers within low..high, at least one."""
        return distinct(self, [n.integer(low, high) for n in self.items()])

    def number(self, low: float, high: float) -> float:
        """Return a finite number within [low, high]."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse("a number", "Write 0.5, for example.")
        if not low <= value <= high:  # false for nan, too
            raise self.refuse(f"a number in [{low:g}, {high:g}]", "Choose one in range.")
        return float(value)

    def true(self) -> bool:
        """Return True."""
        if self.value is not True:
            raise self.refuse("true", "Leave the key out to say no.")
        return True


def distinct(node: Node, values: list[T]) -> list[T]:
    """Return the values of a list, refused when there is none or one occurs twice."""
    if not values or len(set(values)) != len(values):
        raise node.refuse("a list of distinct entries, at least one", "List each entry once.")
    return values


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number with more digits than Python prints
        text = "a number of very many digits"
    return text if len(text) <= 80 else f"{text[:77]}..."
