"""What an entry's own page shows beyond its row: cells, factors, seeds, variance, compute."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.statistics import intervals as stats
from recombine.leaderboard.site import commands
from recombine.leaderboard.site import further
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.charts import Mark, heat_map, shares, strip
from recombine.leaderboard.drawing.curves import search_figure
from recombine.leaderboard.board.entries import cell_scores
from recombine.leaderboard.drawing.formatting import TIMES
from recombine.leaderboard.board.pictures import gallery
from recombine.leaderboard.board.sizes import Family

if TYPE_CHECKING:
    from markupsafe import Markup

    from recombine.leaderboard.board.board import Row
    from recombine.leaderboard.board.entries import BoardKey, Entry
    from recombine.leaderboard.board.pictures import Shown

PARTS = ("training runs", "combinations", "both together")
METRICS = {
    "joint_slot_accuracy": "joint slot accuracy",
    "balanced_accuracy_chance_corrected": "balanced accuracy above chance",
}


@dataclass(frozen=True)
class CellRow:
    """One cell of the test data.

    Attributes
    ----------
    names : tuple of str
        Its values, one per recombined factor.
    held_out : bool
        Whether training never showed it.
    accuracy : float
        Mean over seeds, in [0, 1].
    images : int
        Test images per seed.
    """

    names: tuple[str, ...]
    held_out: bool
    accuracy: float
    images: int

    @property
    def percent(self) -> str:
        """Print the accuracy in percent."""
        return numbers.percent(self.accuracy)


@dataclass(frozen=True)
class Detail:
    """An entry's page.

    Attributes
    ----------
    row : Row
        The entry as it stands on its board.
    board : BoardKey
        The board.
    successor : Entry, optional
        The newer entry that took its row.
    family : Family
        The same method on training sets of other sizes; the entry itself is one of them.
    """

    row: Row
    board: BoardKey
    successor: Entry | None = None
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
        return [(name, t.variance / total) for name, t in zip(PARTS, terms, strict=True)]

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
        return further.vouched(self.row.entry.result)

    @property
    def further_parts(self) -> list[further.Part]:
        """Return the metrics beside the headline."""
        return further.parts(self.row.entry.result)

    @property
    def by_property(self) -> list[tuple[str, list[further.Bin]]]:
        """Return accuracy against what is measured of the images, where it is known."""
        more = self.row.entry.result.further
        if more is None:
            return []
        tables = {
            "Accuracy against the least visible share of an object": more.by_visibility,
            "Accuracy against the share of light that is interaction": more.by_interaction,
        }
        return [(title, further.bins(one)) for title, one in tables.items() if one is not None]

    @property
    def train_sizes(self) -> str:
        """Return the command that makes the data-scaling curve; empty for foreign methods."""
        return commands.scale(self.row.entry.result)

    @property
    def is_baseline(self) -> bool:
        """Tell whether the entry is a baseline of this project."""
        return commands.is_baseline(self.row.entry.result)

    @property
    def commands(self) -> str:
        """Return the commands that make this entry again."""
        return "\n".join(commands.reproduce(self.row.entry.result))

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
        return "\n".join(commands.verify(entry.result, f"{entry.slug}.json"))

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
    """Return a metric's name for people.

    Parameters
    ----------
    metric : str
        Its name in result files.

    Returns
    -------
    str
        The words used on the site; an unknown name with spaces for underscores.

    Examples
    --------
    >>> metric_words("joint_slot_accuracy"), metric_words("my_metric")
    ('joint slot accuracy', 'my metric')
    """
    return METRICS.get(metric, metric.replace("_", " "))


def _tex(text: str) -> str:
    """Escape what TeX would read as a command."""
    plain = re.sub(r"[\\{}~^]", " ", text)
    return re.sub(r"([#$%&_])", r"\\\1", plain)


def _pairs(values: dict[tuple[str, ...], Any]) -> dict[tuple[str, str], Any]:
    return {(names[0], names[1]): value for names, value in values.items()}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
