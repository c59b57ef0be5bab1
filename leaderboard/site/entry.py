"""What an entry's own page shows beyond its row: cells, factors, seeds, metrics, commands."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from recombine.benchmark.results.levels import named_levels
from recombine.benchmark.results.table import grid_words, match_words, matters, oracle_readout
from recombine.benchmark.running.training_curves import curve_ends
from recombine.benchmark.statistics.design import terms
from recombine.leaderboard.board.board import DATA, drawn_levels
from recombine.leaderboard.board.entries import cell_table, gallery, is_baseline
from recombine.leaderboard.board.sizes import Family
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.charts import (
    Mark,
    heat_map,
    search_figure,
    shares,
    strip,
    strip_axis,
    training_figure,
)
from recombine.leaderboard.drawing.formatting import DASH, TIMES
from recombine.leaderboard.exports.citation import entry_citation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recombine.benchmark.results.extra_parts import Bins, Measure
    from recombine.benchmark.results.parts import Estimate, Score
    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.board import Row
    from recombine.leaderboard.board.entries import BoardKey, CellRow, Entry, Shown
    from recombine.leaderboard.drawing.charts import Lines

# What an entry measured beside its headline, and where each number comes from.

SOURCES = {
    "measured": "Measured by the harness",
    "bounded": "Reported from inside, within what the harness saw",
    "self-reported": "Self-reported",
    "unknown": "Not known",
}
SANDBOX = {
    "none": "in the harness's own process",
    "subprocess": "in a process of its own, trusted by whoever ran it",
    "bubblewrap": "shut in: no network, no files, no labels",
    "file": "elsewhere; only its answers came here",
}
GROUPS = {
    "masks": "Segmentation",
    "sets": "Objects as a set, average precision within a distance",
    "identifiability": "Identifiability, on ID-test and OOC-test together",
    "decoder": "Decoder, read before any search step",
}


@dataclass(frozen=True)
class Metric:
    """One metric."""

    name: str  # its name in words
    better: str  # which direction is better
    # where its values stand in the result file, ID first where there are two
    places: tuple[str, ...]


@dataclass(frozen=True)
class MetricGroup:
    """Metrics of one kind."""

    title: str  # what they are of
    columns: tuple[str, ...]  # what its values are of
    metrics: tuple[Metric, ...]  # by name


@dataclass(frozen=True)
class Bin:
    """Images between two values of a property."""

    span: str  # the two values
    inside: str  # accuracy in percent and the number of images per seed; a dash without images
    outside: str  # the same, out of combination


def sources(entry: Entry) -> list[tuple[str, str]]:
    """Group the numbers that no label can check by where they come from."""
    found = entry.result.sources
    if found is None:
        return []
    named: defaultdict[str, list[str]] = defaultdict(list)
    for figure, source in found.figures.items():
        # What a file says of its own making counts where a maintainer's harness made it.
        said = source if entry.witnessed or source == "unknown" else "self-reported"
        named[said].append(figure.replace("_", " "))
    ran = [("Ran", SANDBOX[found.sandbox if entry.witnessed else "file"])]
    return ran + [(SOURCES[key], ", ".join(named[key])) for key in SOURCES if key in named]


def extra_metrics(result: Result) -> list[MetricGroup]:
    """List the metrics of a result beside its headline."""
    found = []
    for name, title in GROUPS.items():
        values = getattr(result.further, name, None)
        if values is None:
            continue
        split = hasattr(values, "id_test")
        at = [f"further/{name}/{part}" for part in ("id_test", "ooc_test")]
        measures: Mapping[str, Measure] = values.ooc_test if split else values
        metrics = tuple(
            Metric(
                key.replace("_", " "),
                one.direction,
                tuple(f"{place}/{key}" for place in (at if split else [f"further/{name}"])),
            )
            for key, one in measures.items()
        )
        found.append(MetricGroup(title, ("ID", "OOC") if split else ("value",), metrics))
    return found + collapse(result)


def collapse(result: Result) -> list[MetricGroup]:
    """List how many of its dimensions every slot uses."""
    slots = (result.further and result.further.collapse) or {}
    found = []
    for name, slot in slots.items():
        at = [f"further/collapse/{name}/{part}" for part in ("id_train", "id_test")]
        metrics = tuple(
            Metric(key.replace("_", " "), "neither", tuple(f"{place}/{key}" for place in at))
            for key in slot.id_test
        )
        title = f"Collapse of slot {name}, of {slot.width} numbers"
        found.append(MetricGroup(title, ("ID train", "ID test"), metrics))
    return found


def bins(found: Bins | None) -> list[Bin]:
    """Print accuracy against a property of the images."""
    if found is None:
        return []
    return [
        Bin(
            f"{numbers.percent(found.edges[i])}{DASH}{numbers.percent(found.edges[i + 1])}",
            _share(found.id_hits, found.id_counts, i),
            _share(found.ooc_hits, found.ooc_counts, i),
        )
        for i in range(len(found.edges) - 1)
        if found.id_counts[i] or found.ooc_counts[i]
    ]


def _share(hits: tuple[tuple[int, ...], ...], counts: tuple[int, ...], i: int) -> str:
    if not counts[i]:
        return DASH
    right = sum(row[i] for row in hits) / (len(hits) * counts[i])
    return f"{numbers.percent(right)} of {numbers.count(counts[i])}"


# The commands on an entry's page: render the data, make the entry again, check its file.

SIZES = ("tiny", "cpu", "gpu")
HUB = re.compile(r"recombine\.benchmark\.[\w.]+:HubMethod")
"""A model of a public library, wherever its wrapper stood when the result was written."""


def recipe_of(result: Result) -> Mapping[str, Any] | None:
    """Return how the data were rendered; None when that is not on record."""
    return result.data.recipe


def data_folder(result: Result) -> str:
    """Return where the commands put the data, or a word for it when they cannot render them."""
    recipe = recipe_of(result)
    return shlex.quote(f"runs/{recipe['preset']}-{result.data.resolution}") if recipe else "DATA"


def render_command(result: Result) -> str:
    """Return the command that renders the data; empty when their recipe is not on record."""
    recipe = recipe_of(result)
    if recipe is None:
        return ""
    options = [
        f"recombine render {shlex.quote(recipe['preset'])}",
        f"--values {recipe['values']}" if recipe.get("values") else "",
        f"--scale {recipe['scale']}" if recipe.get("scale", 1) != 1 else "",
        f"--resolution {result.data.resolution} --out {data_folder(result)}",
        "--ooc-val" if recipe.get("ooc_val") else "",
        "--split FILE" if recipe.get("split") else "",
        "--hidden-key FILE" if recipe.get("hidden_test") else "",
        "--hidden" if recipe.get("hidden_test") == "hidden" else "",
    ]
    return " ".join(filter(None, options))


def reproduce(result: Result) -> list[str]:
    """Return the shell commands that render the data and make the entry again."""
    folder = data_folder(result)
    tangents = f"recombine measure tangents {folder}" if _reads_tangents(result) else ""
    verified = f"recombine dataset verify {folder}"
    made = score_command(result, str(result.data.n_train))
    return [line for line in (render_command(result), verified, tangents, made) if line]


def data_scaling(result: Result) -> str:
    """Return the command that makes the data-scaling curve of a baseline."""
    n = result.data.n_train
    sizes = sorted({max(1, n // 16), max(1, n // 4), n})
    return score_command(result, ",".join(map(str, sizes))) if is_baseline(result) else ""


def verify(result: Result, file: str) -> list[str]:
    """Return the commands that check a downloaded result file."""
    return [
        f"recombine board check {file}",
        f"recombine results rescore {file} --data {data_folder(result)} --runs FOLDER",
    ]


def score_command(result: Result, sizes: str) -> str:
    """Return the command that trains and scores a method on so many images."""
    method, recipe = result.method, recipe_of(result) or {}
    settings, name = method.settings, method.id
    if HUB.fullmatch(method.code):
        name = shlex.quote(f"{settings.get('model')}?size={settings.get('size')}")
    elif not is_baseline(result):
        name = shlex.quote(method.code or f"{method.id}.py:Submission")
    options = [
        f"recombine score {name} --data {data_folder(result)} --n {sizes}",
        f"--rung {recipe['rung']}" if recipe.get("rung") else "",
        f"--seeds {len(result.seeds)} --readout-labels {result.readout.n_train}",
    ]
    if method.kind == "inverter":
        options.append(f"--steps {' '.join(map(str, result.compute_curve.steps))}")
    if has_variants(result):
        options.append("--full")
    if is_baseline(result):
        options += [
            f"--size {settings['size']}" if settings.get("size") in SIZES else "",
            "--weights FILE" if settings.get("weights") else "",
            f"--tangents {data_folder(result)}/tangents.h5" if _reads_tangents(result) else "",
        ]
    return " ".join(filter(None, options))


def has_variants(result: Result) -> bool:
    """Tell whether a result holds what ``--full`` adds; the oracle readout is in every one."""
    read = result.further.readouts if result.further is not None else ()
    return any(one.control != "oracle" for one in read)


def slot_match(result: Result) -> str:
    """Say in a sentence how the slots were assigned; empty when not on record."""
    match = result.readout.match
    if match is None:
        return ""
    if match.decided_on == "masks":
        return "Slots are matched to objects on masks, image by image."
    if words := match_words(result):
        return f"{words[0].upper()}{words[1:]}."
    if all(match.equal):
        return "Every slot holds the same numbers: which one is read makes no difference."
    images = f"{match.n_images:,} images of {match.n_cells} in-combination cells"
    where = f"{images} that the deciding readouts had not seen"
    if match.decided_on == "id-val":
        where = f"{images} that they had seen, as none could be left out,"
    least = min(m for m, same in zip(match.margin, match.equal, strict=True) if not same)
    return (
        f"Slot assignment clear in every seed: on {where} the next best one loses at least "
        f"{least:.2f} of the factor scores."
    )


def _reads_tangents(result: Result) -> bool:
    return bool(result.method.settings.get("tangents"))


VARIANCE_TERMS = {"run": "training runs", "cell": "combinations", "block": "nuisance blocks"}
METRICS = {
    "joint_slot_accuracy": "joint slot accuracy",
    "balanced_accuracy_chance_corrected": "balanced accuracy above chance",
}


@dataclass(frozen=True)
class Beside:
    """One line of the comparison of an entry with its floors and its bound."""

    name: str
    words: str
    inside: str  # percent and interval, empty where not measured
    outside: str
    strip: Markup
    href: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        words: str,
        inside: Estimate | Score | None,
        outside: Estimate | Score,
        lines: Lines,
        href: str = "",
    ) -> Beside:
        """Return the line of two measured shares."""
        first, second = _share_words(inside), _share_words(outside)
        title = f"{name}: ID {first or 'not measured'}, OOC {second}"
        drawn = strip(_share_mark(inside), _share_mark(outside), lines, title)
        return cls(name, words, first, second, drawn, href)


def _share_mark(one: Estimate | Score | None) -> Mark | None:
    return None if one is None else Mark(one.estimate, one.ci95, one.per_seed)


def _share_words(one: Estimate | Score | None) -> str:
    if one is None:
        return ""
    span = f" [{', '.join(map(numbers.percent, one.ci95))}]" if one.ci95 else ""
    return numbers.percent(one.estimate) + span


@dataclass(frozen=True)
class Detail:
    """An entry's page."""

    row: Row  # the entry as it stands on its board
    board: BoardKey  # the board
    successor: Entry | None = None  # the newer entry that took its row
    # the same method on training sets of other sizes; the entry itself is one of them
    family: Family = field(default_factory=Family)
    floors: tuple[Row, ...] = ()  # rows of its board that know nothing, such as pixels

    @property
    def result(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return self.row.entry.plain

    @cached_property
    def cells(self) -> list[CellRow]:
        """Return every tested cell, in the order of names."""
        return sorted(cell_table(self.row.entry.result), key=lambda row: row.names)

    @property
    def cell_rows(self) -> Markup:
        """Write the cells as rows of a table: a page has as many as a template is slow at."""
        rows = []
        for cell in self.cells:
            first, *others = (escape(name) for name in cell.names)
            rows.append(
                f'<tr><th scope="row">{first}</th>{"".join(f"<td>{one}</td>" for one in others)}'
                f"<td>{'OOC' if cell.held_out else 'ID'}</td>"
                f'<td class="num">{numbers.percent(cell.accuracy)}</td>'
                f'<td class="num">{cell.images}</td></tr>'
            )
        return Markup("\n".join(rows))  # noqa: S704 - names are escaped, the rest are numbers

    @property
    def heat_maps(self) -> list[tuple[str, Markup]]:
        """Draw the cells: one map per combination of the factors beyond the second."""
        if len(self.row.entry.result.data.recombined) < 2:
            return []
        facets: dict[tuple[str, ...], list[CellRow]] = {}
        for cell in self.cells:
            facets.setdefault(cell.names[2:], []).append(cell)
        return [(f" {TIMES} ".join(rest), self._heat(cells)) for rest, cells in facets.items()]

    @property
    def factors(self) -> list[dict[str, Any]]:
        """Return one row per factor: name, metric, figure, and whether it is recombined."""
        scores, more, rows = self.row.entry.result.scores, self.row.entry.result.further, []
        floors = more.matching.floors if more is not None and more.matching is not None else {}
        inside, outside = scores.id_test.per_factor, scores.ooc_test.per_factor
        for name in sorted(
            inside.keys() & outside.keys(), key=lambda n: (not inside[n].recombined, n)
        ):
            i, o = inside[name], outside[name]
            title = f"{name}: ID {numbers.ratio(i.estimate)}, OOC {numbers.ratio(o.estimate)}"
            drawn = strip(Mark(i.estimate, i.ci95), Mark(o.estimate, o.ci95), (), title)
            about = {
                "metric": metric_words(i.metric),
                "recombined": i.recombined,
                "floor": floors.get(name),  # what the choice of slots on masks gives away, OOC
            }
            rows.append({"name": name, "strip": drawn, **about})
        return rows

    @property
    def seeds(self) -> list[dict[str, Any]]:
        """Return one row per training seed."""
        scores = self.row.entry.result.scores
        rows = []
        for i, seed in enumerate(self.row.entry.result.seeds):
            inside, outside = scores.id_test.per_seed[i], scores.ooc_test.per_seed[i]
            title = f"Seed {seed}: ID {numbers.percent(inside)} %, OOC {numbers.percent(outside)} %"
            drawn = strip(Mark(inside), Mark(outside), self._lines, title)
            rows.append({"seed": seed, "index": i, "strip": drawn, "gap": inside - outside})
        return rows

    @cached_property
    def beside(self) -> list[Beside]:
        """Return this entry between what bounds it: its oracle readout, and its floors."""
        result = self.row.entry.result
        lines = self._lines
        rows = [Beside.of("This entry", "", result.id, result.ooc, lines)]
        if oracle := oracle_readout(result):
            words = "upper bound: the same slots, a readout that also saw OOC labels"
            rows.append(Beside.of("Oracle readout", words, oracle.id_test, oracle.ooc_test, lines))
        if network := result.readout.random_network:
            words = f"floor: never trained, {numbers.count(network.width)} outputs like this entry"
            name = "Random network of equal width"
            rows.append(Beside.of(name, words, network.id_test, network.ooc_test, lines))
        for one in self.floors:
            floor, page = one.entry.result, f"{one.entry.slug}.html"
            words = f"floor on this board, {floor.method.inference}"
            rows.append(Beside.of(floor.method.name, words, floor.id, floor.ooc, lines, page))
        return rows

    @property
    def beside_axis(self) -> Markup:
        """Draw the axis below ``beside``, with the levels of ignorance."""
        return strip_axis(self._lines)

    @cached_property
    def curves(self) -> list[tuple[str, str, Markup]]:
        """Return every training curve: its name, how it ends in words, and its drawing."""
        kept = self.row.entry.result.artifacts.curves
        found = []
        for end in curve_ends(kept):
            runs = [
                (f"seed {one.seed}", list(zip(map(float, one.steps), one.values, strict=True)))
                for one in kept
                if one.name == end.name
            ]
            title = f"{end.name} against optimiser steps, {len(runs)} runs"
            found.append((end.name, end.words, training_figure(runs, title)))
        return found

    @cached_property
    def uncertainty(self) -> list[tuple[str, float]]:
        """Return what the OOC interval is made of: name and share of its variance."""
        found = terms(self.row.entry.ooc)
        total = sum(term.variance for term in found or ())
        if not found or total <= 0:
            return []
        factors = self.row.entry.result.data.recombined
        words = VARIANCE_TERMS | {f"value {i + 1}": f"values of {f}" for i, f in enumerate(factors)}
        return [(words[term.name], term.variance / total) for term in found]

    @property
    def uncertainty_bar(self) -> Markup:
        """Draw ``uncertainty`` as one bar."""
        return shares(self.uncertainty, "What the OOC interval is made of")

    @property
    def search_curve(self) -> Markup | None:
        """Draw accuracy against search steps; None for an entry with one step count."""
        curve = self.row.entry.result.compute_curve
        if len(curve.steps) < 2:
            return None
        inside = [Mark(v, ci) for v, ci in zip(curve.id, curve.id_ci95, strict=True)]
        outside = [Mark(v, ci) for v, ci in zip(curve.ooc, curve.ooc_ci95, strict=True)]
        title, costs = "Accuracy against search steps", curve.gflop_per_image
        return search_figure(curve.steps, inside, outside, self._lines, title, costs)

    @cached_property
    def worst(self) -> tuple[Shown, ...]:
        """Return the worst images; empty when their picture is missing."""
        kept, picture = self.row.entry.result.artifacts.examples, self.row.entry.picture
        return gallery(kept, picture) if kept is not None and picture else ()

    @property
    def sources(self) -> list[tuple[str, str]]:
        """Say where the numbers come from that no label can check."""
        return sources(self.row.entry)

    @property
    def extra_metrics(self) -> list[MetricGroup]:
        """Return the metrics beside the headline."""
        return extra_metrics(self.row.entry.result)

    @property
    def by_property(self) -> list[tuple[str, list[Bin]]]:
        """Return accuracy against what is measured of the images, where it is known."""
        more = self.row.entry.result.further
        if more is None:
            return []
        tables = {
            "Accuracy against the least visible share of an object": more.by_visibility,
            "Accuracy against the share of light that is interaction": more.by_interaction,
        }
        return [(title, bins(one)) for title, one in tables.items() if one is not None]

    @property
    def oracle_place(self) -> str:
        """Return where the oracle readout stands in the result file; empty when it does not."""
        more = self.row.entry.result.further
        read = () if more is None else more.readouts
        places = (f"further/readouts/{k}" for k, one in enumerate(read) if one.control == "oracle")
        return next(places, "")

    @property
    def full(self) -> bool:
        """Tell whether the result holds what ``--full`` adds."""
        return has_variants(self.row.entry.result)

    @property
    def slot_match(self) -> str:
        """Say how the slots were assigned."""
        return slot_match(self.row.entry.result)

    @property
    def slot_matters(self) -> bool:
        """Tell whether an unclear slot assignment decides the score."""
        return matters(self.row.entry.result)

    @property
    def grid_words(self) -> list[str]:
        """Say of which factors another readout might do better."""
        return grid_words(self.row.entry.result)

    @property
    def train_sizes(self) -> str:
        """Return the command that makes the data-scaling curve; empty for foreign methods."""
        return data_scaling(self.row.entry.result)

    @property
    def is_baseline(self) -> bool:
        """Tell whether the entry is a baseline of this project."""
        return is_baseline(self.row.entry.result)

    @property
    def commands(self) -> str:
        """Return the commands that make this entry again."""
        return "\n".join(reproduce(self.row.entry.result))

    @property
    def recorded(self) -> bool:
        """Tell whether it is on record how the data were rendered."""
        return recipe_of(self.row.entry.result) is not None

    @property
    def schedules(self) -> str:
        """Return the steps of a baseline's training stages, which ``--longer`` multiplies."""
        settings = self.row.entry.result.method.settings if self.is_baseline else {}
        named = {k.removesuffix(".steps"): v for k, v in settings.items() if k.endswith(".steps")}
        return ", ".join(f"{k} {v:,}" for k, v in named.items() if type(v) is int)

    @property
    def verify(self) -> str:
        """Return the commands that check the downloaded file: alone, and with predictions."""
        entry = self.row.entry
        return "\n".join(verify(entry.result, f"{entry.slug}.json"))

    @property
    def bibtex(self) -> str:
        """Return a citation of this entry."""
        return entry_citation(self.row.entry.result, self.row.entry.slug)

    @property
    def trained_on(self) -> str:
        """Say what training used, as far as the card says."""
        result = self.row.entry.result
        served, more = f"{numbers.count(result.data.n_train)} served images", result.credit
        if more.pretraining:
            return f"{served}; {', '.join(more.pretraining)}"
        if result.track.data == "scratch":
            return f"{served}, nothing else"
        return f"{served}, and more that the card does not name: {DATA[result.track.data]}"

    @cached_property
    def _lines(self) -> Lines:
        return drawn_levels([self.row.entry.result.scores.ooc_test])

    @property
    def levels(self) -> list[tuple[str, str, str]]:
        """Say what ignorance scores: who, ID and OOC in percent; empty when not measured."""
        scores = self.row.entry.result.scores
        if scores.ooc_test.levels is None or scores.id_test.levels is None:
            return []
        inside = {one.kind: one for one in named_levels(scores.id_test, held_out=False)}
        return [
            (one.words, numbers.chance(inside[one.kind].value), numbers.chance(one.value))
            for one in named_levels(scores.ooc_test)
            if one.kind in inside
        ]

    def _heat(self, cells: list[CellRow]) -> Markup:
        rows = list(dict.fromkeys(cell.names[0] for cell in cells))
        columns = list(dict.fromkeys(sorted(cell.names[1] for cell in cells)))
        values = {(cell.names[0], cell.names[1]): cell.accuracy for cell in cells}
        held_out = {(cell.names[0], cell.names[1]) for cell in cells if cell.held_out}
        title = f"Accuracy of {len(cells)} combinations; {len(held_out)} held out, framed"
        return heat_map(rows, columns, values, held_out, title)


def metric_words(metric: str) -> str:
    """Return a metric's name for people."""
    return METRICS.get(metric, metric.replace("_", " "))
