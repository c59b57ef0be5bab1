"""`rescore`: compute result files anew from stored predictions and show what changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.scoring.rescore import Change, Rescored

SHOWN = 12


@dataclass(frozen=True)
class Rescore:
    """Compute result files anew from their stored predictions and show what changed.

    Nothing is trained and no submitted code runs. Predictions are found by their hash anywhere
    below `--runs`. When nothing changed, the new file is the old one, byte for byte. Other numbers
    under the same metric version contradict the file: exit code 5.

    Example: recombine rescore runs/results --data runs/smoke
    """

    results: Annotated[Path, tyro.conf.Positional]
    """One result file, or a folder of them."""
    data: tuple[Path, ...]
    """Dataset folders that the entries were scored on."""
    runs: tuple[Path, ...] = ()
    """Folders with predictions, searched with subfolders; by default the folder of the results."""
    out: Path | None = None
    """Folder for the new files (may be that of the old ones); without it nothing is written."""
    json: bool = False
    """Print JSON instead of lines."""

    def run(self) -> int:
        """Score again, print, and write if asked to."""
        from recombine.benchmark.results.result import Result
        from recombine.benchmark.scoring.rescore import PredictionStore, rescore_results
        from recombine.renderer.store.dataset import Dataset

        files = _files(self.results)
        folders = self.runs or (files[0].parent,)
        store = PredictionStore(folders)
        old = [Result.load(path) for path in files]
        found: list[Rescored] = []
        with say.progress("rescore, entries", quiet=self.json) as progress:
            progress(0, len(old))
            for one in rescore_results(old, store, [Dataset(folder) for folder in self.data]):
                found.append(one)
                progress(len(found), len(old))
        self._print(files, found)
        if self.out is not None:
            for path, one in zip(files, found, strict=True):
                one.new.save(self.out / path.name)
        return 5 if any(one.verdict == "contradiction" for one in found) else 0

    def _print(self, files: list[Path], found: list[Rescored]) -> None:
        if self.json:
            say.emit([_plain(path, one) for path, one in zip(files, found, strict=True)])
            return
        for path, one in zip(files, found, strict=True):
            say.line(f"{path}: {one.verdict}{_scores(one.old, one.new)}")
            for line in _lines(one.changes):
                say.line(f"  {line}")


def _files(path: Path) -> list[Path]:
    from recombine.renderer.core.errors import UsageError

    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise UsageError(
            f"rescore: {path} must hold result files (*.json); found none. "
            "Make some with `recombine score`."
        )
    return files


def _scores(old: Result, new: Result) -> str:
    before, after = old.scores.ooc_test.estimate, new.scores.ooc_test.estimate
    return f", OOC {before:.4f}" + (f" -> {after:.4f}" if before != after else "")


def _lines(changes: Sequence[Change]) -> Iterator[str]:
    """Yield numbers that moved, then how many other fields changed, by name."""
    moved = [c for c in changes if all(isinstance(v, int | float) for v in (c.old, c.new))]
    for change in moved[:SHOWN]:
        yield f"{change.path}: {change.old:.6g} -> {change.new:.6g}"
    if len(moved) > SHOWN:
        yield f"and {len(moved) - SHOWN} more numbers (--json shows all)"
    others = Counter(c.path.split("/")[-1] for c in changes if c not in moved)
    if others:
        yield "other fields: " + ", ".join(f"{name} ({n})" for name, n in others.items())


def _plain(path: Path, one: Rescored) -> dict[str, object]:
    return {
        "file": str(path),
        "verdict": one.verdict,
        "old": one.old.result_id,
        "new": one.new.result_id,
        "changes": [asdict(change) for change in one.changes],
    }
