"""Decoys: files that look like labels, lie where a cheat would look, and report being opened.

They hold noise, so opening one gains nothing; but no honest method opens one. The kernel tells
(inotify), so code cannot hide it by swallowing errors.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

NAMES = (
    "labels.npz",
    "labels.csv",
    "latents.json",
    "manifest.json",
    "certificate.json",
    "plan.h5",
    "shards/shard-00000.h5",
)
OPENED = 0x20  # IN_OPEN
_EVENT = struct.Struct("iIII")


def write_decoys(folder: Path) -> tuple[Path, ...]:
    """Write the decoys.

    Parameters
    ----------
    folder : Path
        New folder.

    Returns
    -------
    tuple of Path
        The files, readable by everybody.
    """
    paths = tuple(folder / name for name in NAMES)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(secrets.token_bytes(4096))
        path.chmod(0o444)
    return paths


class DecoyWatch:
    """Notices when one of some files is opened, by whomever.

    Attributes
    ----------
    active : bool
        False where the system offers no watches; then nothing is ever noticed.
    """

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._names: dict[int, str] = {}
        self._opened: list[str] = []
        libc = ctypes.CDLL(None, use_errno=True)
        self._stream = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        for path in paths:
            if self._stream < 0:
                break
            watch = int(libc.inotify_add_watch(self._stream, os.fsencode(path), OPENED))
            if watch >= 0:
                self._names[watch] = path.name
        self.active = len(self._names) == len(paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream >= 0:
            os.close(self._stream)
            self._stream = -1

    def opened(self) -> list[str]:
        """Return the names of files that were opened since the watch began, in order."""
        data = b""
        if self._stream >= 0:
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._stream, 65_536)
        while len(data) >= _EVENT.size:
            watch, mask, _, length = _EVENT.unpack_from(data)
            if mask & OPENED and watch in self._names:
                self._opened.append(self._names[watch])
            data = data[_EVENT.size + length :]
        return self._opened
