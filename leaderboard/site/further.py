"""What an entry measured beside its headline, and who vouches for which number."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.formatting import DASH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.results.result_further import Bins, Measure

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
    """One metric.

    Attributes
    ----------
    name : str
        Its name in words.
    better : str
        Which direction is better.
    places : tuple of str
        Where its values stand in the result file, ID first where there are two.
    """

    name: str
    better: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Metrics of one kind.

    Attributes
    ----------
    title : str
        What they are of.
    split : bool
        Whether ID and OOC have values of their own.
    lines : tuple of Line
        By name.
    """

    title: str
    split: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Bin:
    """Images between two values of a property.

    Attributes
    ----------
    span : str
        The two values.
    inside, outside : str
        Accuracy in percent, or a dash without images, and the number of images per seed.
    """

    span: str
    inside: str
    outside: str


def vouched(result: Result) -> list[tuple[str, str]]:
    """Group the numbers that no label can check by who vouches for them.

    Parameters
    ----------
    result : Result
        The entry.

    Returns
    -------
    list of (str, str)
        Heading and text; empty for files of a version that did not say.
    """
    if result.sources is None:
        return []
    named: defaultdict[str, list[str]] = defaultdict(list)
    for figure, source in result.sources.figures.items():
        named[source].append(figure.replace("_", " "))
    ran = [("Ran", SANDBOX[result.sources.sandbox])]
    return ran + [(SOURCES[key], ", ".join(named[key])) for key in SOURCES if key in named]


def parts(result: Result) -> list[Part]:
    """List the further metrics of a result.

    Parameters
    ----------
    result : Result
        The entry.

    Returns
    -------
    list of Part
        Empty when none was measured.
    """
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
    """Print accuracy against a property of the images.

    Parameters
    ----------
    found : Bins, optional
        Counts of every bin.

    Returns
    -------
    list of Bin
        Ascending; those without images are left out.
    """
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
