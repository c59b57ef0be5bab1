"""Factors and values of a declaration, given by their names or codes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from recombine.renderer.scenes.factors import Schema
from recombine.renderer.splits.cells import Cell
from recombine.renderer.splits.declare_nodes import Node, distinct


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
