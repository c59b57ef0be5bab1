"""On which side a cell lies, derived from the labels of its value names; no planner is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Labels = Sequence[int]
Rule = Callable[[Labels, int | str, Mapping[str, Any]], bool]


def grown(
    names: Sequence[str], keys: Sequence[str], labels: Mapping[str, Mapping[str, int]]
) -> list[int] | None:
    """Return the labels of value names, looked up in lists that were reversed and extended."""
    found = []
    for name, key in zip(names, keys, strict=True):
        known = labels.get(key, {})
        later = [f"newcomer {n}" for n in range(3)] + sorted(known, reverse=True)
        table = {later.index(value): label for value, label in known.items()}
        if name not in known:
            return None
        found.append(int(table[later.index(name)]))
    return found


def _orbit(labels: Labels, side: int | str, split: Mapping[str, Any]) -> bool:
    chosen = [labels[f] for f in split["factors"] or range(len(labels))]
    residue = (sum(chosen[1:]) - chosen[0]) % split["modulus"]
    return residue in (split["ooc"] if side == "ooc" else split["ladder"][int(side)])


def _band(labels: Labels, side: int | str, split: Mapping[str, Any]) -> bool:
    distance = abs(labels[1] - labels[0])
    if side == "ooc":
        widest = split["ladder"][-1]
        return bool(widest < distance < split["values"] - widest)
    return bool(distance <= split["ladder"][int(side)])


def _relation(labels: Labels, side: int | str, split: Mapping[str, Any]) -> bool:
    first, relation, second = labels
    # Of the two readings of a scene, take the one named first: left-of, in-front-of.
    if relation in (1, 3):
        first, second = second, first
    shift = split["values"] // 2 if relation >= 2 else 0
    residue = (second - first - shift) % split["values"]
    return residue in (split["ooc"] if side == "ooc" else split["ladder"][int(side)])


def _binding(labels: Labels, side: int | str, split: Mapping[str, Any]) -> bool:
    residues = split["ooc"] if side == "ooc" else split["ladder"][int(side)]
    pairs = zip(labels[::2], labels[1::2], strict=True)
    return all((attribute - shape) % split["values"] in residues for shape, attribute in pairs)


def _count(labels: Labels, side: int | str, split: Mapping[str, Any]) -> bool:
    return bool((labels[0] >= split["most"]) == (side == "ooc"))


RULES: dict[str, Rule] = {
    "orbit": _orbit,
    "reflected-band": _band,
    "relation": _relation,
    "binding": _binding,
    "count": _count,
}


def law(cell: Sequence[int], side: int | str, split: Mapping[str, Any]) -> int:
    """Return how often a block shows a cell, relative to the other cells of its side."""
    # 1, except in the reflected band: there, as many steps of at most the width as lead from the
    # first value to the second when they fold back at the ends.
    if split["geometry"] != "reflected-band" or side == "ooc":
        return 1
    first, second = cell
    width, last = split["ladder"][int(side)], split["values"] - 1
    ways = (second - first, -1 - second - first, 2 * last + 1 - second - first)
    return sum(abs(step) <= width for step in ways)
