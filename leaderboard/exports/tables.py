"""Boards as tables: CSV, JSON and Parquet for programs, LaTeX and Markdown for people."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recombine.benchmark.results.levels import shared_levels
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.formatting import DASH, MINUS
from recombine.leaderboard.exports.every_eval_ever import write_records
from recombine.leaderboard.ledger.records import SELF_REPORTED
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.files import write_bytes
from recombine.renderer.core.text import markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from recombine.benchmark.results.parts import Score, Scores
    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.board import RankedBoard, Row

FORMAT = "recombine.boards/3"
DATA, SCORES = "entry.result.data", "entry.result.scores"
CREDIT = "entry.result.credit"
ESTIMATES = {
    "ooc": f"{SCORES}.ooc_test",
    "id": f"{SCORES}.id_test",
    "gap": "entry.result.gap",
    "paired_gap": "entry.result.paired_gap",
}
COLUMNS: dict[str, str] = {
    **{name: f"{DATA}.{name}" for name in ("dataset", "version", "resolution", "identity", "root")},
    **{name: f"{SCORES}.ooc_test.{name}" for name in ("metric", "metric_version")},
    **{name: f"entry.result.method.{name}" for name in ("entry", "name", "inference")},
    **{name: f"entry.result.track.{name}" for name in ("supervision", "data", "test_compute")},
    **{
        f"{name}{end}": f"{path}.{field}"
        for name, path in ESTIMATES.items()
        for end, field in (("", "estimate"), ("_low", "ci95.0"), ("_high", "ci95.1"))
    },
    "chance": f"{SCORES}.ooc_test.chance",
    "floor": f"{SCORES}.ooc_test.floor",
    "lift": f"{SCORES}.ooc_test.lift",
    "lift_low": f"{SCORES}.ooc_test.lift_ci95.0",
    "lift_high": f"{SCORES}.ooc_test.lift_ci95.1",
    "may_be_best": "rank.best",
    "against_reference": "rank.side",
    "outside": "rank.outside",
    "gflop_per_image": "entry.result.compute.gflop_per_image",
    "steps": "entry.result.compute.steps",
    "n_train": f"{DATA}.n_train",
    "real_images_seen": "entry.result.training.real_images_seen",
    "generated_images_seen": "entry.result.training.generated_images_seen",
    "seeds": "entry.n_seeds",
    "trust": "entry.tier",
    "state": "entry.mark.state",
    "state_reason": "entry.mark.reason",
    "state_date": "entry.mark.date",
    "authors": f"{CREDIT}.authors",
    "licence": f"{CREDIT}.licence",
    "code": f"{CREDIT}.code",
    "paper": f"{CREDIT}.paper",
    "pretraining": f"{CREDIT}.pretraining",
    "created": "entry.result.created",
    "result_id": "entry.result.result_id",
}
"""Columns of the downloads, and where a row has them."""


def write_export(files: Iterable[Path], out: Path, form: str) -> list[Path]:
    """Check result files and write their entries as data.

    Parameters
    ----------
    files : iterable of Path
        Result files.
    out : Path
        Folder to write into.
    form : {"every-eval-ever", "csv", "json"}
        One record per entry, or one table or document of all boards.

    Returns
    -------
    list of Path
        What was written; superseded entries are left out.

    Raises
    ------
    InvalidInputError, IntegrityError
        When a result file is invalid or was edited; nothing is written.
    """
    boards = load_boards(files)
    if form == "every-eval-ever":
        return write_records([entry for board in boards for entry in board.entries], out)
    write = {"csv": to_csv, "json": to_json}[form]
    path = out / f"results.{form}"
    write_bytes(path, write([rank_board(board) for board in boards]).encode())
    return [path]


def to_json(boards: Sequence[RankedBoard]) -> str:
    """Write every board with its verdicts around the result files as they are."""
    texts = []
    for ranked in boards:
        reference = ranked.family.reference
        about = {
            "family": [entry.result.result_id for entry in ranked.family.members],
            "reference": reference and reference.result.result_id,
        }
        head = json.dumps(asdict(ranked.board.key) | about)
        entries = [
            f'{{"rank": {json.dumps(_rank(row))}, "trust": "{row.entry.tier}", '
            f'"state": {json.dumps(row.entry.mark and asdict(row.entry.mark))},\n'
            f'"result": {row.entry.content.decode()}}}'
            for row in ranked.rows
        ]
        texts.append(f'{head[:-1]}, "entries": [\n{", ".join(entries)}]}}')
    return f'{{"format": {json.dumps(FORMAT)}, "boards": [{", ".join(texts)}]}}\n'


def _rank(row: Row) -> dict[str, Any]:
    rank = row.rank
    return {
        "may_be_best": rank.best,
        "against_reference": rank.side or None,
        "outside": rank.outside or None,
    }


def to_csv(boards: Sequence[RankedBoard]) -> str:
    """Write one row per entry; no text of a stranger is a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for values in _values(boards):
        risky = {
            name: f"'{value}"
            for name, value in values.items()
            if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
        }
        writer.writerow((values | risky).values())
    return buffer.getvalue()


