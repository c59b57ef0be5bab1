"""How results show themselves: one row per entry, in a terminal, a notebook or a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from recombine.benchmark.results.result import Result
from recombine.renderer.core.errors import InvalidInputError, ResourceError
from recombine.renderer.core.tables import html_lines, html_table, text_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recombine.benchmark.results.parts import Gap, Score

COLUMNS = ("method", "inference", "ID %", "OOC %", "gap", "GFLOP/image", "images seen", "seeds")
UNMARKED_SEEDS = 5


class Results(Sequence[Result]):
    """Results side by side; a sequence that prints itself as a table.

    Parameters
    ----------
    results : iterable of Result
        In the order in which they are shown.

    Examples
    --------
    >>> Results([])
    no results
    """

    def __init__(self, results: Iterable[Result]) -> None:
        self._results = tuple(results)

    @classmethod
    def load(cls, folder: Path | str) -> Results:
        """Read every result file of a folder.

        Parameters
        ----------
        folder : Path or str
            Holds ``*.json`` files as `score` writes them.

        Raises
        ------
        InvalidInputError
            When there is none, or one is not a valid result.
        IntegrityError
            When one was edited.
        """
        files = sorted(Path(folder).glob("*.json"))
        if not files:
            raise InvalidInputError(
                f"Results.load: expected result files (*.json) in {folder}; found none. "
                "Make some with `recombine score` or `recombine.score`."
            )
        return cls(Result.load(path) for path in files)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> Result | Results:
        found = self._results[index]
        return found if isinstance(found, Result) else Results(found)

    def __len__(self) -> int:
        return len(self._results)

    def __add__(self, other: Iterable[Result]) -> Results:
        return Results([*self, *other])

    def __repr__(self) -> str:
        if not self._results:
            return "no results"
        table = text_table(COLUMNS, map(row, self._results))
        return "\n".join([table, *caption(self._results)])

    def _repr_html_(self) -> str:
        if not self._results:
            return "<p>no results</p>"
        table = html_table(COLUMNS, map(row, self._results))
        return table + html_lines(caption(self._results))

    def to_frame(self) -> Any:
        """Return a pandas data frame: one row per entry, numbers as numbers.

        Returns
        -------
        pandas.DataFrame
            Accuracies and the gap in [0, 1] with the ends of their 95 % intervals (NaN where
            there is none), cost in GFLOP per image.

        Raises
        ------
        ResourceError
            When pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise ResourceError(
                "Results.to_frame: expected pandas; it is not installed. Run: pip install pandas"
            ) from error
        return pd.DataFrame([_numbers(one) for one in self._results])


def row(result: Result) -> tuple[str, ...]:
    """Return the cells of a result under `COLUMNS`."""
    gflop, training = result.compute.gflop_per_image, result.training
    seen = f"{training.real_images_seen:,}"
    if training.generated_images_seen:
        seen += f" + {training.generated_images_seen:,} generated"
    return (
        result.method.name,
        result.method.inference,
        percent(result.scores.id_test),
        percent(result.scores.ooc_test),
        percent(result.gap),
        "unknown" if gflop is None else f"{gflop:.3g}",
        seen,
        str(len(result.seeds)),
    )


def percent(part: Any) -> str:
    """Return an estimate with its 95 % interval, where it has one, in per cent."""
    if part.ci95 is None:
        return f"{100 * part.estimate:.1f}"
    low, high = part.ci95
    return f"{100 * part.estimate:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def caption(results: Sequence[Result]) -> list[str]:
    """Return what a reader needs to doubt a table."""
    data = sorted({f"{r.data.dataset} {r.data.version}, {r.data.resolution} px" for r in results})
    chance = sorted({f"{100 * r.scores.ooc_test.chance:.2f}" for r in results})
    few = min(len(r.seeds) for r in results)
    what = "joint slot accuracy (all recombined factors right), 95 % intervals over seeds x cells"
    lines = [f"{'; '.join(data)}: {what}; chance {' or '.join(chance)} %."]
    if few < UNMARKED_SEEDS:
        seeds = "1 seed" if few == 1 else f"{few} seeds"
        lines.append(f"{seeds}: a sketch; use {UNMARKED_SEEDS} for a claim.")
    return [*lines, *doubts(results)]


def doubts(results: Sequence[Result]) -> list[str]:
    """Return what is wrong with costs and seeds, one line per entry and doubt."""
    lines = []
    for result in results:
        who, compute = result.method.entry, result.compute
        if copies := copies_text(result):
            lines.append(f"{who}: {copies}; seeds that answer alike say nothing about training.")
        if compute.agrees is False:
            lines.append(f"{who}: {costs_text(result)}")
    return lines


def copies_text(result: Result) -> str:
    """Say how many runs stand behind the seeds, nothing where every seed has its own."""
    runs, seeds = result.training.distinct_runs, len(result.seeds)
    if runs is None or runs == seeds:
        return ""
    return f"{runs} run{'' if runs == 1 else 's'}, {seeds} copies"


def costs_text(result: Result) -> str:
    """Say how far measured costs are from those that the harness saw; only where both are known."""
    measured, seen = (
        1e3 * (value or 0.0)
        for value in (
            result.compute.cpu_seconds_per_image,
            result.compute.seen_cpu_seconds_per_image,
        )
    )
    return (
        f"costs do not match what the harness saw: {measured:.3g} ms of CPU per image when "
        f"measured, {seen:.3g} ms while answering."
    )


def _numbers(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {
        "entry": result.method.entry,
        "method": result.method.name,
        "inference": result.method.inference,
        "dataset": result.data.dataset,
        "n_train": result.data.n_train,
        "seeds": len(result.seeds),
    }
    parts: dict[str, Score | Gap] = {"id": result.id, "ooc": result.ooc, "gap": result.gap}
    for name, part in parts.items():
        low, high = part.ci95 or (float("nan"), float("nan"))
        found |= {name: part.estimate, f"{name}_low": low, f"{name}_high": high}
    gflop = result.compute.gflop_per_image
    return found | {"gflop_per_image": float("nan") if gflop is None else gflop}
