"""A document of results: what stands between its marks is made from result files alone.

A page holds blocks ``<!-- results: NAME -->`` to ``<!-- /results -->``; everything outside of them
is written by hand and left as it is. NAME is one of `BLOCKS`. Figures are drawn beside the page.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from recombine.benchmark.results.levels import shared_levels
from recombine.benchmark.results.table import oracle_ooc
from recombine.benchmark.running.training_curves import deciding_end
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.exports.claims import outcomes
from recombine.leaderboard.exports.figures import COLOURS, literal, save, styled
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.files import write_bytes
from recombine.renderer.core.text import markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recombine.benchmark.results.parts import Score
    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.entries import Board, Entry

BLOCK = re.compile(r"<!-- results: ([a-z]+) -->\n(.*?)<!-- /results -->", re.DOTALL)
GROUPS = ("none", "masks", "labels", "labels and masks", "pretrained", "floors and bounds")
"""What training was told beside the images; what was trained elsewhere, or competes with nobody,
stands apart."""
MASKED = (
    "autoencoder", "best-of-classes", "broadcast", "cut-and-paste", "factor", "leak",
    "multi-start", "random-start", "segment-then-encode", "vae-broadcast-labels",
)  # fmt: skip
"""How ids of baselines begin that train on masks beside labels, unless a setting says otherwise."""
READINGS = {"direct": "o", "search": "D", "replay": "s", "replay+search": "^"}
"""Marker of every way of reading."""
HEAD = (
    "entry", "read", "told in training", "seeds", "ID %", "OOC %", "lift", "gap", "oracle OOC %",
    "GFLOP/image", "images seen (generated)", "CPU seconds", "training curve",
)  # fmt: skip
CLAIM_HEAD = (
    "claim", "difference", "data", "points", "95 % interval", "p, uncorrected",
    "told from 0 (Holm)", "seeds", "combinations", "what the interval is made of",
)  # fmt: skip
SOFT = "#9aa2ab"


@dataclass(frozen=True)
class _Point:
    """One result as the page sorts it."""

    entry: Entry

    @property
    def result(self) -> Result:
        return self.entry.result

    @property
    def rung(self) -> int:
        """Return the rung of the training ladder."""
        return int(str((self.result.data.recipe or {}).get("rung") or 0))

    @property
    def data(self) -> str:
        """Return the data, whatever the rung."""
        data = self.result.data
        name = data.dataset.removesuffix(f"--rung-{self.rung}")
        return f"{name} {data.version}, {data.resolution} px"

    @property
    def group(self) -> str:
        """Return what training was told, or why the row stands apart."""
        if self.result.method.role in ("floor", "bound"):
            return GROUPS[-1]
        return "pretrained" if self.result.track.data == "pretrained" else told(self.result)

    @property
    def row(self) -> str:
        """Return the line of the figure: a method with all its readings."""
        row = self.result.method.id.removesuffix("-replay")
        return "factored" if row == "factor" else row  # factor-replay is the replay of factored


@dataclass(frozen=True)
class _Source:
    """What blocks are made of."""

    boards: Sequence[Board]
    stem: str  # of the page: its figures begin so

    @cached_property
    def points(self) -> list[_Point]:
        """Return every entry that counts: not those disputed or withdrawn."""
        return [_Point(e) for board in self.boards for e in board.entries if e.mark is None]


def told(result: Result) -> str:
    """Return what training was told beside the images: one of the first four `GROUPS`."""
    supervision = result.track.supervision
    if supervision != "supervised":
        return "none" if supervision == "unsupervised" else "masks"
    method = result.method
    weights = [v for k, v in method.settings.items() if k.split(".")[-1] == "mask_weight"]
    masks = method.id.startswith(MASKED) and (not weights or any(weights))
    return "labels and masks" if masks else "labels"


def write_page(boards: Sequence[Board], page: Path) -> list[Path]:
    """Make the blocks of a page anew, and draw its figures beside it.

    Parameters
    ----------
    boards : sequence of Board
        All boards of the page.
    page : Path
        A Markdown file with blocks; what stands in them is replaced.

    Returns
    -------
    list of Path
        The page, and the figures that were drawn.

    Raises
    ------
    InvalidInputError
        When the page holds no block, or one of an unknown name.
    """
    text = filled(boards, page)
    points, drawn = _Source(boards, page.stem).points, []
    for name, (_, draw) in FIGURES.items():
        path = page.with_name(f"{page.stem}-{name}.svg")
        if path.name in text:
            save(draw(points), path)
            drawn.append(path)
    write_bytes(page, text.encode())
    return [page, *drawn]


def filled(boards: Sequence[Board], page: Path) -> str:
    """Return the text of a page with its blocks made anew."""
    text = page.read_text(encoding="utf-8")
    names = [found[1] for found in BLOCK.finditer(text)]
    if not names or set(names) - BLOCKS.keys():
        raise InvalidInputError(
            f"results page: expected blocks <!-- results: NAME --> to <!-- /results --> in {page}, "
            f"NAME one of {', '.join(BLOCKS)}; got {', '.join(names) or 'none'}"
        )
    source = _Source(boards, page.stem)
    return BLOCK.sub(
        lambda m: f"<!-- results: {m[1]} -->\n{BLOCKS[m[1]](source)}<!-- /results -->", text
    )


def _main(points: Sequence[_Point]) -> dict[str, list[_Point]]:
    """Return what the figure and the tables compare: per render, the narrowest rung, all images."""
    renders: dict[tuple[str, str], list[_Point]] = {}
    for p in points:
        if not p.rung:
            renders.setdefault((p.data, p.result.data.identity), []).append(p)
    most = {one: max(p.result.data.n_train for p in same) for one, same in renders.items()}
    found: dict[str, list[_Point]] = {}
    for data, identity in sorted(renders, key=lambda one: (one[0], most[one], one[1])):
        images = most[data, identity]
        name = f"{data}, {numbers.count(images)} training images"
        name += f" ({identity[:8]})" if name in found else ""
        found[name] = [p for p in renders[data, identity] if p.result.data.n_train == images]
    return found


# Text.


def _tables(source: _Source) -> str:
    lines = []
    for data, same in _main(source.points).items():
        first = same[0].result
        levels = "; ".join(
            f"{markdown(one.words)} {numbers.chance(one.value)} %"
            for one in shared_levels([p.result.ooc for p in same])
        )
        tested = f"{first.ooc.n_images} images of {first.ooc.n_cells} held-out combinations"
        lines += [f"**{data}**, {tested}; {levels}", ""]
        lines += [_line(HEAD), f"|{'---|' * len(HEAD)}"]
        order = sorted(same, key=lambda p: (GROUPS.index(p.group), -p.result.ooc.estimate))
        lines += [*map(_row, order), ""]
    return "\n".join(lines) + "\n" if lines else "No results yet.\n"


def _row(point: _Point) -> str:
    result = point.result
    training, oracle = result.training, oracle_ooc(result)
    gflop = result.compute.gflop_per_image
    end = deciding_end(result.artifacts.curves)
    made = training.generated_images_seen
    apart = ", pretrained elsewhere" if point.group == "pretrained" else ""
    return _line([
        markdown(result.method.id),
        result.method.inference,
        result.method.role if point.group == GROUPS[-1] else told(result) + apart,
        str(len(result.seeds)),
        _estimate(result.id, numbers.percent),
        _estimate(result.ooc, numbers.percent),
        "not known" if result.ooc.lift is None else numbers.ratio(result.ooc.lift),
        _estimate(result.gap, numbers.points),
        "not measured" if oracle is None else numbers.percent(oracle.estimate),
        "not counted" if gflop is None else numbers.short(gflop),
        numbers.count(training.real_images_seen) + (f" ({numbers.count(made)})" if made else ""),
        "not kept" if training.cpu_s is None else numbers.count(training.cpu_s),
        "not kept" if end is None else f"{markdown(end.name)}: {end.words}",
    ])  # fmt: skip


def _estimate(part: Any, form: Callable[[float], str]) -> str:
    span = f" [{', '.join(map(form, part.ci95))}]" if part.ci95 else " (no interval)"
    return form(part.estimate) + span


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _claims(source: _Source) -> str:
    """Tell every registered comparison whose entries are there."""
    found = outcomes(p.result for p in source.points)
    if not found:
        return "No registered comparison has both of its entries yet.\n"
    lines = [_line(CLAIM_HEAD), f"|{'---|' * len(CLAIM_HEAD)}"]
    for one in found:
        (a, how_a), (b, how_b) = one.claim.first, one.claim.second
        difference, first = one.difference, one.results[0]
        span = difference.ci95
        p_value = difference.p_value
        lines.append(_line([
            one.claim.name,
            f"gap of {markdown(a)} at rung 0 minus at rung {one.claim.rung}"
            if one.claim.rung
            else f"{markdown(a)} {how_a} minus {markdown(b)} {how_b}",
            f"{first.data.dataset}, {numbers.count(first.data.n_train)} training images",
            numbers.points(difference.value),
            f"{numbers.points(span[0])} to {numbers.points(span[1])}" if span else "none",
            "not tested" if p_value is None else _p(p_value),
            "yes" if one.rejected else "no",
            " and ".join(str(len(r.seeds)) for r in one.results),
            str(first.ooc.n_cells),
            ", ".join(f"{name} {100 * share:.0f} %" for name, share in one.components),
        ]))  # fmt: skip
    return "\n".join(lines) + "\n"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "below 0.0001"


def _runs(result: Result) -> tuple[str, ...]:
    """Name a set of runs: results before and after search share theirs."""
    return tuple(one.sha256 for one in result.artifacts.predictions)


def _cost(source: _Source) -> str:
    """Add up what training took, every set of runs once."""
    rows, hours, unknown = [], 0.0, 0
    for point in {_runs(p.result): p for p in source.points}.values():
        one, seconds = point.result, point.result.training.cpu_s
        answer = one.compute.seen_cpu_seconds_per_image
        unknown += seconds is None
        took = (seconds or 0.0) * len(one.seeds) / 3600
        hours += took
        images = numbers.count(one.data.n_train)
        where = f"{point.data}{f', rung {point.rung}' if point.rung else ''}, {images} images"
        rows.append((
            where, -took, markdown(one.method.id.removesuffix("-search")), str(len(one.seeds)),
            "not kept" if seconds is None else f"{took:.2f}",
            "not kept" if answer is None else numbers.short(1000 * answer),
        ))  # fmt: skip
    head = ("data", "row", "seeds", "CPU-hours of training", "CPU ms per answer, all search steps")
    lines = [_line(head), f"|{'---|' * len(head)}"]
    lines += [_line((where, *cells)) for where, _, *cells in sorted(rows)]
    left = f" {unknown} sets of runs are not in it, whose time was not kept." if unknown else ""
    total = f"Training of all of them took {hours:.1f} CPU-hours.{left}"
    return "\n".join([*lines, "", total, ""]) if rows else "No results yet.\n"


def _looks(source: _Source) -> str:
    """Count how often out-of-combination images were scored, as far as files can tell."""
    entries = [e for board in source.boards for e in board.entries]
    older = [one.entry for board in source.boards for one in board.superseded]
    every = [entry.result for entry in (*entries, *older)]
    marked = sum(entry.mark is not None for entry in entries)
    runs = {_runs(r): r for r in every}  # with them, every reading along the way
    steps = sum(len(one.compute_curve.steps) for one in runs.values())
    oracles = sum(oracle_ooc(one) is not None for one in every)
    tried = sum(one.training.configs_tried for one in runs.values())
    rules = sorted({one.training.selection.rule for one in every})
    return (
        f"How often out-of-combination images were scored: {steps} times, in {len(runs)} sets of "
        f"runs ({len(every)} results, of which {len(older)} are superseded and {marked} "
        f"disputed or withdrawn), every search step that was read counted; and {oracles} times "
        f"more for the oracle readout. Configurations compared on ID validation images: {tried}; "
        f"selection rules: {', '.join(rules) or 'none'}. Scorings whose file was not kept are not "
        "counted.\n"
    )


# Figures.


def _figure(name: str) -> Callable[[_Source], str]:
    def block(source: _Source) -> str:
        points = source.points if name == "ooc" else _lines(source.points, name)
        if not points:
            several = {"ooc": "No results yet.", "data": "No row was scored at several sizes yet."}
            return several.get(name, "No row was scored at several rungs yet.") + "\n"
        # The figure follows from these files: a page whose digest holds shows the right one.
        ids = "".join(sorted(p.result.result_id for p in source.points))
        digest = hashlib.sha256(ids.encode()).hexdigest()[:16]
        picture = f"![{FIGURES[name][0]}]({source.stem}-{name}.svg)"
        return f"{picture}\n<!-- of {len(source.points)} results: {digest} -->\n"

    return block


def _draw_ooc(points: list[_Point]) -> Figure:
    """Draw OOC by row, a column per data, grouped by what training was told."""
    main = _main(points)
    rows = sorted(
        {(GROUPS.index(p.group), p.row) for same in main.values() for p in same},
        key=lambda one: (one[0], -max(
            p.result.ooc.estimate for same in main.values() for p in same
            if (GROUPS.index(p.group), p.row) == one
        )),
    )  # fmt: skip
    place = {row: i for i, row in enumerate(rows)}
    with styled((3.2 + 3.0 * len(main), 1.3 + 0.27 * len(rows))) as figure:
        panels = figure.subplots(1, len(main), sharey=True, squeeze=False)[0]
        for axes, (data, same) in zip(panels, main.items(), strict=True):
            read: dict[int, list[_Point]] = {}
            for point in same:
                read.setdefault(place[GROUPS.index(point.group), point.row], []).append(point)
            for at, row in read.items():
                row.sort(key=lambda p: list(READINGS).index(p.result.method.inference))
                for i, point in enumerate(row):
                    height = at + 0.2 * (i - (len(row) - 1) / 2)
                    _mark(axes, point.result.ooc, height, point.result.method.inference)
            for level in shared_levels([p.result.ooc for p in same]):
                axes.axvline(level.value, color=SOFT, linestyle=":", linewidth=1, zorder=0)
            floors = [p.result.ooc.estimate for p in same if p.result.method.role == "floor"]
            if floors:
                axes.axvline(max(floors), color=SOFT, linestyle="--", linewidth=1, zorder=0)
            axes.set_title(data.replace(" px, ", " px,\n"), fontsize=8)
            axes.set_xlim(-0.03, 1.03)
            axes.set_xlabel("OOC joint slot accuracy")
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0, labelsize=8)
        _name_rows(panels[0], panels[-1], rows)
        shown = {p.result.method.inference for same in main.values() for p in same}
        handles = [
            panels[0].plot([], [], linestyle="none", **_look(name), label=name)[0]
            for name in READINGS
            if name in shown
        ]
        for style, label in ((":", "what ignorance scores"), ("--", "the best floor row")):
            handles += panels[0].plot([], [], color=SOFT, linestyle=style, label=label)
        figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure


def _name_rows(first: Axes, last: Axes, rows: Sequence[tuple[int, str]]) -> None:
    first.set_yticks(range(len(rows)), [literal(name) for _, name in rows])
    first.set_ylim(len(rows) - 0.5, -0.5)
    for i, (group, _) in enumerate(rows):
        if not i or rows[i - 1][0] != group:
            for axes in first.figure.axes:
                axes.axhline(i - 0.5, color=SOFT, linewidth=0.8)
            last.annotate(GROUPS[group], (1.02, i), xycoords=("axes fraction", "data"),
                          va="center", fontsize=7.5, color="#69727d")  # fmt: skip


def _mark(axes: Axes, score: Score, height: float, inference: str) -> None:
    look = _look(inference)
    if score.ci95 is not None:
        axes.plot(score.ci95, (height, height), color=look["color"], linewidth=1.1)
    axes.plot([score.estimate], [height], linestyle="none", **look)


def _look(inference: str) -> dict[str, Any]:
    marker, colour = READINGS[inference], COLOURS[list(READINGS).index(inference)]
    return {"marker": marker, "color": colour, "markersize": 4.5}


def _lines(points: Sequence[_Point], by: str) -> dict[tuple[str, str, str], list[_Point]]:
    """Return rows scored at several numbers of training images (data) or rungs (rungs)."""
    groups: dict[tuple[str, str, str, int], list[_Point]] = {}
    for p in points:
        rest = p.rung if by == "data" else p.result.data.n_train
        key = p.data, p.result.method.id, p.result.method.inference, rest
        groups.setdefault(key, []).append(p)
    found: dict[tuple[str, str, str], list[_Point]] = {}
    for (data, method, inference, _), same in groups.items():
        line = data, method, inference
        # Of several rungs or sizes that have a line, the one with most points speaks.
        if len({_along(p, by) for p in same}) > max(1, len(found.get(line, ()))):
            found[line] = sorted(same, key=lambda p: _along(p, by))
    return found


def _along(point: _Point, by: str) -> int:
    return point.result.data.n_train if by == "data" else point.rung


def _draw_lines(by: str) -> Callable[[list[_Point]], Figure]:
    def draw(points: list[_Point]) -> Figure:
        lines = _lines(points, by)
        sets = sorted({data for data, _, _ in lines})
        with styled((1.4 + 3.4 * len(sets), 3.4 + 0.17 * len(lines) / 2)) as figure:
            panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
            methods = list(dict.fromkeys(method for _, method, _ in lines))
            for (data, method, inference), same in lines.items():
                axes = panels[sets.index(data)]
                x = [_along(p, by) for p in same]
                y = [p.result.ooc.estimate for p in same]
                look = _look(inference) | {"color": COLOURS[methods.index(method) % len(COLOURS)]}
                axes.plot(x, y, **look, linewidth=1.2, label=f"{literal(method)}, {inference}")
                inside = [p.result.id.estimate for p in same]  # a gap closes from either side
                axes.plot(x, inside, "--", color=look["color"], linewidth=0.9)
                for at, p in zip(x, same, strict=True):
                    if p.result.ooc.ci95:
                        axes.plot((at, at), p.result.ooc.ci95, color=look["color"], linewidth=0.9)
            for axes, data in zip(panels, sets, strict=True):
                here = [p for (d, *_), same in lines.items() if d == data for p in same]
                for level in shared_levels([p.result.ooc for p in here]):
                    axes.axhline(level.value, color=SOFT, linestyle=":", linewidth=1)
                axes.set_title(data, fontsize=8)
                axes.set_ylim(-0.03, 1.03)
                ticks = sorted({_along(p, by) for p in here})
                if by == "data":
                    axes.set_xscale("log")
                axes.set_xticks(ticks, [numbers.count(tick) for tick in ticks], minor=False)
                axes.set_xticks([], minor=True)
                axes.set_xlabel("training images (log scale)" if by == "data" else "rung")
            panels[0].set_ylabel("joint slot accuracy")
            named = {h.get_label(): h for a in panels for h in a.get_legend_handles_labels()[0]}
            figure.legend(handles=list(named.values()), loc="outside lower left", ncols=2)
            figure.suptitle("OOC; dashed: ID; dotted: what ignorance scores", fontsize=8)
        return figure

    return draw


FIGURES: dict[str, tuple[str, Callable[[list[_Point]], Figure]]] = {
    "ooc": (
        "Out-of-combination accuracy by row, with 95 % intervals; dotted: what ignorance scores",
        _draw_ooc,
    ),
    "data": (
        "Accuracy against training images, out of combination and, dashed, in it",
        _draw_lines("data"),
    ),
    "rungs": (
        "Accuracy by rung of the training ladder, out of combination and, dashed, in it",
        _draw_lines("rungs"),
    ),
}
BLOCKS: dict[str, Callable[[_Source], str]] = {
    **{name: _figure(name) for name in FIGURES},
    "tables": _tables,
    "claims": _claims,
    "cost": _cost,
    "looks": _looks,
}
"""What makes every block."""
