"""What an entry's own page shows beyond its row: cells, factors, seeds, variance, compute."""

from __future__ import annotations

import math
import re
import shlex
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.statistics import intervals as stats
from recombine.leaderboard.board.entries import cell_scores, gallery
from recombine.leaderboard.board.sizes import Family
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.charts import Mark, heat_map, search_figure, shares, strip
from recombine.leaderboard.drawing.formatting import DASH, TIMES
from recombine.renderer.core.errors import UsageError
from recombine.renderer.planning.blocks import thinned
from recombine.renderer.presets.table import load_preset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from recombine.benchmark.results.parts import Bins, Measure
    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.board import Row
    from recombine.leaderboard.board.entries import BoardKey, Entry, Shown
    from recombine.renderer.presets.table import Preset


# What an entry measured beside its headline, and who vouches for which number.

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
READ_BEFORE = "read before any search step"
PARTS = {
    "masks": "Segmentation",
    "sets": "Objects as a set, average precision within a distance",
    "identifiability": "Identifiability, on ID-test and OOC-test together",
    "decoder": f"Decoder, {READ_BEFORE}",
}


@dataclass(frozen=True)
class Line:
    """One metric."""

    name: str  # its name in words
    better: str  # which direction is better
    # where its values stand in the result file, ID first where there are two
    places: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Metrics of one kind."""

    title: str  # what they are of
    split: bool  # whether ID and OOC have values of their own
    lines: tuple[Line, ...]  # by name


@dataclass(frozen=True)
class Bin:
    """Images between two values of a property."""

    span: str  # the two values
    inside: str  # accuracy in percent, or a dash without images, and the number of images per seed
    outside: str  # accuracy in percent, or a dash without images, and the number of images per seed


def vouched(result: Result) -> list[tuple[str, str]]:
    """Group the numbers that no label can check by who vouches for them."""
    if result.sources is None:
        return []
    named: defaultdict[str, list[str]] = defaultdict(list)
    for figure, source in result.sources.figures.items():
        named[source].append(figure.replace("_", " "))
    ran = [("Ran", SANDBOX[result.sources.sandbox])]
    return ran + [(SOURCES[key], ", ".join(named[key])) for key in SOURCES if key in named]


def parts(result: Result) -> list[Part]:
    """List the further metrics of a result."""
    further, found = result.further, []
    for name, title in PARTS.items():
        values = None if further is None else getattr(further, name)
        if values is None:
            continue
        split = hasattr(values, "id_test")
        measures: Mapping[str, Measure] = values.ooc_test if split else values
        at = (
            [f"further/{name}/id_test", f"further/{name}/ooc_test"]
            if split
            else [f"further/{name}"]
        )
        lines = tuple(_line(key, one, at) for key, one in measures.items())
        found.append(Part(title, split, lines))
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


def _line(key: str, one: Measure, places: list[str]) -> Line:
    return Line(key.replace("_", " "), one.direction, tuple(f"{place}/{key}" for place in places))


def _share(hits: tuple[tuple[int, ...], ...], counts: tuple[int, ...], i: int) -> str:
    if not counts[i]:
        return DASH
    right = sum(row[i] for row in hits) / (len(hits) * counts[i])
    return f"{numbers.percent(right)} of {numbers.count(counts[i])}"


# The commands on an entry's page: render the data, make the entry again, check its file.

SIZES = ("tiny", "cpu", "gpu")
OURS = "recombine.baselines."
HUB = "recombine.benchmark.submissions.hub:"


@dataclass(frozen=True)
class Place:
    """How a result's data are rendered, and where the commands put them."""

    preset: str  # the recipe
    resolution: int  # image edge in pixels
    ooc_val: bool  # whether an orbit is held out for validation
    rung: int  # of the training ladder
    values: int = 0  # values per recombined factor; 0 for all
    scale: str = ""  # share of the preset's blocks; empty for all, or where the counts do not tell

    @classmethod
    def of(cls, result: Result) -> Place:
        """Read it off the dataset's name, such as ``smoke--values-8--rung-1``, and its counts."""
        preset, *parts = result.data.dataset.split("--")
        rung, values = (_number(parts, name) for name in ("rung", "values"))
        ooc_val = "ooc-val" in parts
        blocks = result.paired_gap.n_blocks if result.paired_gap else 0
        scale = _scale(preset, values, ooc_val, blocks, result.data.n_train) if blocks else ""
        return cls(preset, result.data.resolution, ooc_val, rung, values, scale)

    @property
    def render(self) -> str:
        """Return the command that renders the data."""
        options = [
            f"--values {self.values}" if self.values else "",
            f"--scale {self.scale}" if self.scale else "",
            f"--resolution {self.resolution} --out {self.folder}",
            "--ooc-val" if self.ooc_val else "",
        ]
        return " ".join(filter(None, [f"recombine render {self.preset}", *options]))

    @property
    def folder(self) -> str:
        """Return the dataset's folder."""
        return f"runs/{self.preset}-{self.resolution}"