def has_parquet() -> bool:
    """Return whether the optional library for Parquet is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def to_parquet(boards: Sequence[RankedBoard]) -> bytes | None:
    """Write one row per entry as Parquet."""
    if not has_parquet():
        return None
    import pyarrow
    import pyarrow.json
    import pyarrow.parquet

    rows = list(_values(boards))
    # A number that is missing everywhere is a number still, a verdict a verdict, a state a text.
    missing: dict[str, Any] = {n: "" if n.startswith("state") else 0.0 for n in COLUMNS}
    missing["may_be_best"] = False
    firsts = {n: next((r[n] for r in rows if r[n] is not None), missing[n]) for n in COLUMNS}
    types = {str: pyarrow.string(), bool: pyarrow.bool_(), int: pyarrow.int64()}
    kinds = [(name, types.get(type(value), pyarrow.float64())) for name, value in firsts.items()]
    schema = pyarrow.schema(kinds)
    # Python lists would make pyarrow import pandas, which takes longer than the table.
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    reader: Any = pyarrow.json  # its stubs do not name what it exports
    read = reader.ReadOptions(block_size=len(lines) + 1)
    parse = reader.ParseOptions(explicit_schema=schema)
    content = io.BytesIO(lines.encode())
    table = reader.read_json(content, read, parse) if rows else schema.empty_table()
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)  # type: ignore[no-untyped-call]
    return bytes(sink.getvalue().to_pybytes())


def _values(boards: Sequence[RankedBoard]) -> Iterator[dict[str, Any]]:
    for ranked in boards:
        for row in ranked.rows:
            yield {name: _value(row, path) for name, path in COLUMNS.items()}


def _value(found: Any, path: str) -> Any:
    """Follow a path; None where a part is missing. Several names are one text."""
    for part in path.split("."):
        if found is None:
            return None
        found = found[int(part)] if part.isdecimal() else getattr(found, part)
    return "; ".join(found) if isinstance(found, tuple) else found


# LaTeX with `array`, `booktabs` and, for a long board, `longtable`. An entry takes two lines:
# estimates above, intervals below. Bold is a claim, so only an entry that may be the best
# gets it.

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}", "*": "{*}", MINUS: "$-$", DASH: "--",
    "--": "{-}{-}",  # two hyphens, as in the names of datasets, are no dash
}  # fmt: skip
PATTERN = re.compile("|".join(re.escape(one) for one in SPECIAL))
HEAD = (
    ("Method", "ID", "OOC", "Gap", "Paired gap", "Verdict", "GFLOP", "Generated"),
    ("", r"\%", r"\%", "points", "points", "", "per image", "images"),
)
WRAPPED = r">{{\raggedright\arraybackslash}}p{{{}\linewidth}}"
WIDTHS = f"{WRAPPED.format(0.21)}cccc{WRAPPED.format(0.13)}cr"
ON_ONE_PAGE = 16
"""Lines of a board, equal answers in one, up to which it is a float. A longer one breaks over
pages, which no float does, and needs text in one column."""
MARKS = {
    r"$^{\dagger}$": r" $^{\dagger}$Fewer than 5 seeds: a sketch.",
    r"$^{\ast}$": r" $^{\ast}$Self-reported: not scored again by others.",
    r"$^{?}$": r" $^{?}$Disputed or withdrawn.",
}


def escape_latex(text: str) -> str:
    r"""Write any text so that LaTeX prints it as it is."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return PATTERN.sub(lambda found: SPECIAL[found[0]], line)


def latex_table(boards: Sequence[RankedBoard]) -> str:
    r"""Write boards as LaTeX tables; every number is that of the site."""
    head = "% needs \\usepackage{array,booktabs,longtable}; written by recombine results table\n"
    return head + "\n".join("\n".join(_latex_lines(ranked)) + "\n" for ranked in boards)


