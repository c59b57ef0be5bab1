"""Load and validate result files, and sort them onto boards that may be compared.

Two results share a board only when they answered the same images under the same metric; nothing
else is ever put into one table. A file that cannot be trusted stops the build with its name. A
newer file for the same row supersedes the older one, which stays readable and is never deleted.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.results.artifacts import MAX_PICTURE
from recombine.benchmark.results.levels import redrawn_levels
from recombine.benchmark.results.result import MAX_BYTES, Result
from recombine.benchmark.scoring.aggregate import paired_gap_part
from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import scores_of
from recombine.leaderboard.board.roles import role_of
from recombine.leaderboard.ledger.records import CONFIRMED, SELF_REPORTED, Tier, Tiers
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, RecombineError
from recombine.renderer.core.files import visible
from recombine.renderer.core.system import system_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.results.artifacts import Example, Examples
    from recombine.benchmark.statistics.design import Crossed


# The worst images of an entry, from the picture beside its result file to the tiles on its page.

NAMED = re.compile(rb'"file":\s*"([a-z0-9-]{1,120}\.examples\.png)"')


@dataclass(frozen=True)
class Tile:
    """One image on the page."""

    caption: str  # what it is
    uri: str  # the image as a data URI, which loads from any place


@dataclass(frozen=True)
class Shown:
    """One of the worst images with everything beside it."""

    number: int  # its place in the list of the result file
    example: Example  # true and read values
    tiles: tuple[Tile, ...]  # the image, then its decodings


def find_picture(path: Path, content: bytes) -> bytes:
    """Read the picture beside a result file, without trusting either."""
    named = NAMED.search(content)
    target = path.parent / named[1].decode() if named else None
    if target is None or not target.is_file():
        return b""
    with target.open("rb") as stream:
        return stream.read(MAX_PICTURE + 1)


def check_picture(path: Path, kept: Examples | None, picture: bytes) -> None:
    """Check that a picture is the one that its result file names."""
    if not picture:
        return
    found = hashlib.sha256(picture).hexdigest()
    if kept is None or found != kept.sha256:
        expected = kept.sha256[:12] if kept else "no picture"
        raise IntegrityError(
            f"{path}: the picture of its worst images must have the SHA-256 {expected}, got "
            f"{found[:12]}; put the file back that was written with the result, or remove it"
        )


def gallery(kept: Examples, picture: bytes) -> tuple[Shown, ...]:
    """Cut a picture into the tiles of every image."""
    from PIL import Image, UnidentifiedImageError

    edge, captions = kept.edge, ("image", *(decoded(step) for step in kept.steps))
    expected = (edge * len(captions), edge * len(kept.images))
    try:
        with Image.open(io.BytesIO(picture), formats=("PNG",)) as opened:
            size = opened.size
            sheet = opened.convert("RGB") if size == expected else None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InvalidInputError(
            f"{kept.file}: expected a PNG file, got {error}; score the entry again"
        ) from None
    if sheet is None:
        raise InvalidInputError(
            f"{kept.file}: expected {expected[0]} x {expected[1]} pixels, got {size[0]} x "
            f"{size[1]}; score the entry again"
        )
    rows = []
    for number, example in enumerate(kept.images):
        tiles = []
        for column, caption in enumerate(captions):
            left, top = column * edge, number * edge
            buffer = io.BytesIO()
            sheet.crop((left, top, left + edge, top + edge)).save(buffer, "PNG")
            text = base64.b64encode(buffer.getvalue()).decode("ascii")
            tiles.append(Tile(caption, f"data:image/png;base64,{text}"))
        rows.append(Shown(number, example, tuple(tiles)))
    return tuple(rows)


def decoded(steps: int) -> str:
    """Say what a decoding is."""
    if steps == 0:
        return "decoded, no search"
    return f"decoded after {steps} step{'' if steps == 1 else 's'}"


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Numbers = Sequence[float] | None

ROUNDED = 1e-4
"""Of a mean of parts that a file keeps with six digits."""
TOLERANCE = 1e-6
MOST_NAMED = 5
"""Bad files that an error names one by one."""


@dataclass(frozen=True)
class Entry:
    """One result file that passed every check."""

    path: Path  # where it was read
    result: Result  # its content
    content: bytes = field(repr=False)  # the file itself, for download
    # its worst images, a PNG file; empty when there is none
    picture: bytes = field(default=b"", repr=False)
    # how far it was checked, by the ledger beside it; what the file says has no part in it
    tier: Tier = SELF_REPORTED

    @cached_property
    def plain(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return self.result.model_dump(mode="json")

    @cached_property
    def ooc(self) -> Crossed:
        """Return the out-of-combination scores, which most pages need."""
        return scores_of(self.result.scores.ooc_test)

    @property
    def slug(self) -> str:
        """Return a name for pages and anchors: safe characters only, unique by content."""
        return f"{self.result.method.entry}-{self.result.result_id[:10]}"

    @property
    def confirmed(self) -> bool:
        """Return whether a maintainer's harness ran the method, rather than read its answers."""
        return self.tier in CONFIRMED

    @property
    def n_seeds(self) -> int:
        """Return the number of training seeds."""
        return len(self.result.seeds)


