"""Write the static site: complete or not at all, whatever stops the build."""

from __future__ import annotations

import ctypes
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from recombine.leaderboard.board.board import every_row, rank_board
from recombine.leaderboard.board.entries import (
    UNEXPECTED,
    Refused,
    read_boards,
    refusal,
    unexpected,
)
from recombine.leaderboard.site.data_pages import load_card
from recombine.leaderboard.site.earlier import load_archive
from recombine.leaderboard.site.pages import MARKER, site_files
from recombine.renderer.core.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from recombine.leaderboard.board.board import RankedBoard
    from recombine.leaderboard.site.pages import Release

HERE_FD, EXCHANGE = -100, 2
"""``AT_FDCWD`` and ``RENAME_EXCHANGE`` of Linux, see renameat2(2)."""
ABANDONED_S = 3600.0


def build_site(
    results: Sequence[Path],
    out: Path,
    cards: Sequence[Path] = (),
    release: Release | None = None,
    tell: Callable[[Refused], None] | None = None,
    archive: Sequence[Path] = (),
) -> Path:
    """Build the whole site; the old one stays until the new one is complete.

    Parameters
    ----------
    results : sequence of Path
        Result files.
    out : Path
        Folder of the site. It may exist when an earlier build wrote it, or when it is empty.
    cards : sequence of Path
        Dataset folders with ``certificate.json`` and ``preview.png``.
    release : Release, optional
        Which release of the board it is, for a site that stays as it is.
    tell : callable, optional
        Called for every result file that does not hold. It is named on the site and stands on no
        board; the others do.
    archive : Sequence of Path
        Folders of results on data of earlier versions, each with a ``README.md`` that says what a
        reader must know: they are listed on a page of their own and take part in nothing else.

    Returns
    -------
    Path
        ``out / "index.html"``.

    Raises
    ------
    InvalidInputError
        When a card, an archived result or every result file is invalid; nothing is written.
    IntegrityError
        When the ledger beside the result files was edited; nothing is written.
    UsageError
        When ``out`` holds something that no build wrote.
    ResourceError
        When the site cannot be written.
    """
    out = Path(out)
    _check_target(out)
    _clear(out)
    read = [load_card(Path(folder)) for folder in cards]
    earlier = [load_archive(Path(folder)) for folder in archive]
    boards, refused = _ranked(results)
    temporary = out.parent / f".{out.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        try:
            _write(temporary, site_files(boards, read, refused, release, earlier))
        except UNEXPECTED:
            if not (broken := _broken(boards)):
                raise
            boards, refused = _without(results, broken)
            shutil.rmtree(temporary, ignore_errors=True)
            _write(temporary, site_files(boards, read, refused, release, earlier))
        _swap(temporary, out)
    except OSError as error:
        raise ResourceError(
            f"build_site: expected to write {out}, got {error.strerror or error}; free some space "
            "or choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if tell is not None:
        for one in refused:
            tell(one)
    return out / "index.html"


def check_site(results: Sequence[Path]) -> tuple[list[RankedBoard], list[Refused]]:
    """Return the boards of result files, and the files that a build would refuse.

    Raises
    ------
    InvalidInputError, IntegrityError
        When there are files and none of them holds, or a ledger was edited.
    """
    boards, refused = _ranked(results)
    try:
        _draw(boards)
    except UNEXPECTED:
        if not (broken := _broken(boards)):
            raise
        boards, refused = _without(results, broken)
    return boards, refused


def _ranked(results: Sequence[Path]) -> tuple[list[RankedBoard], list[Refused]]:
    boards, refused = read_boards(results)
    if refused and not boards:
        raise refusal(refused)
    return [rank_board(board) for board in boards], refused


def _broken(boards: Sequence[RankedBoard]) -> list[Refused]:
    """Return the files that hold and yet cannot be shown, whatever nobody thought of.

    None where that is so of every file: then the fault is ours.
    """
    found: list[Refused] = []
    paths = [row.entry.path for _, row, _ in every_row(boards)]
    for path in paths:
        try:
            _draw([rank_board(board) for board in read_boards([path])[0]])
        except UNEXPECTED as error:
            found.append(Refused(path, unexpected(path, error)))
    return found if len(found) < len(paths) else []


def _without(
    results: Sequence[Path], broken: Sequence[Refused]
) -> tuple[list[RankedBoard], list[Refused]]:
    left = {one.path for one in broken}
    boards, refused = _ranked([path for path in results if path not in left])
    return boards, sorted([*refused, *broken], key=lambda one: one.path)


def _draw(boards: Sequence[RankedBoard]) -> None:
    for _ in site_files(boards, ()):
        pass


def _write(out: Path, files: Iterable[tuple[str, bytes]]) -> None:
    folders: set[Path] = set()
    for name, content in files:
        folder = (out / name).parent
        if folder not in folders:
            folder.mkdir(parents=True, exist_ok=True)
            folders.add(folder)
        (out / name).write_bytes(content)


def _check_target(out: Path) -> None:
    if not out.exists():
        return
    ours = out.is_dir() and ((out / MARKER).is_file() or not any(out.iterdir()))
    if not ours:
        raise UsageError(
            f"build_site: expected {out} to be absent, empty or an earlier site, found something "
            "else; choose another folder, nothing was changed"
        )


def _swap(new: Path, out: Path) -> None:
    """Put the new site in the place of the old one, at no moment leaving none."""
    if out.exists() and _exchange(new, out):
        return
    old = new.with_suffix(".old")
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot (only Linux can)."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    first, second = (os.fsencode(path.absolute()) for path in (one, other))
    return bool(rename(HERE_FD, first, HERE_FD, second, EXCHANGE) == 0)


def _clear(out: Path) -> None:
    """Remove what builds that were killed left behind, unless another build may be at work."""
    for path in out.parent.glob(f".{out.name}.*"):
        left = path.suffix in (".tmp", ".old") and path.is_dir()
        if left and time.time() - path.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(path, ignore_errors=True)