def _latex_lines(ranked: RankedBoard) -> Iterator[str]:
    label = rf"\label{{tab:{ranked.slug}}}"
    heads = [r"\toprule", _cells(*HEAD[0]), _cells(*map(_small, HEAD[1]))]
    if sum(len(track.listed) for track in ranked.tracks) <= ON_ONE_PAGE:
        yield r"\begin{table}[t]"
        yield r"\centering\small\setlength{\tabcolsep}{4pt}"
        yield rf"\caption{{{_caption(ranked)}}}"
        yield label
        yield rf"\begin{{tabular}}{{{WIDTHS}}}"
        yield from heads
        yield from _latex_body(ranked)
        yield r"\bottomrule"
        yield r"\end{tabular}"
        yield r"\end{table}"
        return
    yield r"\begingroup\small\setlength{\tabcolsep}{4pt}\setlength{\LTcapwidth}{\linewidth}"
    yield rf"\begin{{longtable}}{{{WIDTHS}}}"
    yield rf"\caption{{{_caption(ranked)}}}{label} \\"
    yield from (*heads, r"\endfirsthead")
    yield _wide(r"\itshape (continued)")
    yield from (*heads, r"\endhead")
    yield from (r"\midrule", _wide(r"\itshape continued on the next page"), r"\endfoot")
    yield from (r"\bottomrule", r"\endlastfoot")
    yield from _latex_body(ranked)
    yield r"\end{longtable}"
    yield r"\endgroup"


def _latex_body(ranked: RankedBoard) -> Iterator[str]:
    several = len({entry.result.data.n_train for entry in ranked.board.entries}) > 1
    for track in ranked.tracks:
        yield r"\midrule"
        yield _wide(rf"\itshape {escape_latex(track.title)}", together=True)
        for row in track.listed:
            yield r"\addlinespace[2pt]"
            apart = ranked.apart[row.entry.result.result_id]
            yield from _latex_row(row, apart, several_sizes=several)
    yield r"\midrule"
    yield from _latex_levels([entry.result.scores for entry in ranked.board.entries])


def _latex_levels(scores: Sequence[Scores]) -> Iterator[str]:
    """Yield a line per level of ignorance: who, ID and OOC."""
    inside = {one.kind: one for one in shared_levels([s.id_test for s in scores], held_out=False)}
    for one in shared_levels([s.ooc_test for s in scores]):
        found = inside.get(one.kind)
        values = ("" if found is None else numbers.chance(found.value), numbers.chance(one.value))
        words = escape_latex(one.words[:1].upper() + one.words[1:])
        yield _cells(words, *values, *[""] * (len(HEAD[0]) - 3))


def _latex_row(row: Row, apart: str, *, several_sizes: bool) -> Iterator[str]:
    result, paired = row.entry.result, row.entry.result.paired_gap
    scores, gflop = result.scores, result.compute.gflop_per_image
    ooc = escape_latex(numbers.percent(scores.ooc_test.estimate))
    yield _cells(
        escape_latex(result.method.name) + _marks(row),
        escape_latex(numbers.percent(scores.id_test.estimate)),
        rf"\textbf{{{ooc}}}" if row.rank.best else ooc,
        escape_latex(numbers.points(result.gap.estimate)),
        "--" if paired is None else escape_latex(numbers.points(paired.estimate)),
        escape_latex(row.rank.words),
        "--" if gflop is None else escape_latex(numbers.short(gflop)),
        escape_latex(numbers.count(result.training.generated_images_seen)),
        together=True,
    )
    # Where the size tells rows of one name apart, it stands in those words already.
    size = f"{numbers.count(result.data.n_train)} images" if several_sizes else ""
    words = [result.method.inference, apart, "" if size in apart else size]
    if row.alike:
        same = dict.fromkeys(one.result.method.name for one in row.alike)
        words.append(f"same answers: {', '.join(same)}")
    yield _cells(
        _small(escape_latex(", ".join(filter(None, words)))),
        _latex_interval(scores.id_test, numbers.percent),
        _latex_interval(scores.ooc_test, numbers.percent),
        _latex_interval(result.gap, numbers.points),
        "" if paired is None else _latex_interval(paired, numbers.points),
        _small(escape_latex(row.rank.against)),
        _small(f"{result.compute.steps} steps") if result.compute.steps else "",
        "",
    )


