"""On which side a cell lies, derived from the labels of its value names; no planner is asked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Labels = Sequence[int]
Rule = Callable[[Labels, int | str, Mapping[str, Any]], bool]


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


def combinations(
    split: Mapping[str, Any], keys: Sequence[str], lists: Sequence[Sequence[str]], side: int | str
) -> set[tuple[str, ...]]:
    """Return the value names of all cells of a side, for these lists of values."""
    # Where the split labels value names, what has no label is on no side. Without labels a value
    # counts by its place in its list, and without a modulus residues are counted by the lists'
    # lengths: then other lists give other sides.
    labels = split.get("labels")
    tables = []
    for key, values in zip(keys, lists, strict=True):
        own = labels.get(key, {}) if labels else {name: n for n, name in enumerate(values)}
        tables.append([(name, int(own[name])) for name in values if name in own])
    if split["geometry"] == "orbit" and not split["modulus"]:
        split = {**split, "modulus": math.gcd(*map(len, lists))}
    rule = RULES[split["geometry"]]
    return {
        tuple(name for name, _ in cell)
        for cell in itertools.product(*tables)
        if rule([label for _, label in cell], side, split)
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