@dataclass(frozen=True, order=True)
class BoardKey:
    """What two results must share to be compared: the images' identity, their size, the metric."""

    dataset: str
    version: str
    resolution: int
    identity: str
    metric: str
    metric_version: str


@dataclass(frozen=True)
class Superseded:
    """An entry whose row a newer file has taken."""

    entry: Entry
    by: Entry


@dataclass(frozen=True)
class Board:
    """Comparable entries, the highest out-of-combination score first."""

    key: BoardKey  # what they share
    entries: tuple[Entry, ...]  # one per row
    superseded: tuple[Superseded, ...] = ()  # older files of the same rows, the newest first

    @property
    def other_pixels(self) -> tuple[Entry, ...]:
        """Return the entries on a copy of the data with other pixels than most entries had."""
        roots = Counter(entry.result.data.root for entry in self.entries)
        usual = max(roots, key=lambda root: (roots[root], root))
        return tuple(entry for entry in self.entries if entry.result.data.root != usual)


def find_results(folder: Path) -> list[Path]:
    """List the result files of a folder."""
    if not folder.is_dir():
        raise InvalidInputError(
            f"find_results: expected a folder of result files at {folder}, found none; "
            "check the path"
        )
    return sorted(path for path in visible(folder, "*.json") if path.is_file())


def read_result(path: Path) -> bytes:
    """Read a result file without looking into it."""
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
    except OSError as error:
        if refused := system_error(path, error):
            raise refused from error
        content = b""
    if not content:
        raise InvalidInputError(
            f"read_result: expected a result file of 1 to {MAX_BYTES} bytes at {path}, found none "
            "or another one; check the path"
        )
    return content


def load_entry(path: Path, tiers: Tiers | None = None) -> Entry:
    """Read one result file and recompute its intervals from its counts."""
    content = read_result(path)
    picture = find_picture(path, content)
    tier = (tiers or Tiers()).of(path, content)
    result = Result.from_bytes(content, path)
    check_picture(path, result.artifacts.examples, picture)
    inside, outside = result.scores.id_test, result.scores.ooc_test
    if (inside.metric, inside.metric_version) != (outside.metric, outside.metric_version):
        raise InvalidInputError(
            f"{path}: ID and OOC need one metric and version, got {inside.metric} "
            f"{inside.metric_version} and {outside.metric} {outside.metric_version}; score it again"
        )
    for name, stated, expected in _recomputed(result):
        if not _same(stated, expected):
            raise InvalidInputError(
                f"{path}: {name} must follow from the stored counts ({expected}), "
                f"got {stated}; score the entry again with this version"
            )
    return Entry(path, result, content, picture, tier)