def _caption(ranked: RankedBoard) -> str:
    key, entries = ranked.board.key, ranked.board.entries
    seeds = _range({entry.n_seeds for entry in entries})
    sizes = _range({entry.result.data.n_train for entry in entries})
    marks = "".join(_marks(row) for row in ranked.rows)
    text = escape_latex(
        f"Accuracy in and out of combination on {key.dataset} {key.version} "
        f"({key.resolution} px, identity {key.identity[:16]}); metric {key.metric} "
        f"{key.metric_version}, {sizes} training images, {seeds} training seeds. "
        "Below each estimate its 95 % interval over runs, values, cells and blocks; "
        "gap: ID minus OOC, about combinations like these; paired gap: on exactly these "
        "combinations, block by block. "
        "Bold: may be the best, by multiple comparisons with the best. "
        f"{_reference(ranked)}"
        "GFLOP: one answer, search included. Generated: images that the method made itself and "
        "trained on."
    )
    return text + "".join(words for mark, words in MARKS.items() if mark in marks)


def _reference(ranked: RankedBoard) -> str:
    entry = ranked.family.reference
    if entry is None:
        return ""
    return f"The reference is {entry.result.method.name}; verdicts are corrected for all entries. "


def _marks(row: Row) -> str:
    entry = row.entry
    said = (bool(row.seed_mark), entry.tier == SELF_REPORTED, entry.mark is not None)
    return "".join(mark for mark, yes in zip(MARKS, said, strict=True) if yes)


def _range(values: set[int]) -> str:
    low, high = numbers.count(min(values)), numbers.count(max(values))
    return low if low == high else f"{low} to {high}"


def _latex_interval(part: Any, form: Callable[[float], str]) -> str:
    if part.ci95 is None:
        return _small("no interval")
    low, high = (escape_latex(form(end)) for end in part.ci95)
    return _small(f"[{low}, {high}]")


def _small(text: str) -> str:
    return rf"{{\scriptsize {text}}}" if text else ""


def _cells(*cells: str, together: bool = False) -> str:
    """Return a line of cells; together: no page ends after it."""
    return " & ".join(cells) + (r" \\*" if together else r" \\")


def _wide(text: str, *, together: bool = False) -> str:
    return _cells(rf"\multicolumn{{{len(HEAD[0])}}}{{l}}{{{text}}}", together=together)


# Markdown, for documents that live beside the code.

MARKDOWN_HEAD = (
    "entry", "kind", "seeds", "ID %", "OOC %", "verdict", "lift", "gap", "GFLOP/image",
    "generated images", "tier",
)  # fmt: skip


def markdown_table(boards: Sequence[RankedBoard]) -> str:
    """Write boards as Markdown tables, the highest OOC accuracy first."""
    return "\n".join("\n".join(_markdown_lines(ranked)) + "\n" for ranked in boards)


def _markdown_lines(ranked: RankedBoard) -> Iterator[str]:
    key = ranked.board.key
    scores = [entry.result.scores.ooc_test for entry in ranked.board.entries]
    levels = (
        f"{markdown(one.words)} {numbers.chance(one.value)} %" for one in shared_levels(scores)
    )
    sizes = sorted({entry.result.data.n_train for entry in ranked.board.entries})
    yield (
        f"**{key.dataset} {markdown(key.version)}**, {key.resolution} px, "
        f"identity `{key.identity[:16].replace(chr(96), chr(39))}`, "
        f"{', '.join(map(numbers.count, sizes))} training images, {'; '.join(levels)}"
    )
    yield ""
    yield _line(MARKDOWN_HEAD)
    yield f"|{'---|' * len(MARKDOWN_HEAD)}"
    rows = [row for track in ranked.tracks for row in track.listed]
    for row in sorted(rows, key=lambda row: -row.entry.result.scores.ooc_test.estimate):
        yield _markdown_row(row)


def _markdown_row(row: Row) -> str:
    result = row.entry.result
    names = [result.method.id, *(one.result.method.id for one in row.alike)]
    gflop, gap = result.compute.gflop_per_image, result.gap
    return _line([
        f"{', '.join(map(markdown, names))}, {result.method.inference}{_doubt(row)}",
        row.role.label.lower(),
        str(row.entry.n_seeds),
        _estimate(result.scores.id_test, numbers.percent),
        _estimate(result.scores.ooc_test, numbers.percent),
        ", ".join(filter(None, (row.rank.words, row.rank.against))),
        _lift(result.scores.ooc_test),
        _estimate(gap, numbers.points),
        "not counted" if gflop is None else numbers.short(gflop),
        numbers.count(result.training.generated_images_seen),
        row.entry.tier,
    ])  # fmt: skip


