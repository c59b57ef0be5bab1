"""Values of a declaration: where each stands, and what it means on a grid of factors.

Factors and their values are given by name or by code. Every refusal names the key path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.splits.cells import Cell

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """A value of a declaration, with its place."""

    value: object  # what `tomllib` read
    path: tuple[str | int, ...]  # keys and list positions from the root
    name: str  # the file, or what else to call the declaration

    @property
    def place(self) -> str:
        """Return name and key path."""
        return f"{self.name}, key {'.'.join(map(str, self.path))!r}" if self.path else self.name

    def refuse(self, expected: str, advice: str, *, got: str = "") -> InvalidInputError:
        """Return the error of this value in the message form of the project."""
        got = got or _shown(self.value)
        return InvalidInputError(f"{self.place}: expected {expected}; got {got}. {advice}")

    def call(self, make: Callable[[], T]) -> T:
        """Return the result of a function that knows no places; its refusal gets this one."""
        try:
            return make()
        except InvalidInputError as error:
            raise InvalidInputError(f"{self.place}: {error}") from error

    def child(self, key: str | int, value: object) -> Node:
        """Return an entry of this table or list; one that has a place already keeps it."""
        return value if isinstance(value, Node) else Node(value, (*self.path, key), self.name)

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


@dataclass(frozen=True)
class Grid:
    """The recombined factors of a declaration, with names for their values."""

    keys: tuple[str, ...]  # ``"slot.factor"`` keys
    # names of the values of each factor; codes are their positions
    values: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, schema: Schema) -> Grid:
        """Return the grid of a schema."""
        return cls(schema.recombined, tuple(schema.factor(k).values for k in schema.recombined))

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the number of values of every factor."""
        return tuple(map(len, self.values))

    def part(self, factors: Collection[int]) -> Grid:
        """Return the grid of some factors, in the given order."""
        return Grid(tuple(self.keys[f] for f in factors), tuple(self.values[f] for f in factors))

    def factor(self, node: Node) -> int:
        """Return the position of a factor given by its key."""
        return self.keys.index(node.choice(self.keys))

    def factors(self, node: Node, low: int = 1, high: int | None = None) -> list[int]:
        """Return distinct factor positions, between low and high many."""
        found = distinct(node, [self.factor(n) for n in node.items()])
        high = len(self.keys) if high is None else high
        if not low <= len(found) <= high:
            many = f"{low}" if low == high else f"{low} to {high}"
            raise node.refuse(f"{many} factors", f"Choose from {list(self.keys)}.")
        return found

    def code(self, node: Node, factor: int) -> int:
        """Return the code of a value given by its name or code."""
        names = self.values[factor]
        if isinstance(node.value, str):
            if node.value not in names:
                raise node.refuse(f"a value of {self.keys[factor]!r}", f"It has {list(names)}.")
            return names.index(node.value)
        return node.integer(0, len(names) - 1)

    def codes(self, node: Node, factor: int) -> list[int]:
        """Return distinct codes of a list of values, at least one."""
        return distinct(node, [self.code(n, factor) for n in node.items()])

    def cell(self, node: Node) -> Cell:
        """Return a cell given as one value per factor."""
        items = node.items()
        if len(items) != len(self.keys):
            raise node.refuse(f"one value for each of {list(self.keys)}", "Keep their order.")
        return tuple(self.code(n, f) for f, n in enumerate(items))

    def cells(self, node: Node) -> list[Cell]:
        """Return distinct cells, at least one."""
        return distinct(node, [self.cell(n) for n in node.items()])

    def by_factor(self, node: Node) -> dict[int, Node]:
        """Return the entries of a table with factor keys."""
        # ``{object.shape = 1}`` is a table inside a table in TOML and means the same as
        # ``{"object.shape" = 1}``.
        found: dict[int, Node] = {}
        for key, entry in node.entries().items():
            slot = key not in self.keys and isinstance(entry.value, Mapping)
            nested = {f"{key}.{k}": n for k, n in entry.entries().items()} if slot else {key: entry}
            for name, value in nested.items():
                if name not in self.keys or self.keys.index(name) in found:
                    keys = list(self.keys)
                    raise value.refuse(f"each of {keys} at most once as key", "", got=repr(name))
                found[self.keys.index(name)] = value
        if not found:
            raise node.refuse(f"a table with keys of {list(self.keys)}", "Name a factor.")
        return found


# Readers of one parameter of a geometry. A reader also gets the parameters read before it, because
# the values of a list depend on its factor.
Reader = Callable[[Node, Grid, Mapping[str, Any]], Any]


def residues(node: Node, grid: Grid, _: Mapping[str, Any]) -> list[int]:
    """Read residues; whether the grid has them is for the geometry to say."""
    return node.integers(0, max(grid.shape) - 1)


def whole(high: int | None = None, low: int = 0) -> Reader:
    """Return the reader of a whole number, by default at most the largest number of values."""
    return lambda node, grid, _: node.integer(low, max(grid.shape) if high is None else high)


def share(node: Node, _grid: Grid, _done: Mapping[str, Any]) -> float:
    """Read a number in [0, 1]."""
    return node.number(0, 1)


seed = whole(2**63 - 1)


def factor(node: Node, grid: Grid, _: Mapping[str, Any]) -> int:
    """Read the position of a factor."""
    return grid.factor(node)


def factors(low: int, high: int | None = None) -> Reader:
    """Return the reader of the positions of several factors."""
    return lambda node, grid, _: tuple(grid.factors(node, low, high))


def value_of(name: str) -> Reader:
    """Return the reader of a value of the factor that another parameter names."""
    return lambda node, grid, done: grid.code(node, done[name])


def values_of(name: str) -> Reader:
    """Return the reader of values of the factor that another parameter names."""
    return lambda node, grid, done: grid.codes(node, done[name])


def value_by_factor(node: Node, grid: Grid, _: Mapping[str, Any]) -> dict[int, int]:
    """Read one value for each of some factors."""
    return {f: grid.code(n, f) for f, n in grid.by_factor(node).items()}


def values_by_factor(node: Node, grid: Grid, _: Mapping[str, Any]) -> dict[int, list[int]]:
    """Read some values for each of some factors."""
    return {f: grid.codes(n, f) for f, n in grid.by_factor(node).items()}


def one_cell(node: Node, grid: Grid, _: Mapping[str, Any]) -> Cell:
    """Read a cell."""
    return grid.cell(node)


def listed_cells(node: Node, grid: Grid, _: Mapping[str, Any]) -> list[Cell]:
    """Read distinct cells."""
    return grid.cells(node)