def is_baseline(result: Result) -> bool:
    """Tell whether a result is of a baseline of this project, which trains by its short name."""
    return result.method.code.startswith(OURS)


def reproduce(result: Result) -> list[str]:
    """Return the shell commands that render the data and make the entry again."""
    at = Place.of(result)
    size = str(result.data.n_train)
    made = _train(result, size) or f"recombine score {_submission(result)} {_shared(result, size)}"
    tangents = [f"recombine tangents {at.folder}"] if result.method.settings.get("tangents") else []
    return [at.render, f"recombine verify {at.folder}", *tangents, made]


def scale(result: Result) -> str:
    """Return the command that makes the data-scaling curve of a baseline."""
    n = result.data.n_train
    sizes = sorted({max(1, n // 16), max(1, n // 4), n})
    return _train(result, ",".join(map(str, sizes)))


def verify(result: Result, file: str) -> list[str]:
    """Return the commands that check a downloaded result file."""
    data = Place.of(result).folder
    return [
        f"recombine board check {file}",
        f"recombine rescore {file} --data {data} --runs FOLDER",
    ]


def _train(result: Result, sizes: str) -> str:
    if not is_baseline(result):
        return ""
    settings = result.method.settings
    named = settings.get("size")
    options = [
        f"--size {named}" if named in SIZES else "",
        "--weights FILE" if settings.get("weights") else "",
        f"--tangents {Place.of(result).folder}/tangents.h5" if settings.get("tangents") else "",
    ]
    parts = [f"recombine train {result.method.id}", _shared(result, sizes), *options]
    return " ".join(filter(None, parts))


def _submission(result: Result) -> str:
    """Return what `recombine score` takes for it, one argument."""
    settings, code = result.method.settings, result.method.code
    if code.startswith(HUB):
        return shlex.quote(f"{settings.get('model')}?size={settings.get('size')}")
    return shlex.quote(code or f"{result.method.id}.py:Submission")


def _shared(result: Result, sizes: str) -> str:
    """Return the options that training and scoring share."""
    at = Place.of(result)
    options = [
        f"--data {at.folder} --n {sizes}",
        f"--rung {at.rung}" if at.rung else "",
        f"--seeds {len(result.seeds)} --readout-labels {result.readout.n_train}",
    ]
    if result.method.kind == "inverter":
        options.append(f"--steps {' '.join(map(str, result.compute_curve.steps))}")
    if result.further is not None and result.further.readouts:
        options.append("--full")
    return " ".join(filter(None, options))


def _number(parts: list[str], name: str) -> int:
    """Return the number of a part such as ``rung-2``; 0 without one."""
    found = [part.removeprefix(f"{name}-") for part in parts if part.startswith(f"{name}-")]
    return int(found[0]) if found and found[0].isdecimal() else 0


@cache
def _scale(preset: str, values: int, ooc_val: bool, blocks: int, images: int) -> str:
    """Return the shortest share that gives as many test blocks and training images."""
    load = partial(load_preset, preset, values=values or None, ooc_val=ooc_val)
    try:
        whole = load()
        draws = _draws(whole)
        near = blocks / whole.sizes.test, images / (whole.sizes.train * draws)
        shares = [part + step / 10**d for part in near for d in (1, 2, 3) for step in (0, -1, 1)]
        words = {f"{share:.{d}g}" for share in shares if share > 0 for d in (1, 2, 3)}
        for word in ["1", *sorted(words - {"1"}, key=lambda word: (len(word), word))]:
            sizes = load(scale=float(word)).sizes
            if (sizes.test, sizes.train * draws) == (blocks, images):
                return "" if word == "1" else word
    except UsageError:  # of another renderer
        return ""
    return ""


def _draws(preset: Preset) -> int:
    """Return how many images of the narrowest rung a block gives."""
    schema, split = preset.schema, preset.split
    crossed = math.prod(schema.factor(key).size for key in schema.crossed)
    return crossed * len(thinned(preset, split.id_draws(schema.cell_shape), 0))


VARIANCE_TERMS = ("training runs", "combinations", "both together")
METRICS = {
    "joint_slot_accuracy": "joint slot accuracy",
    "balanced_accuracy_chance_corrected": "balanced accuracy above chance",
}


@dataclass(frozen=True)
class CellRow:
    """One cell of the test data."""

    names: tuple[str, ...]  # its values, one per recombined factor
    held_out: bool  # whether training never showed it
    accuracy: float  # mean over seeds, in [0, 1]
    images: int  # test images per seed

    @property
    def percent(self) -> str:
        """Print the accuracy in percent."""
        return numbers.percent(self.accuracy)


@dataclass(frozen=True)
class Detail:
    """An entry's page."""

    row: Row  # the entry as it stands on its board
    board: BoardKey  # the board
    successor: Entry | None = None  # the newer entry that took its row
    # the same method on training sets of other sizes; the entry itself is one of them
    family: Family = field(default_factory=Family)

    @property
    def result(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return self.row.entry.plain

    @cached_property
    def cells(self) -> list[CellRow]:
        """Return every tested cell, in the order of names."""
        scores = self.row.entry.result.scores
        rows = []
        for score, held_out in ((scores.id_test, False), (scores.ooc_test, True)):
            accuracy = (np.asarray(score.hits) / np.asarray(score.counts)).mean(axis=0)
            for names, value, images in zip(score.cells, accuracy, score.counts[0], strict=True):
                rows.append(CellRow(tuple(names), held_out, float(value), images))
        return sorted(rows, key=lambda row: row.names)

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
        scores = self.row.entry.result.scores
        inside, outside = scores.id_test.per_factor, scores.ooc_test.per_factor
        rows = []
        for name in sorted(
            inside.keys() & outside.keys(), key=lambda n: (not inside[n].recombined, n)
        ):
            i, o = inside[name], outside[name]
            title = f"{name}: ID {numbers.ratio(i.estimate)}, OOC {numbers.ratio(o.estimate)}"
            drawn = strip(Mark(i.estimate, i.ci95), Mark(o.estimate, o.ci95), None, title)
            rows.append(
                {
                    "name": name,
                    "metric": metric_words(i.metric),
                    "recombined": i.recombined,
                    "strip": drawn,
                }
            )
        return rows

    @property
    def seeds(self) -> list[dict[str, Any]]:
        """Return one row per training seed."""
        scores = self.row.entry.result.scores
        rows = []
        for i, seed in enumerate(self.row.entry.result.seeds):
            inside, outside = scores.id_test.per_seed[i], scores.ooc_test.per_seed[i]
            title = f"Seed {seed}: ID {numbers.percent(inside)} %, OOC {numbers.percent(outside)} %"
            chance = scores.ooc_test.chance
            drawn = strip(Mark(inside), Mark(outside), chance, title)
            rows.append({"seed": seed, "index": i, "strip": drawn, "gap": inside - outside})
        return rows

    @cached_property
    def uncertainty(self) -> list[tuple[str, float]]:
        """Return what the OOC interval is made of: name and share of its variance."""
        terms = stats.crossed_terms(cell_scores(self.row.entry.result.scores.ooc_test))
        total = sum(term.variance for term in terms or ())
        if not terms or total <= 0:
            return []
        return [(name, t.variance / total) for name, t in zip(VARIANCE_TERMS, terms, strict=True)]

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
        chance = self.row.entry.result.scores.ooc_test.chance
        title = "Accuracy against search steps"
        return search_figure(curve.steps, inside, outside, chance, title, curve.gflop_per_image)

    @cached_property
    def worst(self) -> tuple[Shown, ...]:
        """Return the worst images; empty when their picture is missing."""
        kept, picture = self.row.entry.result.artifacts.examples, self.row.entry.picture
        return gallery(kept, picture) if kept is not None and picture else ()

    @property
    def vouched(self) -> list[tuple[str, str]]:
        """Say who vouches for the numbers that no label can check."""
        return vouched(self.row.entry.result)

    @property
    def further_parts(self) -> list[Part]:
        """Return the metrics beside the headline."""
        return parts(self.row.entry.result)

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
    def train_sizes(self) -> str:
        """Return the command that makes the data-scaling curve; empty for foreign methods."""
        return scale(self.row.entry.result)

    @property
    def is_baseline(self) -> bool:
        """Tell whether the entry is a baseline of this project."""
        return is_baseline(self.row.entry.result)

    @property
    def commands(self) -> str:
        """Return the commands that make this entry again."""
        return "\n".join(reproduce(self.row.entry.result))

    @property
    def schedules(self) -> str:
        """Return the steps of a baseline's training stages, which ``--longer`` multiplies."""
        settings = self.row.entry.result.method.settings if self.is_baseline else {}
        named = {k.removesuffix(".steps"): v for k, v in settings.items() if k.endswith(".steps")}
        return ", ".join(f"{name} {steps:,}" for name, steps in named.items() if _whole(steps))

    @property
    def verify(self) -> str:
        """Return the commands that check the downloaded file: alone, and with predictions."""
        entry = self.row.entry
        return "\n".join(verify(entry.result, f"{entry.slug}.json"))

    @property
    def bibtex(self) -> str:
        """Return a citation of this entry; the result id names the exact numbers."""
        result = self.row.entry.result
        data = result.data
        title = _tex(f"{result.method.name} ({result.method.inference})")
        place = _tex(f"{data.dataset} {data.version}, {data.resolution} px")
        fields = {
            "title": f"{title}, entry of the recombine leaderboard",
            "year": result.created[:4],
            "note": f"{place}, result {result.result_id}",
        }
        listed = "".join(f",\n  {name} = {{{value}}}" for name, value in fields.items())
        return f"@misc{{recombine-{self.row.entry.slug}{listed}\n}}"

    def _heat(self, cells: list[CellRow]) -> Markup:
        rows = list(dict.fromkeys(cell.names[0] for cell in cells))
        columns = list(dict.fromkeys(sorted(cell.names[1] for cell in cells)))
        values = {cell.names[:2]: cell.accuracy for cell in cells}
        held_out = {cell.names[:2] for cell in cells if cell.held_out}
        title = f"Accuracy of {len(cells)} combinations; {len(held_out)} held out, framed"
        return heat_map(rows, columns, _pairs(values), set(_pairs(dict.fromkeys(held_out))), title)


def metric_words(metric: str) -> str:
    """Return a metric's name for people."""
    return METRICS.get(metric, metric.replace("_", " "))


def _tex(text: str) -> str:
    """Escape what TeX would read as a command."""
    plain = re.sub(r"[\\{}~^]", " ", text)
    return re.sub(r"([#$%&_])", r"\\\1", plain)


def _pairs(values: dict[tuple[str, ...], Any]) -> dict[tuple[str, str], Any]:
    return {(names[0], names[1]): value for names, value in values.items()}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
