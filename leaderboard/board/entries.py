"""Load and validate result files, and sort them onto boards that may be compared.

Two results share a board only when they answered the same images under the same metric; nothing
else is ever put into one table. A file that does not hold is refused by name and leaves the others
alone. Of several files for one row the newest of the highest tier holds it; the others stay
readable and are never deleted.
"""

from __future__ import annotations

import base64
import hashlib
import io
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
from recombine.leaderboard.ledger.records import (
    CONFIRMED,
    SELF_REPORTED,
    TIERS,
    Ledgers,
    Mark,
    Tier,
    stem,
)
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, RecombineError
from recombine.renderer.core.files import visible
from recombine.renderer.core.system import system_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.results.artifacts import Example, Examples
    from recombine.benchmark.statistics.design import Crossed


# The worst images of an entry, from the picture beside its result file to the tiles on its page.


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


def find_picture(path: Path, kept: Examples | None) -> bytes:
    """Read the picture beside a result file that it names, without trusting it."""
    target = path.parent / kept.file if kept is not None else None
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
UNEXPECTED = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError)
"""No file of a stranger may stop a board, not even by what nobody thought of."""
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
    mark: Mark | None = None  # why it is disputed or withdrawn, by the ledger
    own: bool = False  # whether no ledger is kept beside it: a run of one's own, on one's own board
    owner: str = ""  # whose its id is, by the ledger; empty when it was never recorded

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
        """Return whether verdicts count it: run by a maintainer's harness, and in no doubt.

        Where no ledger is kept there is nobody else to ask, and every entry counts.
        """
        return (self.own or self.witnessed) and self.mark is None

    @property
    def witnessed(self) -> bool:
        """Return whether a maintainer's harness ran the method, rather than read its answers."""
        return self.tier in CONFIRMED

    @property
    def withdrawn(self) -> bool:
        """Return whether the result was taken back."""
        return self.mark is not None and self.mark.state == "withdrawn"

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
class Refused:
    """A file that stands on no board."""

    path: Path  # where it was read
    error: RecombineError  # why


@dataclass(frozen=True)
class Superseded:
    """An entry whose row another file holds: a newer one, or one of a higher tier."""

    entry: Entry
    by: Entry


@dataclass(frozen=True)
class Board:
    """Comparable entries, the highest out-of-combination score first."""

    key: BoardKey  # what they share
    entries: tuple[Entry, ...]  # one per row
    superseded: tuple[Superseded, ...] = ()  # other files of the same rows, the newest first

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


def load_entry(path: Path, ledgers: Ledgers | None = None) -> Entry:
    """Read one result file and recompute its intervals from its counts."""
    content = read_result(path)
    result = Result.from_bytes(content, path)
    ledger = (ledgers or Ledgers()).of(path.parent)
    picture = find_picture(path, result.artifacts.examples)
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
    named = result.result_id
    tier, mark = ledger.tier(named), ledger.marks.get(named)
    holder = ledger.holders.get(stem(result.method.entry))
    owner = holder.owner if holder else ""
    return Entry(path, result, content, picture, tier, mark, own=not ledger.kept, owner=owner)


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
        When a file is invalid, two files of one time and tier claim the same row, or entries of
        one board do not have the same cells. Bad files are named, each with what is wrong.
    IntegrityError
        When a file or a ledger was edited.
    """
    boards, refused = read_boards(paths)
    if refused:
        raise refusal(refused)
    return boards


def read_boards(paths: Iterable[Path]) -> tuple[list[Board], list[Refused]]:
    """Read result files as `load_boards`, and return apart those that do not hold.

    Raises
    ------
    IntegrityError
        When a ledger was edited: no tier can be told then.
    """
    entries, refused = read_entries(paths)
    groups: defaultdict[BoardKey, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[board_key(entry.result)].append(entry)
    boards = []
    for key in sorted(groups):
        board, unfit = _board(key, groups[key])
        boards.append(board)
        refused += unfit
    return boards, sorted(refused, key=lambda one: one.path)


def read_entries(paths: Iterable[Path]) -> tuple[list[Entry], list[Refused]]:
    """Read result files one by one, and return apart those that do not hold."""
    entries, refused, ledgers = [], [], Ledgers()
    for path in paths:
        ledgers.of(path.parent)  # one that was edited concerns every file, and raises
        try:
            entries.append(load_entry(path, ledgers))
        except RecombineError as error:
            refused.append(Refused(path, error))
        except UNEXPECTED as error:
            refused.append(Refused(path, unexpected(path, error)))
    return entries, refused


def unexpected(path: Path, error: Exception) -> InvalidInputError:
    """Return the refusal of a file that broke something."""
    return InvalidInputError(
        f"{path}: expected a result that can be shown; got one that fails with "
        f"{type(error).__name__}: {str(error)[:200]}. Remove the file, or report this."
    )


def refusal(refused: Sequence[Refused]) -> RecombineError:
    """Return one error that names every refused file, the first few with what is wrong."""
    edited = any(isinstance(one.error, IntegrityError) for one in refused)
    texts = list(dict.fromkeys(str(one.error) for one in refused))
    named, more = "\n".join(texts[:MOST_NAMED]), len(texts) - MOST_NAMED
    kind = IntegrityError if edited else InvalidInputError
    return kind(named + (f"\nand {more} more" if more > 0 else ""))


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
    return result.method.is_baseline


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


def _board(key: BoardKey, entries: list[Entry]) -> tuple[Board, list[Refused]]:
    rows: dict[tuple[str, int], Entry] = {}
    superseded, refused = [], []
    ordered = sorted(entries, key=_precedence, reverse=True)
    # Whoever was checked furthest knows the data; a stranger's file must not make others strange.
    first = min(ordered, key=lambda e: (-TIERS.index(e.tier), e.result.created, e.path))
    for entry in ordered:
        row = (entry.result.method.entry, entry.result.data.n_train)
        if _cells(entry) != _cells(first):
            error = InvalidInputError(
                f"{entry.path}: has other cells than {first.path}, though both name the data "
                f"{key.identity[:12]}; one of them was not scored on that data"
            )
            refused.append(Refused(entry.path, error))
            continue
        holder = rows.setdefault(row, entry)
        if holder is entry:
            continue
        if _precedence(holder) == _precedence(entry):
            error = InvalidInputError(
                f"{entry.path}: the row {row[0]} with {row[1]} training images is already taken "
                f"by {holder.path}, scored at the same time; keep one of the two files"
            )
            refused.append(Refused(entry.path, error))
        else:
            superseded.append(Superseded(entry, holder))
    best = sorted(rows.values(), key=lambda e: (-e.result.scores.ooc_test.estimate, e.slug))
    superseded.sort(key=lambda one: one.entry.result.created, reverse=True)
    return Board(key, tuple(best), tuple(superseded)), refused


def _precedence(entry: Entry) -> tuple[bool, int, str]:
    """Return what decides who holds a row: not taken back, the furthest checked, the newest."""
    return not entry.withdrawn, TIERS.index(entry.tier), entry.result.created


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
