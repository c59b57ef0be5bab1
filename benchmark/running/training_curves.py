"""Training curves, read back from the logs of runs, finished or still going on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recombine.renderer.core.errors import InvalidInputError

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
