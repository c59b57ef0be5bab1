"""Computing a result anew from its stored predictions, and saying what changed.

A result file names the predictions it was made of by content (SHA-256), so they are found
wherever they lie. Where no code, metric or library changed, the new file is the old one, byte for
byte. A changed metric gives other numbers under another version; other numbers under the same
version contradict the file.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from recombine.benchmark.predictions.alignment import align_predictions
from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.results.result import Result
from recombine.benchmark.running.harness import readout_indices
from recombine.benchmark.scoring.score import score_predictions, stored_options
from recombine.benchmark.serving.relations import canonical_relations
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from recombine.benchmark.predictions.alignment import AlignedPredictions
    from recombine.benchmark.serving.data import DatasetLike

TOLERANCE = 1e-6
MEASURED = ("estimate", "per_seed", "hits", "counts", "cells", "chance")
VERSIONED = ("metric", "metric_version")


@dataclass(frozen=True)
class Change:
    """One value that differs."""

    path: str  # where it stands, keys joined by slashes
    old: Any  # plain values; None also stands for a field that one of the two lacks
    new: Any  # plain values; None also stands for a field that one of the two lacks


@dataclass(frozen=True)
class Rescored:
    """A result and what its predictions say today.

    Attributes
    ----------
    old, new : Result
        ``new`` is ``old`` when nothing changed. Trust stays what it was: scoring again does not
        show how the predictions came about.
    verdict : {"identical", "updated", "contradiction"}
        "contradiction" when measured scores differ though metric and version do not.
    changes : tuple of Change
        Every value that differs.
    """

    old: Result
    new: Result
    verdict: Literal["identical", "updated", "contradiction"]
    changes: tuple[Change, ...]


class PredictionStore:
    """Predictions files of some folders, found by content.

    Parameters
    ----------
    folders : iterable of Path
        Searched with all subfolders.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._by_size: defaultdict[int, list[Path]] = defaultdict(list)
        self._hashes: dict[Path, str] = {}
        for folder in folders:
            for path in sorted(folder.rglob("[!.]*.safetensors")):
                self._by_size[path.stat().st_size].append(path)

    def find(self, result: Result) -> list[Path]:
        """Return the predictions files that a result was made of.

        Parameters
        ----------
        result : Result
            Names them by size and SHA-256.

        Returns
        -------
        list of Path
            One per seed.

        Raises
        ------
        InvalidInputError
            When one is not there.
        """
        found = []
        for wanted in result.artifacts.predictions:
            same = (p for p in self._by_size[wanted.bytes] if self._hash(p) == wanted.sha256)
            path = next(same, None)
            if path is None:
                raise InvalidInputError(
                    f"rescore: {result.method.entry} needs the predictions {wanted.file} of seed "
                    f"{wanted.seed} (sha256 {wanted.sha256[:12]}), found none; name the folder "
                    "with its runs"
                )
            found.append(path)
        return found

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = file_sha256(path)
        return self._hashes[path]


def rescore_results(
    results: Sequence[Result], store: PredictionStore, datasets: Sequence[DatasetLike]
) -> Iterator[Rescored]:
    """Compute results anew from their predictions.

    Parameters
    ----------
    results : sequence of Result
        Any entries; two that share predictions (with and without search) are computed once.
    store : PredictionStore
        Where predictions lie.
    datasets : sequence of DatasetLike
        The data that the entries were scored on, found by their identity.

    Yields
    ------
    Rescored
        In the order of ``results``.

    Raises
    ------
    IntegrityError
        When the certificate of the data fails.
    InvalidInputError
        When data or predictions of an entry are missing or do not belong together.
    """
    known = {dataset.identity: dataset for dataset in datasets}
    done: dict[tuple[str, ...], list[Result]] = {}
    for old in results:
        # What the harness of this result saw stays; what a stranger said stays marked so.
        trust: Literal["rescored", "witnessed"]
        trust = "rescored" if old.trust == "rescored" else "witnessed"
        key = (trust, *(one.sha256 for one in old.artifacts.predictions))
        if key not in done:
            done[key] = score_predictions(store.find(old), _dataset(old, known), trust=trust)
        fresh = [one for one in done[key] if one.compute.steps == old.compute.steps]
        if len(fresh) != 1:
            steps = sorted(one.compute.steps for one in done[key])
            raise InvalidInputError(
                f"rescore: {old.method.entry} was read after {old.compute.steps} steps, its "
                f"predictions give results after {steps}; it was not made of these predictions"
            )
        yield _compared(old, fresh[0])


def runs_of(
    result: Result, store: PredictionStore, datasets: Sequence[DatasetLike]
) -> list[AlignedPredictions]:
    """Return the stored predictions of a result, aligned at its number of search steps."""
    known = {dataset.identity: dataset for dataset in datasets}
    dataset = canonical_relations(_dataset(result, known))
    out = []
    for path in store.find(result):
        run = read_predictions(path)
        fitted = readout_indices(dataset, stored_options(run.facts.options))
        out.append(align_predictions(run, dataset, result.compute.steps, fitted))
    return out


def differences(old: Any, new: Any, path: str = "") -> Iterator[Change]:
    """Yield every leaf at which two plain JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(key, old.get(key), new.get(key)) for key in {**old, **new}]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(old, new, strict=True))]
    else:
        if old != new or type(old) is not type(new):
            yield Change(path, old, new)
        return
    for key, before, after in pairs:
        yield from differences(before, after, f"{path}/{key}".removeprefix("/"))


def _dataset(result: Result, known: dict[str, DatasetLike]) -> DatasetLike:
    if result.data.identity not in known:
        raise InvalidInputError(
            f"rescore: {result.method.entry} needs {result.data.dataset} with identity "
            f"{result.data.identity[:12]}, got {', '.join(i[:12] for i in known) or 'no data'}; "
            "name its folder, or render it again"
        )
    return known[result.data.identity]


def _compared(old: Result, fresh: Result) -> Rescored:
    # The files are the same by content; their names today do not matter. Predictions and data from
    # before schema 2.0 say neither role nor recipe: what the result says then stays. Whose work it
    # is cannot be scored.
    kept: dict[str, Any] = {"trust": old.trust, "artifacts": old.artifacts, "credit": old.credit}
    if fresh.method.role == "method":
        kept["method"] = fresh.method.model_copy(update={"role": old.method.role})
    if fresh.data.recipe is None:
        kept["data"] = fresh.data.model_copy(update={"recipe": old.data.recipe})
    same_time = _sealed(fresh, created=old.created, **kept)
    if same_time.result_id == old.result_id:
        return Rescored(old, old, "identical", ())
    changes = tuple(differences(_content(old), _content(same_time)))
    contradicted = any(_contradicts(old, same_time, split) for split in ("id_test", "ooc_test"))
    new = _sealed(fresh, **kept)
    return Rescored(old, new, "contradiction" if contradicted else "updated", changes)


def _contradicts(old: Result, new: Result, split: str) -> bool:
    before, after = (getattr(one.scores, split).model_dump(mode="json") for one in (old, new))
    if any(before[name] != after[name] for name in VERSIONED):
        return False
    return any(
        not _close(change)
        for name in MEASURED
        for change in differences(before[name], after[name], name)
    )


def _close(change: Change) -> bool:
    numbers = isinstance(change.old, int | float) and isinstance(change.new, int | float)
    return numbers and abs(change.old - change.new) <= TOLERANCE


def _content(result: Result) -> dict[str, Any]:
    return result.model_dump(mode="json", exclude={"schema_version", "result_id"})


def _sealed(result: Result, **over: Any) -> Result:
    return Result.sealed(**{**_content(result), **over})
