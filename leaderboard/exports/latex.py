r"""A board as a LaTeX table for a paper: `booktabs` and nothing else.

Every number is that of the site. An entry takes two lines: estimates above, intervals below.
Bold is a claim, so only an entry whose rank set is exactly 1 gets it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.formatting import DASH, MINUS
from recombine.leaderboard.ledger.records import SELF_REPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recombine.leaderboard.board.board import RankedBoard, RankedTrack, Row

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}", "*": "{*}", MINUS: "$-$", DASH: "--",
}  # fmt: skip
PATTERN = re.compile("|".join(re.escape(one) for one in SPECIAL))
COLUMNS = ("Method", "ID", "OOC", "Gap", "Rank set", "GFLOP", "Generated")
UNITS = ("", r"\%", r"\%", "points", "", "per image", "images")
END = r" \\"
MARKS = {
    r"$^{\dagger}$": r" $^{\dagger}$Fewer than 5 seeds: a sketch.",
    r"$^{\ast}$": r" $^{\ast}$Self-reported: not scored again by others.",
}


def escape(text: str) -> str:
    r"""Write any text so that LaTeX prints it as it is."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return PATTERN.sub(lambda found: SPECIAL[found[0]], line)


def table(boards: Sequence[RankedBoard]) -> str:
    r"""Write boards as tables."""
    head = "% needs \\usepackage{booktabs}; written by recombine results table\n"
    return head + "\n".join("\n".join(_lines(ranked)) + "\n" for ranked in boards)


def _lines(ranked: RankedBoard) -> Iterator[str]:
    yield r"\begin{table}[t]"
    yield r"\centering\small"
    yield rf"\caption{{{_caption(ranked)}}}"
    yield rf"\label{{tab:{ranked.slug}}}"
    yield r"\begin{tabular}{lcccccr}"
    yield r"\toprule"
    yield " & ".join(COLUMNS) + END
    yield " & ".join(rf"{{\scriptsize {unit}}}" if unit else "" for unit in UNITS) + END
    for track in ranked.tracks:
        yield r"\midrule"
        yield rf"\multicolumn{{7}}{{l}}{{\itshape {escape(track.title)}}}" + END
        yield from _track(track, ranked)
    yield r"\midrule"
    yield _chance(ranked)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _track(track: RankedTrack, ranked: RankedBoard) -> Iterator[str]:
    several = len({entry.result.data.n_train for entry in ranked.board.entries}) > 1
    for row in track.rows:
        yield r"\addlinespace[2pt]"
        yield from _row(row, several)


def _row(row: Row, several_sizes: bool) -> Iterator[str]:
    result = row.entry.result
    scores, gflop = result.scores, result.compute.gflop_per_image
    ooc = _number(scores.ooc_test.estimate)
    above = (
        escape(result.method.name) + _marks(row),
        _number(scores.id_test.estimate),
        rf"\textbf{{{ooc}}}" if is_best(row) else ooc,
        escape(numbers.points(result.gap.estimate)),
        escape(row.rank.words),
        "--" if gflop is None else escape(numbers.short(gflop)),
        escape(numbers.count(result.training.generated_images_seen)),
    )
    size = f", {numbers.count(result.data.n_train)} images" if several_sizes else ""
    below = (
        _small(escape(result.method.inference + size)),
        _interval(scores.id_test, numbers.percent),
        _interval(scores.ooc_test, numbers.percent),
        _interval(result.gap, numbers.points),
        _small(f"of {row.rank.of}") if row.rank.of > 1 else "",
        _small(f"{result.compute.steps} steps") if result.compute.steps else "",
        "",
    )
    yield " & ".join(above) + END
    yield " & ".join(below) + END


def is_best(row: Row) -> bool:
    """Tell whether an entry may be called the best of its track."""
    return row.rank.separable and row.rank.low == row.rank.high == 1


def _chance(ranked: RankedBoard) -> str:
    scores = ranked.board.entries[0].result.scores
    levels = (numbers.chance(one.chance) for one in (scores.id_test, scores.ooc_test))
    return " & ".join(("Chance", *levels, "", "", "", "")) + END


def _caption(ranked: RankedBoard) -> str:
    key, entries = ranked.board.key, ranked.board.entries
    seeds = _range({entry.n_seeds for entry in entries})
    sizes = _range({entry.result.data.n_train for entry in entries})
    marks = "".join(_marks(row) for row in ranked.rows)
    text = escape(
        f"Accuracy in and out of combination on {key.dataset} {key.version} "
        f"({key.resolution} px, data root {key.root[:16]}); metric {key.metric} "
        f"{key.metric_version}, {sizes} training images, {seeds} training seeds. "
        "Below each estimate its 95 % interval over seeds and cells; gap: ID minus OOC. "
        "Rank sets: Holm-adjusted paired tests within a track; bold: rank set 1 alone. "
        "GFLOP: one answer, search included. Generated: images that the method made itself and "
        "trained on."
    )
    return text + "".join(words for mark, words in MARKS.items() if mark in marks)


def _marks(row: Row) -> str:
    few, claimed = MARKS
    return (few if row.seed_mark else "") + (claimed if row.entry.tier == SELF_REPORTED else "")


def _range(values: set[int]) -> str:
    low, high = numbers.count(min(values)), numbers.count(max(values))
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    return escape(numbers.percent(value))


def _interval(part: Any, form: Any) -> str:
    if part.ci95 is None:
        return _small("no interval")
    low, high = (escape(form(end)) for end in part.ci95)
    return _small(f"[{low}, {high}]")


def _small(text: str) -> str:
    return rf"{{\scriptsize {text}}}"