def _estimate(part: Any, form: Callable[[float], str]) -> str:
    text = form(part.estimate)
    if part.ci95 is None:
        return f"{text} (no interval)"
    low, high = map(form, part.ci95)
    return f"{text} [{low}, {high}]"


def _lift(score: Score) -> str:
    if score.lift is None:
        return "not known"
    text = numbers.ratio(score.lift)
    if score.lift_ci95 is None:
        return f"{text} (no interval)"
    low, high = map(numbers.ratio, score.lift_ci95)
    return f"{text} [{low}, {high}]"


def _doubt(row: Row) -> str:
    return f" ({row.entry.mark.state})" if row.entry.mark is not None else ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


# What decoders do, beside what their search reaches.

MEASURES = {
    "decoder_fidelity_own_slots": "fidelity, own slots",
    "decoder_fidelity_recombined": "recombined slots",
    "decoder_fidelity_twin": "nearest seen image",
    "cross_slot_second_derivative": "cross-slot second derivative",
    "compositional_contrast": "compositional contrast",
}


def decoder_table(results: Sequence[Result]) -> str:
    """Write one row per examined decoder, the highest fidelity first."""
    examined = {r.method.id: _measured(r) for r in results if r.further and r.further.decoder}
    if not examined:
        raise InvalidInputError(
            "results table: no result holds measurements of a decoder; make some with "
            "`recombine score NAME --full`"
        )
    if len({result.data.identity for result in results}) > 1:
        raise InvalidInputError("results table: expected results of one dataset, got several")
    head = ("decoder", "OOC % after search", *MEASURES.values())
    lines = [_line(head), _line(["---"] * len(head))]
    for name, values in sorted(
        examined.items(), key=lambda item: -item[1].get("decoder_fidelity_recombined", -1.0)
    ):
        cells = [f"{values[one]:.3f}" if one in values else "undefined" for one in MEASURES]
        lines.append(_line([f"`{name}`", _searched(name, results), *cells]))
    return "\n".join(lines) + "\n"


def _measured(result: Result) -> dict[str, float]:
    """Return the measures of a decoder, and the floor of fidelity, which is none of its own."""
    measures = (result.further and result.further.decoder) or {}
    values = {name: one.estimate for name, one in measures.items()}
    if fidelity := measures.get("decoder_fidelity_recombined"):
        values["decoder_fidelity_twin"] = fidelity.chance
    return {name: value for name, value in values.items() if value is not None}


def _searched(name: str, results: Sequence[Result]) -> str:
    found = [r for r in results if r.method.id == name and r.method.inference.endswith("search")]
    if not found:
        return "not measured"
    return numbers.percent(max(found, key=lambda r: len(r.seeds)).scores.ooc_test.estimate)


# How many of its dimensions every slot uses.


def collapse_table(results: Sequence[Result]) -> str:
    """Write one row per entry and slot, of images of ID test, the highest OOC score first."""
    measured = [one for one in results if one.further and one.further.collapse]
    if not measured:
        raise InvalidInputError(
            "results table: expected results with collapse diagnostics, got none; score again with "
            "this version, or `recombine results rescore`"
        )
    head = ("entry", "OOC %", "slot", "width", "RankMe", "VNE", "active", "NC1 (by chance)")
    lines = [_line(head), _line(["---"] * len(head))]
    for one in sorted(measured, key=lambda result: -result.ooc.estimate):
        for name, slot in ((one.further and one.further.collapse) or {}).items():
            found = slot.id_test
            classes = [
                f"{key.partition('.')[2]} {_short(measure.estimate)} ({_short(measure.chance)})"
                for key, measure in found.items()
                if key.startswith("nc1_")
            ]
            effective = ("rank_me", "von_neumann_entropy", "active_dimensions")
            values = [_short(found[key].estimate) for key in effective]
            percent = numbers.percent(one.ooc.estimate)
            row = [f"`{one.method.entry}`", percent, name, str(slot.width), *values]
            lines.append(_line([*row, ", ".join(classes) or DASH]))
    return "\n".join(lines) + "\n"


def _short(value: float | None) -> str:
    return DASH if value is None else f"{value:.3g}"
