"""Training curves, read back from the logs of runs, finished or still going on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.results.artifacts import CURVE_POINTS, TrainingCurve
from recombine.benchmark.results.parts import LARGEST_REAL
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.text import shown, tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

SUFFIX = ".log.jsonl"


@dataclass(frozen=True)
class Curve:
    """One curve of one run."""

    run: str  # folder of the run and its seed, as ``"supervised/cpu-nall/seed-0"``; see `logs`
    name: str  # what was recorded, for example ``"encoder"``
    steps: tuple[int, ...]  # optimiser steps
    values: tuple[float, ...]  # one per step; points that were not finite are left out


@dataclass
class Tail:
    """Reads what was added to a log since the last look."""

    path: Path  # the log; it need not exist yet
    _read: int = field(default=0, repr=False)

    def events(self) -> tuple[list[dict[str, Any]], bool]:
        """Return the new events, and whether the log was begun again since the last look."""
        # A last line that is not yet whole is left for the next look.
        if not self.path.is_file():
            return [], False
        again = self.path.stat().st_size < self._read
        if again:
            self._read = 0
        with self.path.open("rb") as stream:
            stream.seek(self._read)
            new = stream.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        return [_event(line, self.path) for line in whole.splitlines()], again


def logs(places: Sequence[Path]) -> dict[str, Path]:
    """Return the logs of runs in folders, at any depth."""
    shared = Path(os.path.commonpath([p.parent if p.is_file() else p for p in places]))
    found = [log for p in places for log in ([p] if p.is_file() else p.rglob(f"*{SUFFIX}"))]
    names = {p.relative_to(shared).as_posix().removesuffix(SUFFIX): p for p in found}
    return dict(sorted(names.items()))


def read_curves(run: str, path: Path) -> list[Curve]:
    """Return the curves of one log, in the order in which they began."""
    points: dict[str, list[tuple[int, float]]] = {}
    for event in Tail(path).events()[0]:
        if event.get("event") == "scalar" and event["value"] is not None:
            points.setdefault(event["name"], []).append((event["step"], event["value"]))
    return [
        Curve(run, name, tuple(s for s, _ in found), tuple(v for _, v in found))
        for name, found in points.items()
    ]


# What a result keeps of them, and what it says of their ends.

ID_VAL = "id-val"
"""Part of the name of every curve of the loss on in-combination validation images."""
FLAT = 0.01
"""Relative change over the last fifth up to which a curve is flat."""


def thinned(curve: Curve, seed: int) -> list[TrainingCurve]:
    """Return a curve of at most `CURVE_POINTS` points, the means of neighbouring ones.

    Where steps begin again, as in a second stage that records the same name, another curve begins.
    """
    points = [
        (step, value)
        for step, value in zip(curve.steps, curve.values, strict=True)
        if step >= 0 and abs(value) <= LARGEST_REAL
    ]
    begins = [i for i, (one, other) in enumerate(pairwise(points), 1) if other[0] < one[0]]
    parts = [points[a:b] for a, b in pairwise([0, *begins, len(points)]) if a < b]
    name = tidy(shown(curve.name, keep=""))[:190] or "curve"
    return [
        _means(part, seed, f"{name} {number}" if number > 1 else name)
        for number, part in enumerate(parts, 1)
    ]


def _means(points: Sequence[tuple[int, float]], seed: int, name: str) -> TrainingCurve:
    # Means rather than every n-th point: the loss of a batch is noisy, and ends are compared.
    ends = np.linspace(0, len(points), min(len(points), CURVE_POINTS) + 1).round().astype(int)
    means = [np.mean(points[a:b], axis=0) for a, b in pairwise(ends)]
    return TrainingCurve(
        seed=seed,
        name=name,
        steps=tuple(round(float(step)) for step, _ in means),
        values=tuple(float(f"{value:.5g}") for _, value in means),
    )


@dataclass(frozen=True)
class End:
    """How one curve ends, over all seeds."""

    name: str
    change: float | None  # of the mean over the last fifth of steps, relative to the fifth before

    @property
    def words(self) -> str:
        """Say it in words."""
        if self.change is None:
            return "too few points to say"
        if abs(self.change) <= FLAT:
            return f"flat over the last fifth ({100 * self.change:+.1f} %)"
        side = "still falling" if self.change < 0 else "rising"
        return f"{side} {100 * abs(self.change):.2g} % over the last fifth"


def curve_ends(curves: Sequence[TrainingCurve]) -> list[End]:
    """Return how curves end, those on ID validation images first."""
    named: dict[str, list[TrainingCurve]] = {}
    for curve in curves:
        named.setdefault(curve.name, []).append(curve)
    ends = [End(name, _change(same)) for name, same in named.items()]
    return sorted(ends, key=lambda end: ID_VAL not in end.name)


def deciding_end(curves: Sequence[TrainingCurve]) -> End | None:
    """Return the end that says whether training was long enough; None without curves.

    Of the curve on ID validation images where there is one, else of the training loss of the stage
    that changes most at its end.
    """
    ends = curve_ends(curves)
    val = [end for end in ends if ID_VAL in end.name]
    return max(val or ends, key=lambda end: abs(end.change or 0.0), default=None)


def _change(curves: Sequence[TrainingCurve]) -> float | None:
    """Return the relative change of the mean over seeds, None where a fifth lacks points."""
    before, after = [], []
    for curve in curves:
        steps, values = np.array(curve.steps), np.array(curve.values)
        first, last = steps[0], steps[-1]
        share = (steps - first) / max(1, last - first)
        parts = [values[(share > low) & (share <= low + 0.2)] for low in (0.6, 0.8)]
        if min(map(len, parts)) < 2:
            return None
        before.append(parts[0].mean())
        after.append(parts[1].mean())
    start = float(np.mean(before))
    return (float(np.mean(after)) - start) / abs(start) if start else None


def _event(line: bytes, path: Path) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise InvalidInputError(
            f"{path}: expected one JSON object per line, as training writes them; got {line[:60]!r}"
        )
    return event
