"""What a board shows and what it cannot show, in sentences computed from its entries.

The wording stays neutral: it reports estimates, intervals and verdicts of tests, and never names
a reason for a difference.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recombine.benchmark.results.levels import shared_levels, standing
from recombine.benchmark.statistics import intervals as stats
from recombine.leaderboard.board.ranks import MIN_SEEDS_TEST, MIN_SEEDS_UNMARKED
from recombine.leaderboard.board.roles import short_name
from recombine.leaderboard.drawing.formatting import DASH, chance, percent, points, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.entries import Board, Entry
    from recombine.leaderboard.board.ranks import Family

PERCENT = "\u00a0%"
WANTED_CELLS = 40
"""Held-out combinations from which seed and combination effects are told apart well."""


@dataclass(frozen=True)
class Summary:
    """The words above a board."""

    headline: str  # one or two sentences
    shows: tuple[str, ...]  # what the board shows, and what it cannot show
    limits: tuple[str, ...]  # what the board shows, and what it cannot show


def summarise(
    board: Board,
    first: Mapping[str, Entry],
    family: Family,
) -> Summary:
    """Describe a board."""
    results = [entry.result for entry in board.entries]
    shows = (
        _design(results[0]), _levels(results), _kinds(first), _gaps(results), _search(results)
    )  # fmt: skip
    limits = (
        _seeds(results),
        _cells(results),
        _confounds(results),
        _undecided(family),
        _scope(board),
    )
    return Summary(
        _headline(_competing(first, results), family),
        tuple(filter(None, shows)),
        tuple(filter(None, limits)),
    )


def _competing(first: Mapping[str, Entry], results: Sequence[Result]) -> Result:
    """Return the highest entry; an upper bound saw what the others must not."""
    found = [entry.result for key, entry in first.items() if key != "bound"]
    return max(found, key=lambda r: r.scores.ooc_test.estimate, default=results[0])


def _headline(top: Result, family: Family) -> str:
    best, method = top.scores.ooc_test, top.method
    score = f"{percent(best.estimate)}{PERCENT}"
    text = f"The highest accuracy on combinations that training never showed is {score}"
    if best.ci95 is not None:
        low, high = (percent(end) for end in best.ci95)
        text += f" (95{PERCENT} interval {low}{DASH}\u2060{high}{PERCENT})"
    text += f", by {method.name} ({method.inference}); chance is {chance(best.chance)}{PERCENT}"
    if best.floor is not None and best.floor > best.chance:
        text += f", the best of ignorance {chance(best.floor)}{PERCENT}"
    text += "."
    return f"{text} {_verdict(family)}"


def _verdict(family: Family) -> str:
    """Say how many may be the best, and how many stand above or below the reference."""
    count, best = len(family.members), len(family.best)
    if count < 2:
        return (
            "Fewer than two of its entries are methods that a maintainer ran with at least "
            f"{MIN_SEEDS_TEST} training seeds, so there is nothing to compare."
        )
    who = "any of them may be the best" if best == count else f"{best} may be the best"
    if best == 1:
        name = short_name(family.best[0].result)
        who = f"{name} ({family.best[0].result.method.inference}) is the best"
    text = f"Of the {count} entries that are judged together, {who}"
    if family.reference is None:
        return f"{text}."
    above, below = family.sides["above"], family.sides["below"]
    name = short_name(family.reference.result)
    return f"{text}; {above} are above the reference ({name}) and {below} below it."


def _design(result: Result) -> str:
    scores, factors = result.scores, [_words(name) for name in result.data.recombined]
    inside, outside = scores.id_test, scores.ooc_test
    return (
        f"{inside.n_cells + outside.n_cells} combinations of {' and '.join(factors)}. Training "
        f"showed {inside.n_cells} of them; {outside.n_cells} were held out. An answer counts when "
        "every recombined factor of the image is right."
    )


def _levels(results: Sequence[Result]) -> str:
    """Say what ignorance scores, and how many entries stand above it."""
    scores = [r.scores.ooc_test for r in results]
    levels = [one for one in shared_levels(scores) if one.kind != "chance"]
    if not levels:
        return ""
    listed = [f"{chance(one.value)}{PERCENT} ({one.words})" for one in levels]
    found = Counter(standing(one) for one in scores)
    above = found.pop("above its floor", 0)
    text = (
        f"Without recombining anything one scores {' or '.join(listed)}. The whole interval lies "
        f"above the best of these for {_of(above, len(scores), 'entry', 'entries')}."
    )
    if found:
        counted = [
            f"{_n(n, 'entry', 'entries')} {words if n == 1 else words.replace('its', 'their', 1)}"
            for words, n in found.most_common(3)
        ]
        text += f" Of the others, the most frequent: {'; '.join(counted)}."
    return text


def _kinds(first: Mapping[str, Entry]) -> str:
    """Set the highest generative entry against the highest non-generative one."""
    if not {"generative", "encoder"} <= first.keys():
        return ""
    pair = first["generative"], first["encoder"]
    found = stats.paired_difference(pair[0].ooc, pair[1].ooc)
    names = [f"{short_name(e.result)} ({e.result.method.inference})" for e in pair]
    text = (
        f"The highest generative entry, {names[0]}, minus the highest non-generative one, "
        f"{names[1]}: {points(found.value)} points OOC"
    )
    if found.declined:
        return f"{text}; {stats.DECLINED}."
    if found.ci95 is None and found.p_value is not None:
        return f"{text}, the same on every combination and in every run."
    if found.ci95 is None or min(entry.n_seeds for entry in pair) < MIN_SEEDS_TEST:
        return f"{text}; with so few seeds or combinations that difference is not tested."
    low, high = (points(end) for end in found.ci95)
    return (
        f"{text} (95{PERCENT} interval {low} to {high}). Both were picked by their estimates, "
        "which favours the group with more entries."
    )


def _gaps(results: Sequence[Result]) -> str:
    measured = [r for r in results if r.gap.ci95 is not None]
    lower = [r for r in measured if r.gap.ci95 is not None and r.gap.ci95[0] > 0]
    if not measured:
        return ""
    low = min(r.gap.estimate for r in results)
    high = max(r.gap.estimate for r in results)
    span = f"{points(low)} to {points(high)}" if low != high else points(low)
    return (
        f"ID minus OOC is {span} points; its interval lies above zero for "
        f"{_of(len(lower), len(measured), 'entry', 'entries')}."
    )


def _search(results: Sequence[Result]) -> str:
    costs = [r.compute.gflop_per_image for r in results if r.compute.gflop_per_image]
    if len(costs) < 2 or min(costs) == max(costs):
        return ""
    return (
        f"One answer costs between {short(min(costs))} and {short(max(costs))} GFLOP per image, "
        "every search step included."
    )


def _seeds(results: Sequence[Result]) -> str:
    few = sum(len(r.seeds) < MIN_SEEDS_UNMARKED for r in results)
    untested = sum(len(r.seeds) < MIN_SEEDS_TEST for r in results)
    if not few:
        return ""
    one = few == 1
    text = (
        f"{_of(few, len(results), 'entry', 'entries').capitalize()} {'has' if one else 'have'} "
        f"fewer than {MIN_SEEDS_UNMARKED} training seeds and {'is' if one else 'are'} marked as a "
        "sketch."
    )
    if untested:
        who = f"{untested} of them {'has' if untested == 1 else 'have'}"
        if untested == few:
            who = "It has" if one else "They have"
        take = "takes" if untested == 1 else "take"
        text += f" {who} fewer than {MIN_SEEDS_TEST} and {take} part in no test."
    return text


def _cells(results: Sequence[Result]) -> str:
    cells = results[0].scores.ooc_test.n_cells
    found = [r.smallest_detectable_difference for r in results]
    known = [value for value in found if value is not None]
    few = f"With {cells} held-out combinations" + (
        f" (fewer than {WANTED_CELLS})," if cells < WANTED_CELLS else ","
    )
    if not known:
        text = f"{few} and single seeds or equal answers, no interval could be computed."
        return text if cells < WANTED_CELLS else ""
    low, high = percent(min(known)), percent(max(known))
    span = low if low == high else f"{low} to {high}"
    return f"{few} a difference below {span} points would often be missed (80{PERCENT} power)."


def _confounds(results: Sequence[Result]) -> str:
    differ: list[tuple[str, set[Any]]] = [
        ("supervision", {r.track.supervision for r in results}),
        ("data track", {r.track.data for r in results}),
        ("number of training images", {r.data.n_train for r in results}),
        ("generated images seen", {r.training.generated_images_seen for r in results}),
        ("compute per image", {r.compute.gflop_per_image for r in results}),
    ]
    names = [name for name, values in differ if len(values) > 1]
    if not names:
        return ""
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return (
        f"Entries differ in {listed}; a difference in score is not evidence for one of them alone."
    )


def _undecided(family: Family) -> str:
    if len(family.members) < 2 or (len(family.best) == 1 and not family.sides["not told from"]):
        return ""
    return "Not told apart does not mean equal: it means that these data do not decide."


def _scope(board: Board) -> str:
    key = board.key
    return (
        f"The numbers hold for {key.dataset} {key.version} at {key.resolution} px and for the "
        "stated readout; they say nothing about other scenes."
    )


def _words(factor: str) -> str:
    return factor.replace(".", " ").replace("_", " ")


def _n(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _of(part: int, whole: int, one: str, many: str) -> str:
    if part == whole:
        return (
            f"all {whole} {many}" if whole > 2 else f"both {many}" if whole == 2 else f"the {one}"
        )
    return f"{part} of {_n(whole, one, many)}"
