"""How results show themselves: one row per entry, in a terminal, a notebook or a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from recombine.benchmark.results.levels import shared_levels, standing
from recombine.benchmark.results.result import Result
from recombine.renderer.core.errors import InvalidInputError, ResourceError
from recombine.renderer.core.files import visible
from recombine.renderer.core.tables import html_lines, html_table, text_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recombine.benchmark.results.extra_parts import ReadoutScores
    from recombine.benchmark.results.parts import Estimate, Gap, Score

COLUMNS = (
    "method", "inference", "ID %", "OOC %", "lift %", "oracle %", "gap", "GFLOP/image",
    "images seen", "seeds",
)  # fmt: skip
UNMARKED_SEEDS = 5
MATTERS = 0.02
FEW_ROWS = 4
"""Up to so many are described in words one by one; of more, only what changes a score."""


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
        files = sorted(visible(Path(folder), "*.json"))
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
            there is none), the OOC lift over ignorance likewise, the OOC score of the oracle
            readout, cost in GFLOP per image.

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
        lift(result.scores.ooc_test),
        "-" if (oracle := oracle_ooc(result)) is None else f"{100 * oracle.estimate:.1f}",
        percent(result.gap),
        "unknown" if gflop is None else f"{gflop:.3g}",
        seen,
        str(len(result.seeds)),
    )


def oracle_readout(result: Result) -> ReadoutScores | None:
    """Return what the oracle readout scores; None when not measured."""
    read = () if result.further is None else result.further.readouts
    return next((one for one in read if one.control == "oracle"), None)


def oracle_ooc(result: Result) -> Estimate | None:
    """Return the OOC score of the oracle readout; None when not measured."""
    read = oracle_readout(result)
    return None if read is None else read.ooc_test


def readout_lines(results: Sequence[Result]) -> list[str]:
    """Say what the readout alone is worth, and where it leaves something open."""
    lines = []
    if any(oracle_ooc(one) is not None for one in results):
        lines.append(
            "oracle: OOC with a readout that also saw other OOC images; what it finds, the slots "
            "hold. An upper bound, never a result."
        )
    few = len(results) <= FEW_ROWS
    networks = {
        (one.data.dataset, network.width): network
        for one in results
        if few and (network := one.readout.random_network) is not None
    }
    for (dataset, width), network in networks.items():
        lines.append(
            f"{dataset}, {width} numbers per readout: random networks reach ID "
            f"{percent(network.id_test)}, OOC {percent(network.ooc_test)} %."
        )
    for one in results:
        said = [match_words(one)] if few or matters(one) else []
        said += grid_words(one) if few else []
        lines += [f"{one.method.entry}: {text}." for text in said if text]
    return lines


def matters(result: Result) -> bool:
    """Tell whether an unclear slot assignment moves the score of its seeds by `MATTERS`."""
    scores = unclear_scores(result)
    return scores is not None and abs(scores[0] - scores[1]) >= MATTERS


def unclear_scores(result: Result) -> tuple[float, float] | None:
    """Return the OOC score of the seeds with an unclear slot assignment, as scored and otherwise.

    None where all are clear, or where it was not measured.
    """
    match = result.readout.match
    if match is None or match.other_ooc is None:
        return None
    here, there = (
        sum(per_seed[k] for k in match.unclear) / len(match.unclear)
        for per_seed in (result.ooc.per_seed, match.other_ooc.per_seed)
    )
    return here, there


def match_words(result: Result) -> str:
    """Say where the slot assignment is not clear, and what it decides; empty where all are."""
    match, scores = result.readout.match, unclear_scores(result)
    if match is None or scores is None:
        return ""
    here, there = (f"{100 * score:.1f}" for score in scores)
    said = (
        f"slot assignment unclear in {_of(len(match.unclear), result)} "
        f"({match.n_images:,} images of {match.n_cells} cells decide)"
    )
    if here == there:
        return f"{said}, which makes no difference: OOC {here} % either way"
    pairs = {(result.readout.slot_match[k], match.runner_up[k]) for k in match.unclear}
    if len(pairs) > 1:
        return f"{said}: OOC {here} % as assigned, {there} % the other way"
    first, second = (_slots(one or ()) for one in pairs.pop())
    return f"{said}: OOC {here} % with slots {first}, {there} % with slots {second}"


def _slots(match: Sequence[int]) -> str:
    return f"({', '.join(map(str, match))})"


def grid_words(result: Result) -> list[str]:
    """Say of which recombined factors a readout might do better than the one that was fitted."""
    read, said = result.readout, []
    for key in result.data.recombined:
        weakest = read.at_edge.get(key, ()).count("weakest")
        stopped = read.converged.get(key, ()).count(False)
        if weakest:
            said.append(f"{key}: the weakest regularisation was chosen in {_of(weakest, result)}")
        if stopped:
            said.append(f"{key}: the fit stopped at its iteration limit in {_of(stopped, result)}")
    return said


def _of(count: int, result: Result) -> str:
    return f"{count} of {len(result.seeds)} seeds"


def percent(part: Any) -> str:
    """Return an estimate with its 95 % interval, where it has one, in per cent."""
    if part.ci95 is None:
        return f"{100 * part.estimate:.1f}"
    low, high = part.ci95
    return f"{100 * part.estimate:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def lift(score: Score) -> str:
    """Return the lift over ignorance with its 95 % interval, in per cent; a dash without one."""
    if score.lift is None:
        return "-"
    if score.lift_ci95 is None:
        return f"{100 * score.lift:.1f}"
    low, high = score.lift_ci95
    return f"{100 * score.lift:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def level_lines(results: Sequence[Result]) -> list[str]:
    """Say what ignorance scores on the data of some results, and what the lift is over."""
    by_cells: dict[Any, list[Result]] = {}
    for result in results:
        by_cells.setdefault((result.data.identity, result.ooc.levels is None), []).append(result)
    lines = []
    for group in by_cells.values():
        chance, *others = shared_levels([one.ooc for one in group])
        if not others:
            continue
        listed = "; ".join(f"{one.words} {100 * one.value:.3g} %" for one in others)
        where = f"{group[0].data.dataset}: " if len(by_cells) > 1 else ""
        lines.append(
            f"{where}OOC without recombining: chance {100 * chance.value:.3g} %; {listed}. The "
            "lift is (OOC - floor) / (1 - floor) over the best of these."
        )
    if len(results) <= FEW_ROWS:
        named = [(f"{one.method.name} ({one.method.inference})", one.ooc) for one in results]
        lines += [f"{name}: OOC {words}." for name, ooc in named if (words := standing(ooc))]
    return lines


def caption(results: Sequence[Result]) -> list[str]:
    """Return what a reader needs to doubt a table."""
    data = sorted({f"{r.data.dataset} {r.data.version}, {r.data.resolution} px" for r in results})
    chance = sorted({f"{100 * r.scores.ooc_test.chance:.2f}" for r in results})
    few = min(len(r.seeds) for r in results)
    matched = any(r.scores.ooc_test.blocks is not None for r in results)
    what = (
        "joint slot accuracy (all recombined factors right), 95 % intervals over runs"
        f"{', combinations and blocks' if matched else ' and combinations; no blocks match'}"
    )
    lines = [f"{'; '.join(data)}: {what}; chance {' or '.join(chance)} %."]
    lines += level_lines(results)
    if few < UNMARKED_SEEDS:
        seeds = "1 seed" if few == 1 else f"{few} seeds"
        lines.append(f"{seeds}: a sketch; use {UNMARKED_SEEDS} for a claim.")
    return [*lines, *readout_lines(results), *independence(results), *doubts(results)]


def independence(results: Sequence[Result]) -> list[str]:
    """Say of which results it is only declared that no answer depends on earlier questions."""
    reasons = {
        one.checks.independence_why for one in results if one.checks.independence == "declared"
    }
    return [
        "Independence declared: that no answer depends on earlier questions was not verified "
        f"({why})."
        for why in sorted(reasons)
    ]


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
    nan, ooc, oracle = float("nan"), result.ooc, oracle_ooc(result)
    low, high = ooc.lift_ci95 or (nan, nan)
    found |= {"lift": nan if ooc.lift is None else ooc.lift, "lift_low": low, "lift_high": high}
    found["oracle_ooc"] = nan if oracle is None else oracle.estimate
    gflop = result.compute.gflop_per_image
    return found | {"gflop_per_image": nan if gflop is None else gflop}
