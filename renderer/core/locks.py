"""One process at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file; a second process waits. A killed process holds nothing.

    Parameters
    ----------
    path : Path
        The file, which need not exist; the lock is a hidden file beside it,
        there only while it is held.

    Yields
    ------
    None
        While the lock is held.
    """
    lock = _beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is(handle.fileno(), lock):
                continue  # its last holder removed it while this process waited
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def settled(path: Path) -> bool:
    """Tell whether no process holds the lock of a file, nor was killed while it did.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
        False where a lock is there: take it to wait, or to tidy up.
    """
    return not _beside(path).exists()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
