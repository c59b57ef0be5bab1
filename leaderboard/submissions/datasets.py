"""Fetching the rendered data of a registered board: resumed, checked, and unpacked with care."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from recombine.leaderboard.submissions.fetching import FetchRules, Wanted, fetch_large
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    RecombineError,
    ResourceError,
    UsageError,
)
from recombine.renderer.core.files import require_space, writing
from recombine.renderer.store.dataset import Dataset

if TYPE_CHECKING:
    from recombine.leaderboard.board.registry import Archive, RegisteredBoard

SECONDS = 24 * 3600.0
MOST_FILES = 100_000
ROOM = 2**20
"""Bytes that the files of an archive may have beyond those of the registered dataset."""


def fetch_dataset(board: RegisteredBoard, out: Path, rules: FetchRules | None = None) -> Path:
    """Fetch a board's data into a new folder; the folder is there whole, or not at all.

    Parameters
    ----------
    board : RegisteredBoard
        Which.
    out : Path
        Dataset folder; it must not exist, unless it holds these data already.
    rules : FetchRules, optional
        Of the download.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    ResourceError
        When nobody hosts the data, no address answers, or the disk is full.
    IntegrityError, InvalidInputError
        When what came is not what was registered.
    """
    if out.exists():
        _require_same(board, out)
        return out
    if board.archive is None:
        minutes = "" if board.minutes is None else f", about {board.minutes:.3g} min"
        raise ResourceError(
            f"dataset fetch {board.name}: expected an address; nobody hosts these data. Render "
            f"them: `{board.command(str(out))}`{minutes} with two workers on Python 3.11, "
            f"{board.bytes / 1e6:.3g} MB."
        )
    require_space(out.parent, board.archive.bytes + board.bytes)
    archive = out.with_name(f"{out.name}.tar")
    _download(board.archive, archive, rules or FetchRules(seconds=SECONDS))
    staging = out.with_name(f".{out.name}.unpacked.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with writing(staging):
            _unpack(archive, staging, board.bytes + ROOM)
        _require_same(board, staging)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    archive.unlink()
    return out


def _download(archive: Archive, target: Path, rules: FetchRules) -> None:
    """Try one address after the other; what the first sent is not sent again by the next."""
    for number, url in enumerate(archive.urls, start=1):
        try:
            fetch_large(Wanted(url, archive.bytes, archive.sha256), target, rules)
        except UsageError:  # another process fetches the same
            raise
        except RecombineError:
            if number == len(archive.urls):
                raise
        else:
            return


def _unpack(archive: Path, folder: Path, most: int) -> None:
    """Unpack regular files inside a folder, and nothing else."""
    if not hasattr(tarfile, "data_filter"):
        raise ResourceError(
            f"{archive}: expected a Python that unpacks safely; this one is too old. Use Python "
            "3.11.4 or newer."
        )
    folder.mkdir(parents=True)
    size = count = 0
    try:
        with tarfile.open(archive, "r:") as opened:
            for member in opened:
                count, size = count + 1, size + member.size
                if not (member.isreg() or member.isdir()) or size > most or count > MOST_FILES:
                    raise InvalidInputError(
                        f"{archive}: expected regular files of at most {most} bytes, got "
                        f"{member.name!a}; nothing was unpacked. Register an archive of the "
                        "dataset folder alone."
                    )
                opened.extract(member, folder, filter="data")
    except tarfile.TarError as error:
        raise InvalidInputError(
            f"{archive}: expected a tar file of a dataset folder, got {error}; nothing was "
            "unpacked. Register an archive of the dataset folder alone."
        ) from error


def _require_same(board: RegisteredBoard, folder: Path) -> None:
    """Refuse data that are not the registered ones, or whose certificate does not hold."""
    data = Dataset(folder)
    data.check()
    if data.identity != board.identity:
        raise IntegrityError(
            f"{folder}: expected data of the identity {board.identity[:12]}, got "
            f"{data.identity[:12]}; choose another folder with --out"
        )