def load_boards(paths: Iterable[Path]) -> list[Board]:
    """Read result files and group them into boards.

    Parameters
    ----------
    paths : iterable of Path
        Result files.

    Returns
    -------
    list of Board
        Sorted by dataset, version and size; empty without files.

    Raises
    ------
    InvalidInputError
        When a file is invalid, two files of one time claim the same row, or entries of one board
        do not have the same cells. Bad files are named, each with what is wrong.
    IntegrityError
        When a file was edited after scoring.
    """
    entries, problems, tiers = [], [], Tiers()
    for path in paths:
        try:
            entries.append(load_entry(path, tiers))
        except RecombineError as error:
            problems.append(error)
    if problems:
        kind = IntegrityError if any(isinstance(p, IntegrityError) for p in problems) else None
        texts = list(dict.fromkeys(map(str, problems)))  # a broken ledger concerns every file
        named, more = "\n".join(texts[:MOST_NAMED]), len(texts) - MOST_NAMED
        raise (kind or InvalidInputError)(named + (f"\nand {more} more" if more > 0 else ""))
    groups: defaultdict[BoardKey, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[board_key(entry.result)].append(entry)
    return [_board(key, groups[key]) for key in sorted(groups)]


def board_key(result: Result) -> BoardKey:
    """Return the board that a result belongs to."""
    data, score = result.data, result.scores.ooc_test
    return BoardKey(
        data.dataset,
        data.version,
        data.resolution,
        data.identity,
        score.metric,
        score.metric_version,
    )


@dataclass(frozen=True)
class CellRow:
    """One cell of the test data."""

    names: tuple[str, ...]  # its values, one per recombined factor
    held_out: bool  # whether training never showed it
    accuracy: float  # mean over seeds, in [0, 1]
    images: int  # test images per seed


def cell_table(result: Result) -> list[CellRow]:
    """Return every tested cell, those in combination first."""
    rows = []
    for score, held_out in ((result.scores.id_test, False), (result.scores.ooc_test, True)):
        accuracy = (np.asarray(score.hits) / np.asarray(score.counts)).mean(axis=0).tolist()
        for names, value, images in zip(score.cells, accuracy, score.counts[0], strict=True):
            rows.append(CellRow(tuple(names), held_out, value, images))
    return rows


def is_baseline(result: Result) -> bool:
    """Tell whether a result is of a baseline of this project."""
    return result.method.code.startswith("recombine.baselines.")


def _recomputed(result: Result) -> Iterator[tuple[str, Numbers, Numbers]]:
    """Yield every printed number that the counts decide: its name, as stated, as computed."""
    scores = result.scores.id_test, result.scores.ooc_test
    tables = [scores_of(score) for score in scores]
    for name, score, table in zip(("id_test", "ooc_test"), scores, tables, strict=True):
        yield f"scores.{name}.ci95", score.ci95, stats.crossed_mean(table).ci95
        every = scores_of(score, range(score.n_seeds)).cells
        yield f"scores.{name}.per_seed", score.per_seed, every.mean(axis=1).tolist()
        for key, factor in score.per_factor.items():
            if factor.per_cell:  # six digits are kept
                mean = float(np.mean(factor.per_cell))
                close = abs(mean - factor.estimate) < ROUNDED
                yield f"{name}.{key}", [factor.estimate], [factor.estimate if close else mean]
    curve = result.compute_curve
    if result.compute.steps in curve.steps:
        at = curve.steps.index(result.compute.steps)
        ends = [curve.id[at], curve.ooc[at]]
        yield "compute_curve", ends, [score.estimate for score in scores]
    redrawn = redrawn_levels(result).scores
    for name, score in (("id_test", redrawn.id_test), ("ooc_test", redrawn.ooc_test)):
        stated_levels = getattr(result.scores, name).levels
        if stated_levels is not None and score.levels is not None:
            yield f"scores.{name}.levels", [stated_levels.best], [score.levels.best]
    yield "gap.ci95", result.gap.ci95, stats.gap(*tables).ci95
    if result.paired_gap is not None:
        found = paired_gap_part(*scores)
        estimate, interval = (None, None) if found is None else ([found.estimate], found.ci95)
        yield "paired_gap.estimate", [result.paired_gap.estimate], estimate
        yield "paired_gap.ci95", result.paired_gap.ci95, interval


def _same(stated: Numbers, expected: Numbers) -> bool:
    if stated is None or expected is None:
        return stated is expected
    return len(stated) == len(expected) and all(
        abs(a - b) <= TOLERANCE for a, b in zip(stated, expected, strict=True)
    )


def _board(key: BoardKey, entries: list[Entry]) -> Board:
    rows: dict[tuple[str, int], Entry] = {}
    superseded = []
    first = entries[0]
    for entry in sorted(entries, key=lambda e: e.result.created, reverse=True):
        row = (entry.result.method.entry, entry.result.data.n_train)
        newer = rows.setdefault(row, entry)
        if newer is not entry:
            superseded.append(Superseded(entry, newer))
        if newer is not entry and newer.result.created == entry.result.created:
            raise InvalidInputError(
                f"{entry.path}: the row {row[0]} with {row[1]} training images is already taken "
                f"by {newer.path}, scored at the same time; keep one of the two files"
            )
        if _cells(entry) != _cells(first):
            raise InvalidInputError(
                f"{entry.path}: has other cells than {first.path}, though both name the data "
                f"{key.identity[:12]}; one of them was not scored on that data"
            )
    best = sorted(rows.values(), key=lambda e: (-e.result.scores.ooc_test.estimate, e.slug))
    return Board(key, tuple(best), tuple(superseded))


def _cells(entry: Entry) -> tuple[object, ...]:
    scores = entry.result.scores
    names = tuple(sorted(scores.id_test.cells)), tuple(sorted(scores.ooc_test.cells))
    return (*names, entry.result.data.recombined)


# Entries that are one answer under several names.


def duplicate_groups(entries: Sequence[Entry]) -> list[tuple[int, ...]]:
    """Put together the entries that read the same answers at the start of their searches."""
    found: dict[object, list[int]] = defaultdict(list)
    for i, entry in enumerate(entries):
        found[_answers(entry.result) or i].append(i)
    return [tuple(group) for group in found.values()]


def _answers(result: Result) -> tuple[object, ...]:
    """Return what equal answers agree in, image by image as far as the file tells."""
    compute, scores = result.compute, result.scores
    if compute.steps or len(result.compute_curve.steps) < 2:
        return ()
    return (
        role_of(result).key,
        result.method.inference,
        compute.gflop_per_image,
        result.training.generated_images_seen,
        result.seeds,
        *((part.hits, part.counts) for part in (scores.id_test, scores.ooc_test)),
        *(
            (name, factor.model_dump_json())
            for part in (scores.id_test, scores.ooc_test)
            for name, factor in sorted(part.per_factor.items())
        ),
    )
