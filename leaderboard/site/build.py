"""Write the static site: complete or not at all, whatever stops the build."""

from __future__ import annotations

import ctypes
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.site.data_pages import load_card
from recombine.leaderboard.site.pages import MARKER, site_files
from recombine.renderer.core.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.leaderboard.site.pages import Release

HERE_FD, EXCHANGE = -100, 2
"""``AT_FDCWD`` and ``RENAME_EXCHANGE`` of Linux, see renameat2(2)."""
ABANDONED_S = 3600.0


def build_site(
    results: Sequence[Path],
    out: Path,
    cards: Sequence[Path] = (),
    release: Release | None = None,
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

    Returns
    -------
    Path
        ``out / "index.html"``.

    Raises
    ------
    InvalidInputError
        When a result file or a card is invalid; nothing is written.
    IntegrityError
        When a result file was edited after scoring; nothing is written.
    UsageError
        When ``out`` holds something that no build wrote.
    ResourceError
        When the site cannot be written.
    """
    out = Path(out)
    _check_target(out)
    _clear(out)
    read = [load_card(Path(folder)) for folder in cards]
    boards = [rank_board(board) for board in load_boards(results)]
    temporary = out.parent / f".{out.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        folders: set[Path] = set()
        for name, content in site_files(boards, read, release):
            folder = (temporary / name).parent
            if folder not in folders:
                folder.mkdir(parents=True, exist_ok=True)
                folders.add(folder)
            (temporary / name).write_bytes(content)
        _swap(temporary, out)
    except OSError as error:
        raise ResourceError(
            f"build_site: expected to write {out}, got {error.strerror or error}; free some space "
            "or choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out / "index.html"


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
