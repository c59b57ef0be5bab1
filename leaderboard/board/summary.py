"""What a board shows and what it cannot show, in sentences computed from its entries.

The wording stays neutral: it reports estimates, intervals and verdicts of tests, and never names
a reason for a difference.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from recombine.benchmark.results.levels import shared_levels, standing
from recombine.benchmark.statistics import intervals as stats
from recombine.leaderboard.board.ranks import MIN_SEEDS_TEST, MIN_SEEDS_UNMARKED, runs_of
from recombine.leaderboard.board.roles import role_of, short_name
from recombine.leaderboard.board.titles import dataset_title
from recombine.leaderboard.drawing.formatting import DASH, chance, percent, points, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.entries import Board, Entry
    from recombine.leaderboard.board.ranks import Family

PERCENT = "\u00a0%"
METHODS = ("generative", "encoder")
"""Roles of entries that compete; controls, floors and bounds are read beside them."""
WANTED_CELLS = 40
"""Held-out combinations from which seed and combination effects are told apart well."""


@dataclass(frozen=True)
class Summary:
    """The words above a board."""

    headline: str  # the result in one or two sentences
    verdict: str  # how sure the order of the entries is
    best: Entry | None  # the highest method that a maintainer's harness ran
    plain: Entry | None  # what the headline sets it against: read in one pass, nothing recombined
    same_network: bool  # whether that is the same network as the best method's
    shows: tuple[str, ...]  # what the board shows
    limits: tuple[str, ...]  # what it cannot show


def summarise(
    board: Board,
    first: Mapping[str, Entry],
    family: Family,
) -> Summary:
    """Describe a board by its confirmed entries; by all where none is confirmed."""
    entries = [entry for entry in board.entries if entry.confirmed]
    results = [entry.result for entry in entries or board.entries]
    methods = [entry for entry in entries if role_of(entry.result).key in METHODS]
    best = max(methods, key=lambda e: e.result.scores.ooc_test.estimate, default=None)
    plain, same = (None, False) if best is None else _without_recombination(best, methods)
    shows = (
        _design(results[0]),
        _levels(results),
        _kinds(first),
        _gaps(best, methods),
        _search(results),
    )
    limits = (
        _seeds(results),
        _cells(results),
        _confounds(results),
        _undecided(family),
        _scope(board),
    )
    return Summary(
        _headline(board, best, plain, same=same),
        _verdict(family, board),
        best,
        plain,
        same,
        tuple(filter(None, shows)),
        tuple(filter(None, limits)),
    )


def _without_recombination(best: Entry, methods: Sequence[Entry]) -> tuple[Entry | None, bool]:
    """Return the same network without recombination, or the best single pass; whether the same.

    Recombination is what is trained on (replay) or searched; a direct pass has neither.
    """
    if best.result.method.inference == "direct":
        return None, False
    own = best.result
    passes = [
        entry
        for entry in methods
        if entry.result.method.inference == "direct"
        and entry.result.training.generated_images_seen == 0
        and entry.result.data.n_train == own.data.n_train
        and (entry.result.track.data, entry.result.track.supervision)
        == (own.track.data, own.track.supervision)
    ]
    same = [
        entry
        for entry in passes
        if short_name(entry.result) == short_name(own)
        and entry.result.method.settings.get("size") == own.method.settings.get("size")
    ]
    found = same or passes
    return max(found, key=lambda e: e.result.scores.ooc_test.estimate, default=None), bool(same)


def of_100(share: float) -> str:
    """Say a share as a whole number of 100."""
    if 0 < share < 0.005:
        return "fewer than 1"
    return f"{100 * share:.0f}" if share else "none"


def _headline(board: Board, best: Entry | None, plain: Entry | None, *, same: bool) -> str:
    if best is None:
        if any(entry.own for entry in board.entries):
            return "There is no method here yet, and so no result to state."
        if any(entry.confirmed for entry in board.entries):
            return "No method has been rerun by a maintainer yet: there is no result to state."
        return (
            "No entry has been rerun by a maintainer yet, so there is no result to state: every "
            "number below is what a file says of itself."
        )
    score = best.result.scores.ooc_test
    who = "The best method here" if best.own else "The best method that was rerun"
    text = f"{who} reads {of_100(score.estimate)} of 100 images of unseen combinations right"
    if score.ci95 is not None:
        low, high = (f"{100 * end:.0f}" for end in score.ci95)
        text += f" (95{PERCENT} interval {low}{DASH}\u2060{high})"
    if plain is not None:
        who = "the same network" if same else "the best single pass"
        text += f"; {who} without recombination reads "
        text += of_100(plain.result.scores.ooc_test.estimate)
    return f"{text}. A guess reads {of_100(score.chance)}."


def _verdict(family: Family, board: Board) -> str:
    """Say how many may be the best, and how many stand above or below the reference."""
    count, best = len(family.members), len(family.best)
    if count < 2:
        return (
            f"Fewer than two of its entries are {runs_of(board.entries)} with at least "
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


def _gaps(best: Entry | None, methods: Sequence[Entry]) -> str:
    """Say what combinations cost: of the best method, and of the one in the middle."""
    if best is None:
        return ""
    gap = best.result.gap
    text = f"The best method loses {percent(gap.estimate)} points from seen to unseen combinations"
    if gap.ci95 is not None:
        low, high = (percent(end) for end in gap.ci95)
        text += f" (95{PERCENT} interval {low} to {high})"
    if len(methods) > 2:
        middle = median(entry.result.gap.estimate for entry in methods)
        text += f"; half of the {len(methods)} methods lose {percent(middle)} or more"
    return f"{text}."


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
    known = [value for value in found if value]  # without any spread it is 0, and says nothing
    few = f"With {cells} held-out combinations" + (
        f" (fewer than {WANTED_CELLS})," if cells < WANTED_CELLS else ","
    )
    if not known:
        text = f"{few} and single seeds or equal answers, no interval could be computed."
        return text if cells < WANTED_CELLS else ""
    return (
        f"{few} two entries must lie about {percent(median(known))} points apart to be told apart "
        f"four times in five (the middle of all entries; 80{PERCENT} power)."
    )


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
    key, title = board.key, dataset_title(board.entries[0].result)
    return (
        f"The numbers hold for \u201c{title}\u201d, version {key.version}, at {key.resolution} px "
        "and for the stated readout; they say nothing about other scenes."
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
